#include "bus/stream_port.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/host_name.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "bus/limits.hpp"
#include "runtime/admission.hpp"
#include "wire/json_document.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::bus {

using base::Errc;

namespace {
/// Each may make us hold 1 MiB; beyond it new ones wait until a place is free.
constexpr std::size_t kMaxUnidentified = 64;
/// Time for a handshake and a hello that nobody takes away; after it a connection loses its place if all are taken.
constexpr base::Millis kOwnTime{1000};
constexpr base::Millis kHelloDeadline{5000};
constexpr base::Millis kRefusalPause{1000};  // between two lines of the log
constexpr int kLookedAtInTurn = 10;          // each costs a signature

/// The host that a hello names though the rest of it cannot be read; empty: it names none. Absent: it is no hello.
std::optional<std::string> host_of_hello(std::string_view line) {
    wire::JsonDocument object;
    if (!object.read(line) || wire::text_or(object.root(), "type") != "hello") return std::nullopt;
    return base::escape(wire::text_or(object.root(), "host"), kMaxHostName);
}
}  // namespace

/// One connection: unidentified until its hello, an agent's after it.
class StreamPort::Peer : public std::enable_shared_from_this<Peer>, public StreamConnection::Handler {
public:
    Peer(StreamPort& port, std::unique_ptr<ByteStream> stream, std::string from)
        : address(std::move(from)),
          port_(port),
          deadline_(port.io_),
          connection_(std::make_shared<StreamConnection>(port.io_, std::move(stream), port.options_, *this)) {}
    ~Peer() override {
        if (connection_) connection_->close();
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void open() {
        deadline_.after(kHelloDeadline, [this] { connection_->fail("said no hello within 5 s"); });
        connection_->open();
    }

    void send(const ToAgent& message) {
        const std::string line = encode(message);
        if (line.size() >= kMaxBusMessage) {
            log::error("a bus message is too large and was not sent", {{"bytes", line.size()}, {"to", host}});
            return;
        }
        port_.dropped_ += connection_->send(line);
    }

    /// The last message; nothing more is heard of this peer.
    void reject(const std::string& why) {
        send(Rejected{why});
        finish();
    }

    /// Sends what is queued, then ends.
    void finish() {
        deadline_.cancel();
        std::exchange(connection_, nullptr)->finish();
    }

    bool may_speak_for(const base::HostId& name) const {
        if (!connection_->stream().authenticated()) return true;
        const auto names = connection_->stream().certified_names();
        return std::find(names.begin(), names.end(), base::canonical_host_name(name.str())) != names.end();
    }

    bool is_revoked(Acceptor& acceptor) const { return acceptor.is_revoked(connection_->stream()); }

    /// Names what it has shown, for a message.
    std::string credential() const {
        std::string names;
        for (const std::string& name : connection_->stream().certified_names())
            names += (names.empty() ? "" : ", ") + base::escape(name, 80);
        return "its " + connection_->stream().credential() + (names.empty() ? " (no DNS name)" : " (" + names + ")");
    }

    void greeted_as(const base::HostId& name) {
        host = name;
        deadline_.cancel();
    }

    const std::string address;
    const base::TimePoint since = base::Clock::now();
    base::HostId host;  ///< empty until the hello

    void on_open() override {}
    void on_line(std::string_view line) override;
    void on_closed(const std::string& why) override { port_.gone(shared_from_this(), why); }
    void on_alive() override {
        if (!host.empty()) port_.handler_->on_agent_alive(host);
    }

private:
    StreamPort& port_;
    runtime::Timer deadline_;
    std::shared_ptr<StreamConnection> connection_;
};

void StreamPort::Peer::on_line(std::string_view line) {
    const auto self = shared_from_this();  // the port may let go of us
    const auto message = decode_to_controller(line);
    if (!message) {
        if (message.error().code == Errc::unknown_msg_type) return;  // of a later release
        const std::string why = "sent no valid message: " + message.error().message;
        const auto claimed = host.empty() ? host_of_hello(line) : std::nullopt;
        if (claimed) return port_.refuse(self, *claimed, why);
        return connection_->fail(why);
    }
    const auto* hello = std::get_if<Hello>(&*message);
    if (host.empty()) {
        if (hello == nullptr) return connection_->fail("sent something else before its hello");
        return port_.greeted(self, *hello);
    }
    if (hello != nullptr) return connection_->fail("said hello twice");
    port_.handler_->on_message(host, *message);
}

StreamPort::StreamPort(boost::asio::io_context& io, std::string url, std::unique_ptr<Acceptor> acceptor,
                       const TransportOptions& options)
    : io_(io), url_(std::move(url)), acceptor_(std::move(acceptor)), options_(options), room_(io), trust_(io) {}

StreamPort::~StreamPort() {
    stop();
}

base::Result<void> StreamPort::start(Handler& handler) {
    auto opened = acceptor_->open();
    if (!opened) return tl::make_unexpected(opened.error());
    handler_ = &handler;
    url_ = std::move(*opened);
    listening_ = true;
    accept();
    look_for_revoked();
    return {};
}

void StreamPort::stop() {
    handler_ = nullptr;
    listening_ = false;
    acceptor_->close();
    room_.cancel();
    trust_.cancel();
    unidentified_.clear();
    for (const auto& [host, peer] : std::exchange(agents_, {}))
        peer->finish();
}

base::Result<void> StreamPort::use(const Access& access) {
    auto url = acceptor_->use(access);
    if (!url) return tl::make_unexpected(url.error());
    url_ = std::move(*url);
    look_for_revoked();
    return {};
}

void StreamPort::accept() {
    if (!listening_ || accepting_ || !make_room()) return;
    accepting_ = true;
    acceptor_->accept([this](std::unique_ptr<ByteStream> stream, std::string peer) {
        accepting_ = false;
        take(std::move(stream), std::move(peer));
        accept();
    });
}

/// False while all places are taken by connections in their own time; then accept() is called again after it.
bool StreamPort::make_room() {
    if (unidentified_.size() < kMaxUnidentified) return true;
    const auto oldest = runtime::oldest_of_busiest(unidentified_, [](const auto& peer) { return peer->address; });
    const auto age = base::Clock::now() - (*oldest)->since;
    if (age < kOwnTime) {
        room_.after(kOwnTime - age, [this] { accept(); });
        return false;
    }
    count_refusal((*oldest)->address, {}, "has not said who it is, and others wait");
    unidentified_.erase(oldest);
    return true;
}

void StreamPort::take(std::unique_ptr<ByteStream> stream, std::string peer) {
    unidentified_.push_back(std::make_shared<Peer>(*this, std::move(stream), std::move(peer)));
    unidentified_.back()->open();
}

void StreamPort::greeted(const std::shared_ptr<Peer>& peer, const Hello& hello) {
    if (hello.version != kBusVersion) {
        return refuse(
            peer, hello.host.str(),
            "bus version " + std::to_string(hello.version) + ", this controller speaks " + std::to_string(kBusVersion));
    }
    if (!peer->may_speak_for(hello.host))
        return refuse(peer, hello.host.str(), peer->credential() + " is not for the host '" + hello.host.str() + "'");
    if (const auto rejected = handler_->admit(hello, peer->address)) {
        count_refusal(peer->address, hello.host.str(), rejected->reason);
        peer->send(*rejected);
        peer->finish();
        std::erase(unidentified_, peer);
        return accept();
    }
    std::erase(unidentified_, peer);
    if (const auto earlier = agents_.extract(hello.host); !earlier.empty()) {
        // It lost its connection without our knowing.
        earlier.mapped()->reject("another agent of this host has connected from " + peer->address);
        handler_->on_agent_down(hello.host, "replaced by a new connection");
    }
    peer->greeted_as(hello.host);
    agents_[hello.host] = peer;
    handler_->on_agent_up(hello.host, hello, peer->address);
    accept();
}

void StreamPort::refuse(const std::shared_ptr<Peer>& peer, const std::string& host, const std::string& why) {
    count_refusal(peer->address, host, why);
    peer->reject(why);
    std::erase(unidentified_, peer);
    accept();
}

void StreamPort::gone(const std::shared_ptr<Peer>& peer, const std::string& why) {
    if (std::erase(unidentified_, peer) > 0) {
        count_refusal(peer->address, {}, why);
        return accept();
    }
    agents_.erase(peer->host);
    handler_->on_agent_down(peer->host, why);
}

/// Who has come before a certificate was revoked does not stay.
void StreamPort::look_for_revoked() {
    if (acceptor_->trust_has_changed()) {
        looking_ = true;
        looked_at_ = {};
    }
    for (int i = 0; looking_ && i < kLookedAtInTurn; ++i) {
        const auto next = agents_.upper_bound(looked_at_);
        looking_ = next != agents_.end();
        if (!looking_) break;
        looked_at_ = next->first;
        if (!next->second->is_revoked(*acceptor_)) continue;
        const auto peer = agents_.extract(next).mapped();
        const std::string why = peer->credential() + " has been revoked";
        count_refusal(peer->address, looked_at_.str(), why);
        peer->reject(why);
        handler_->on_agent_down(looked_at_, why);
    }
    trust_.after(looking_ ? base::Millis(1) : Acceptor::kTrustPause, [this] { look_for_revoked(); });
}

/// A peer that never was an agent is only logged, and one that comes every second fills no log. `host`: as its hello
/// claims, empty where there was none.
void StreamPort::count_refusal(const std::string& peer, const std::string& host, const std::string& why) {
    ++refused_;
    const std::string refusal = peer + ' ' + host + ' ' + why;
    const auto now = base::Clock::now();
    if (refusal == last_refusal_ || now - last_refusal_at_ < kRefusalPause) return;
    log::warning("bus connection refused",
                 {{"peer", peer}, {"host", host}, {"why", why}, {"since_last_line", refused_ - refused_when_logged_}});
    last_refusal_ = refusal;
    last_refusal_at_ = now;
    refused_when_logged_ = refused_;
}

void StreamPort::send(const base::HostId& host, const ToAgent& message) {
    const auto agent = agents_.find(host);
    if (agent == agents_.end()) return;
    const auto peer = agent->second;
    peer->send(message);
    if (!std::holds_alternative<Rejected>(message)) return;
    agents_.erase(agent);
    peer->finish();
}

}  // namespace vitalwire::bus
