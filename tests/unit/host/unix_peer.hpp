#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace vitalwire::host {

/// A directory of the test's own, removed with it.
class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "vw-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "mkdtemp: " << std::strerror(errno);
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    const std::string& path() const { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

/// QEMU's part: listens at a path and serves one connection at a time, non-blocking.
class UnixPeer {
public:
    explicit UnixPeer(const std::string& path) : path_(path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ::unlink(path.c_str());
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_, 8) != 0)
            ADD_FAILURE() << "listen at " << path << ": " << std::strerror(errno);
    }
    ~UnixPeer() {
        hang_up();
        ::close(listener_);
    }
    UnixPeer(const UnixPeer&) = delete;
    UnixPeer& operator=(const UnixPeer&) = delete;

    bool accept() {
        if (fd_ < 0) fd_ = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return fd_ >= 0;
    }
    void hang_up() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    /// As a process that dies: the socket's file stays and nobody listens.
    void die() {
        hang_up();
        ::close(listener_);
        listener_ = -1;
    }
    /// As QEMU that ends in order.
    void end() {
        die();
        ::unlink(path_.c_str());
    }

    /// Writes as much as the socket takes; returns how much.
    std::size_t write(std::string_view bytes) {
        const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        return sent < 0 ? 0 : static_cast<std::size_t>(sent);
    }
    /// Everything received so far on this connection.
    const std::string& received() {
        char buffer[4096];
        for (ssize_t got = 0; fd_ >= 0 && (got = ::recv(fd_, buffer, sizeof buffer, 0)) > 0;)
            received_.append(buffer, static_cast<std::size_t>(got));
        return received_;
    }
    void forget_received() { received_.clear(); }

private:
    std::string path_;
    int listener_ = -1;
    int fd_ = -1;
    std::string received_;
};

/// Runs the loop until `condition` holds; false after a deadline that only a broken program reaches.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
        if (condition()) return true;
        io.restart();
        io.run_for(std::chrono::milliseconds(2));
    }
    return condition();
}

}  // namespace vitalwire::host
