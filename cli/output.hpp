#pragma once

#include <string>
#include <vector>

namespace vitalwire::cli {

/// Makes sure that no file which is opened later takes the number of a standard stream that is closed: what is printed
/// would go into it. Writing to such a stream fails afterwards.
void reserve_standard_streams();

void print(const std::vector<std::string>& lines);
/// Does not leave the line in a buffer.
void print_at_once(const std::string& line);

/// Flushes standard output: `exit_code` if everything was written, else kWriteFailed, with a message unless the reader
/// has gone (`| head`).
int finish_output(int exit_code);

}  // namespace vitalwire::cli
