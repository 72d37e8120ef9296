#pragma once

#include <string>
#include <string_view>

namespace vitalwire::runtime {

/// `status`, with which the program is about to end, unless something that it printed could not be written: then 1, and
/// why on standard error, but not when a reader has seen enough of a pipe.
int finish_output(const std::string& program, int status);
/// Prints `text`, which is all that the program was asked for, and returns the status to end with.
int print_and_finish(const std::string& program, std::string_view text);

}  // namespace vitalwire::runtime
