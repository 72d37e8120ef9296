#include "runtime/unix_listener.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/text.hpp"

namespace vitalwire::runtime {

using base::Errc;
using base::fail;
using base::Result;

namespace {

tl::unexpected<base::Error> cannot_listen(const std::string& path, const std::string& why) {
    return fail(Errc::io, "cannot listen on " + base::escape(path) + ": " + why);
}

class Socket {
public:
    explicit Socket(int type) : descriptor_(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {}
    ~Socket() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    int get() const { return descriptor_; }
    int release() { return std::exchange(descriptor_, -1); }

private:
    int descriptor_;
};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

/// Makes room for a socket at `path`.
Result<void> remove_stale_socket(const std::string& path, const sockaddr_un& address, int type) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode)) return cannot_listen(path, "there is a file that is no socket");
    // Without blocking: one that listens but does not accept now is there all the same (EAGAIN).
    const Socket probe(type);
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN ||
        errno == EPROTOTYPE) {
        return cannot_listen(path, "another process listens there");
    }
    if (errno != ECONNREFUSED) return cannot_listen(path, std::generic_category().message(errno));
    ::unlink(path.c_str());
    return {};
}

}  // namespace

Result<int> open_unix_listener(const std::string& path, int type, mode_t mode, int backlog) {
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(Errc::config, "the path of a UNIX socket has at most 107 bytes: " + base::escape(path));
    const sockaddr_un address = address_of(path);
    if (auto room = remove_stale_socket(path, address, type); !room) return tl::make_unexpected(room.error());
    Socket listener(type);
    // The socket's own mode is what bind gives the file: it is never open wider than `mode`. The umask may have taken
    // bits away: they are given back after.
    const bool listens = listener.get() >= 0 && ::fchmod(listener.get(), mode) == 0 &&
                         ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                         ::chmod(path.c_str(), mode) == 0 &&
                         (type == SOCK_DGRAM || ::listen(listener.get(), backlog) == 0);
    if (!listens) return cannot_listen(path, std::generic_category().message(errno));
    return listener.release();
}

}  // namespace vitalwire::runtime
