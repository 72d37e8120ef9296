#include "runtime/standard_output.hpp"

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace vitalwire::runtime {

int finish_output(const std::string& program, int status) {
    const bool failed_before = std::ferror(stdout) != 0;
    errno = 0;
    if (std::fflush(stdout) == 0 && !failed_before) return status;
    const int error = errno;
    if (error != EPIPE) {
        const std::string why = error == 0 ? "" : ": " + std::generic_category().message(error);
        std::fprintf(stderr, "%s: cannot write the output%s\n", program.c_str(), why.c_str());
    }
    return 1;
}

int print_and_finish(const std::string& program, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return finish_output(program, 0);
}

}  // namespace vitalwire::runtime
