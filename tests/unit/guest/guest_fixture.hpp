#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "guest/guest_daemon.hpp"
#include "guest/settings.hpp"
#include "wire/group_codec.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/inbound.hpp"
#include "wire/line_framer.hpp"

namespace vitalwire::guest::test {

/// A folder of its own for a test's sockets and files.
class TempDir {
public:
    TempDir() {
        std::string pattern = (std::filesystem::temp_directory_path() / "vitalwire-guest-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        path_ = pattern;
    }
    ~TempDir() { std::filesystem::remove_all(path_); }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream(path_ + "/" + name) << text;
        return path_ + "/" + name;
    }

private:
    std::string path_;
};

/// An event loop that a test turns until something holds.
class LoopTest : public testing::Test {
protected:
    static constexpr std::chrono::seconds kPatience{20};

    /// Fails the test when `condition` does not come to hold.
    void await(const std::string& what, const std::function<bool()>& condition) {
        const auto end = base::Clock::now() + kPatience;
        while (!condition()) {
            if (base::Clock::now() > end) throw std::runtime_error("waited in vain until " + what);
            turn();
        }
    }
    /// One look at everything that may have happened.
    virtual void turn() {
        io_.restart();
        io_.run_for(std::chrono::milliseconds(2));
    }

    boost::asio::io_context io_;
    TempDir dir_;
};

/// Connects to a UNIX socket of `type`; the descriptor does not block.
inline int connect_to(const std::string& path, int type) {
    const int descriptor = ::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
    ::close(descriptor);
    return -1;
}

/// The host's end of a channel: writes and reads whole PDUs.
class FakeHost {
public:
    explicit FakeHost(const std::string& path) : socket_(connect_to(path, SOCK_STREAM)) {
        if (socket_ < 0) throw std::runtime_error("cannot connect to the guest");
        write("\n");
    }
    ~FakeHost() { disconnect(); }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;

    void disconnect() {
        if (socket_ >= 0) ::close(std::exchange(socket_, -1));
    }
    void write(std::string_view bytes) {
        if (::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
            throw std::runtime_error("cannot write to the guest");
    }
    void send(const wire::HeartbeatPdu& pdu) { write(encode(pdu)); }
    void send_group(const wire::GroupPdu& pdu) { write(*wire::encode_group(pdu, wire::Dialect::native, 2)); }
    static std::string encode(const wire::HeartbeatPdu& pdu) {
        return wire::encode_heartbeat(pdu, wire::Dialect::native, 1);
    }

    /// The next PDU of type `Pdu` that has arrived; others are dropped.
    template <class Pdu>
    std::optional<Pdu> next() {
        read();
        while (!pdus_.empty()) {
            const wire::HeartbeatPdu pdu = std::move(pdus_.front());
            pdus_.pop_front();
            if (const auto* wanted = std::get_if<Pdu>(&pdu)) return *wanted;
        }
        return std::nullopt;
    }
    /// The next group PDU of type `Pdu` that has arrived; others are dropped.
    template <class Pdu>
    std::optional<Pdu> next_group() {
        read();
        while (!group_pdus_.empty()) {
            const wire::GroupPdu pdu = std::move(group_pdus_.front());
            group_pdus_.pop_front();
            if (const auto* wanted = std::get_if<Pdu>(&pdu)) return *wanted;
        }
        return std::nullopt;
    }
    bool ended() {
        read();
        return ended_;
    }

private:
    void read() {
        char buffer[4096];
        ssize_t count = 0;
        while ((count = ::read(socket_, buffer, sizeof buffer)) > 0) {
            framer_.feed({buffer, static_cast<std::size_t>(count)}, [this](std::string_view line) {
                auto inbound = wire::read_line(line, wire::ChannelKind::native, wire::Receiver::host);
                if (auto* message = std::get_if<wire::HeartbeatMessage>(&inbound))
                    pdus_.push_back(std::move(message->pdu));
                if (auto* message = std::get_if<wire::GroupMessage>(&inbound))
                    group_pdus_.push_back(std::move(message->pdu));
            });
        }
        ended_ = ended_ || count == 0;
    }

    int socket_;
    bool ended_ = false;
    wire::LineFramer framer_{wire::kMaxNativeMessage};
    std::deque<wire::HeartbeatPdu> pdus_;
    std::deque<wire::GroupPdu> group_pdus_;
};

/// A channel that keeps what is sent, or is full.
class FakeChannel : public Channel {
public:
    void start(Events&) override {}
    bool send(std::string message, Priority priority) override {
        if (full) return false;
        sent.push_back(std::move(message));
        last_priority = priority;
        return true;
    }
    void stop() override {}
    std::string status() const override { return {}; }

    std::vector<std::string> sent;
    Priority last_priority = Priority::normal;
    bool full = false;
};

/// A whole guest in this process, and a host for it.
class GuestTest : public LoopTest {
protected:
    GuestTest() {
        log::set_level(log::Level::error);
        settings_.channel = "unix:" + (dir_ / "channel");
        settings_.heartbeat.name = "web-1";
        settings_.applications = {dir_ / "apps", "", 4};
    }
    ~GuestTest() override { log::set_level(log::Level::info); }

    void start() {
        guest_ = std::make_unique<GuestDaemon>(io_, settings_);
        guest_->start();
    }
    void start_registered() {
        start();
        connect_host();
        register_guest();
    }
    void connect_host() { host_ = std::make_unique<FakeHost>(dir_ / "channel"); }
    wire::Init register_guest() {
        const auto init = await_pdu<wire::Init>();
        session_ = base::SessionId("session-" + std::to_string(++sessions_));
        host_->send(wire::InitAck{init.invocation_id, 0, session_, init.interval, init.interval});
        return init;
    }
    wire::ChallengeResponse challenge() {
        host_->send(wire::Challenge{session_, ++challenges_});
        return await_pdu<wire::ChallengeResponse>();
    }
    /// Challenges until the answer's reason is `reason`.
    void await_reason(const std::string& reason) {
        wire::ChallengeResponse last;
        try {
            await("the reason", [&] {
                last = challenge();
                return last.reason == reason;
            });
        } catch (const std::runtime_error&) {
            FAIL() << "the last reason was '" << last.reason << "', not '" << reason << "'";
        }
        EXPECT_EQ(last.healthy, reason.empty());
    }
    template <class Pdu>
    Pdu await_group() {
        std::optional<Pdu> pdu;
        await("a group PDU comes", [&] { return (pdu = host_->next_group<Pdu>()).has_value(); });
        return *pdu;
    }
    template <class Pdu>
    Pdu await_pdu() {
        std::optional<Pdu> pdu;
        await("a PDU comes", [&] { return (pdu = host_->next<Pdu>()).has_value(); });
        return *pdu;
    }

    Settings settings_;
    std::unique_ptr<GuestDaemon> guest_;
    std::unique_ptr<FakeHost> host_;
    base::SessionId session_;
    int sessions_ = 0;
    std::int64_t challenges_ = 0;
};

}  // namespace vitalwire::guest::test
