#include "runtime/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/text.hpp"

namespace vitalwire::runtime {

namespace {

constexpr std::size_t kPiece = 4096;

std::string cannot_read(const std::string& path, int error) {
    return base::escape(path) + ": cannot read: " + std::generic_category().message(error);
}

/// A pipe ends when its writers like, and waits for them; /dev/null is a file that is empty.
std::string why_no_file(const std::string& path, const struct stat& status) {
    if (S_ISREG(status.st_mode) || S_ISCHR(status.st_mode)) return {};
    const char* found = S_ISDIR(status.st_mode)    ? "a folder"
                        : S_ISFIFO(status.st_mode) ? "a pipe"
                        : S_ISSOCK(status.st_mode) ? "a socket"
                                                   : "a block device";
    return base::escape(path) + ": expected a regular file, found " + found;
}

bool may(const std::string& path, int access) {
    return faccessat(AT_FDCWD, path.c_str(), access, AT_EACCESS) == 0;
}

std::string by_whom() {
    return " (uid " + std::to_string(geteuid()) + ')';
}

}  // namespace

base::Result<std::string> read_file(const std::string& path, std::size_t max) {
    const auto failed = [&](int error) { return base::fail(base::Errc::io, cannot_read(path, error)); };
    // Without waiting for the writer of a pipe.
    const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return failed(errno);
    std::string text;
    struct stat status {};
    int error = fstat(fd, &status) != 0 ? errno : 0;
    const std::string wrong = error == 0 ? why_no_file(path, status) : "";
    if (error != 0 || !wrong.empty()) {
        close(fd);
        return error != 0 ? failed(error) : base::fail(base::Errc::io, wrong);
    }
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
    struct stat status {};
    if (!may(path, R_OK) || stat(path.c_str(), &status) != 0) return cannot_read(path, errno);
    return why_no_file(path, status);
}

std::string why_not_writable(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    const auto wrong = [](const std::string& where, const std::string& what) {
        return base::escape(where) + ": " + what;
    };
    struct stat status {};
    if (stat(folder.c_str(), &status) != 0)
        return wrong(folder, "expected a folder: " + std::generic_category().message(errno));
    if (!S_ISDIR(status.st_mode)) return wrong(folder, "expected a folder, found a file");
    if (!may(folder, W_OK | X_OK))
        return wrong(folder, "cannot write there" + by_whom() + ": " + std::generic_category().message(errno));
    if (stat(path.c_str(), &status) != 0) return {};
    if (S_ISDIR(status.st_mode)) return wrong(path, "expected no folder of that name");
    if (S_ISREG(status.st_mode) && !may(path, W_OK))
        return wrong(path, "cannot write" + by_whom() + ": " + std::generic_category().message(errno));
    return {};
}

std::string why_exposed(const std::string& path) {
    constexpr mode_t kOthers = 0077;
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || (status.st_mode & kOthers) == 0) return {};
    std::array<char, 8> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", static_cast<unsigned>(status.st_mode & 07777U));
    return base::escape(path) + ": holds a secret, expected mode 0400 or 0600, found " + mode.data();
}

}  // namespace vitalwire::runtime
