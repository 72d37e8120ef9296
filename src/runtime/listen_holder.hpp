#pragma once

#include <string>

namespace vitalwire::runtime {

/// Why nobody could listen at `address` ("10.0.0.1:8990", or "/path" of a UNIX socket) now: another program does. Empty
/// also when that is a process of this program, the daemon that runs, and when it is a process that may not be looked
/// at.
std::string held_by_another(const std::string& address);

}  // namespace vitalwire::runtime
