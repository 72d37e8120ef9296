#pragma once

#include <string>
#include <string_view>

#include "runtime/config.hpp"

namespace vitalwire::runtime {

/// Refuses `address`, a value of `key`, when Listener::open() would; when the file is only checked, also a UNIX socket
/// that could not be made, and what another program holds. The folder of a socket that is named nowhere is made by
/// systemd-tmpfiles.
void check_listen_address(ConfigReader& section, std::string_view key, const std::string& address);
/// The same of the path of a UNIX socket, a part of `element` of the key's list.
void check_socket_path(ConfigReader& section, std::string_view key, const std::string& path,
                       const std::string& element);

}  // namespace vitalwire::runtime
