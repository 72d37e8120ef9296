#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "guest/app_protocol.hpp"
#include "guest_fixture.hpp"

namespace vitalwire::guest::test {

/// An application that does not use the library: what a broken or hostile one could send.
class RawApplication {
public:
    explicit RawApplication(const std::string& path) : socket_(connect_to(path, SOCK_SEQPACKET)) {}
    ~RawApplication() { end(); }
    RawApplication(const RawApplication&) = delete;
    RawApplication& operator=(const RawApplication&) = delete;

    bool connected() const { return socket_ >= 0; }
    void end() {
        if (socket_ >= 0) ::close(std::exchange(socket_, -1));
    }
    bool write(const std::string& datagram) {
        return ::send(socket_, datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0;
    }
    void send(const app::Request& request) { write(app::encode(request)); }
    void register_as(const std::string& name, std::chrono::milliseconds interval = std::chrono::seconds(60),
                     std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
        send(app::Register{name, interval, timeout, {}, {}});
    }
    /// One datagram; empty when there is none.
    std::string read() {
        char buffer[app::kMaxDatagram];
        const ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
        return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
    }
    std::optional<app::Event> next() {
        char buffer[app::kMaxDatagram];
        const ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
        ended_ = ended_ || size == 0;
        if (size <= 0) return std::nullopt;
        const auto event = app::decode_event({buffer, static_cast<std::size_t>(size)});
        return event ? std::optional(*event) : std::nullopt;
    }
    bool ended() {
        while (next()) {
        }
        return ended_;
    }

private:
    int socket_;
    bool ended_ = false;
};

}  // namespace vitalwire::guest::test
