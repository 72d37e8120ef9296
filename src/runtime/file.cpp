#include "runtime/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/text.hpp"

namespace vitalwire::runtime {

namespace {

constexpr std::size_t kPiece = 4096;

std::string cannot_read(const std::string& path, int error) {
    return base::escape(path) + ": cannot read: " + std::generic_category().message(error);
}

}  // namespace

base::Result<std::string> read_file(const std::string& path, std::size_t max) {
    const auto failed = [&](int error) { return base::fail(base::Errc::io, cannot_read(path, error)); };
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failed(errno);
    std::string text;
    int error = 0;
    // One byte beyond the limit tells that there is more.
    while (text.size() <= max) {
        const std::size_t size = text.size();
        text.resize(std::min(size + kPiece, max + 1));
        const ssize_t got = read(fd, text.data() + size, text.size() - size);
        error = got < 0 ? errno : 0;
        text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got == 0 || (got < 0 && error != EINTR)) break;
    }
    close(fd);
    if (error != 0 && error != EINTR) return failed(error);
    if (text.size() > max) {
        return base::fail(base::Errc::too_large, path + ": larger than " + std::to_string(max) + " bytes");
    }
    return text;
}

std::string why_unreadable(const std::string& path) {
    return access(path.c_str(), R_OK) == 0 ? std::string() : cannot_read(path, errno);
}

}  // namespace vitalwire::runtime
