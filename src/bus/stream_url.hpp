#pragma once

#include <string>

#include "base/result.hpp"
#include "bus/access.hpp"
#include "runtime/listen.hpp"

namespace vitalwire::bus {

/// A URL of a stream transport, taken apart.
struct StreamUrl {
    enum class Scheme { unix_socket, tcp, tls };

    Scheme scheme = Scheme::tcp;
    std::string path;             ///< unix
    runtime::HostPort host_port;  ///< tcp, tls

    /// Fails for what is no such URL, and for tcp:// beyond loopback unless `access` allows it.
    static base::Result<StreamUrl> parse(const std::string& url, const Access& access);
};

/// An address of loopback, or "localhost".
bool is_loopback(const std::string& host);

}  // namespace vitalwire::bus
