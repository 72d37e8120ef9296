#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"

namespace vitalwire::runtime {

/// The whole file, with plain system calls: the guest's daemon is linked statically, and streams would add the locales
/// of the C++ library to it. Errc::io when the system says no or it is no regular file, Errc::too_large beyond `max`
/// bytes; both name the file.
base::Result<std::string> read_file(const std::string& path, std::size_t max);
// With the rights in force, also those that a capability gives; each returns what is wrong, with the name of the file
// or folder, and nothing when all is well.
/// Why the file cannot be opened for reading.
std::string why_unreadable(const std::string& path);
/// Why no file or socket could be made at `path`, or the one that is there not be written: its folder is missing, is
/// none, or is closed to us.
std::string why_not_writable(const std::string& path);
/// Why others than its owner may read the file, which holds a secret.
std::string why_exposed(const std::string& path);

}  // namespace vitalwire::runtime
