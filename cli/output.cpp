#include "cli/output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "cli/options.hpp"

namespace vitalwire::cli {

namespace {

/// Of standard output; 0 for none. The stream itself keeps only that there was one.
int first_error = 0;

bool is_written(int result) {
    if (result >= 0) return true;
    if (first_error == 0) first_error = errno;
    return false;
}

}  // namespace

void reserve_standard_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        // Takes the lowest free number, which is this one; opened for reading, so that a write is an error.
        if (fcntl(stream, F_GETFD) == -1)
            static_cast<void>(open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY));
    }
}

void print(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
        if (!is_written(std::puts(line.c_str()))) return;
    }
}

void print_at_once(const std::string& line) {
    if (is_written(std::puts(line.c_str()))) is_written(std::fflush(stdout));
}

int finish_output(int exit_code) {
    errno = EIO;  // of an error whose own number nobody has kept
    is_written(std::ferror(stdout) != 0 ? EOF : std::fflush(stdout));
    if (first_error == 0) return exit_code;
    // The reader of a pipe may leave when it has seen enough.
    if (first_error != EPIPE)
        std::fprintf(stderr, "vitalwire: cannot write the output: %s\n",
                     std::generic_category().message(first_error).c_str());
    return kWriteFailed;
}

}  // namespace vitalwire::cli
