#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"

namespace vitalwire::runtime {

/// The whole file, with plain system calls: the guest's daemon is linked statically, and streams would add the locales
/// of the C++ library to it. Errc::io when the system says no, Errc::too_large beyond `max` bytes; both name the file.
base::Result<std::string> read_file(const std::string& path, std::size_t max);
/// Why the file cannot be opened for reading, with its name; empty when it can.
std::string why_unreadable(const std::string& path);

}  // namespace vitalwire::runtime
