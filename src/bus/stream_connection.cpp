#include "bus/stream_connection.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>
#include <optional>
#include <utility>

#include "base/text.hpp"

namespace vitalwire::bus {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {
/// A keep-alive; a message of an unknown type to everybody but this file. That of a release before says only this.
constexpr std::string_view kPing = R"({"type":"ping"})";
constexpr std::string_view kPingBegin = R"({"type":"ping","silence_ms":)";
/// Of a silence, that one lost ping or a hiccup of the peer is none.
constexpr int kPingsInSilence = 3;
constexpr base::Millis kShortestPing{50};
/// Of one peer, in a turn of the loop: then the others have theirs.
constexpr std::size_t kMessagesInTurn = 32;
constexpr base::Millis kLongTurn{1};
constexpr base::Millis kLongestTurnPause{100};
/// The buffer that a full resync needed once is not kept for the pings after it, of each of a thousand agents.
constexpr std::size_t kKeptBuffer = 16U << 10U;

base::Millis ping_interval(base::Millis silence) {
    return std::clamp(silence / kPingsInSilence, kShortestPing, StreamConnection::kTick);
}

/// The silence that a ping names; zero for one of a release before, absent for another message.
std::optional<base::Millis> read_ping(std::string_view line) {
    if (line == kPing) return base::Millis(0);
    if (!line.starts_with(kPingBegin)) return std::nullopt;
    line.remove_prefix(kPingBegin.size());
    std::uint32_t silence = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), silence);
    return base::Millis(error == std::errc{} ? silence : 0);
}
}  // namespace

StreamConnection::StreamConnection(asio::io_context& io, std::unique_ptr<ByteStream> stream,
                                   const TransportOptions& options, Handler& handler)
    : io_(io),
      stream_(std::move(stream)),
      max_queue_(options.max_queue),
      ping_(std::string(kPingBegin) + std::to_string(options.silence.count()) + "}"),
      ping_every_(ping_interval(options.silence)),
      handler_(&handler),
      timer_(io),
      ping_timer_(io),
      turn_timer_(io) {}

void StreamConnection::open() {
    stream_->handshake([self = shared_from_this()](error_code error) { self->on_handshake(error); });
    tick();
}

void StreamConnection::on_handshake(const error_code& error) {
    if (closed_) return;
    if (error) return fail(stream_->explain(error));
    ready_ = true;
    silent_ticks_ = 0;
    append(ping_);
    keep_alive();
    read();
}

void StreamConnection::read() {
    stream_->read_some(asio::buffer(input_),
                       [self = shared_from_this()](error_code error, std::size_t size) { self->on_read(error, size); });
}

void StreamConnection::on_read(const error_code& error, std::size_t size) {
    if (closed_) return;
    if (error) return fail(stream_->explain(error));
    unread_ = std::string_view(input_.data(), size);
    handle();
}

/// One that sends what costs us long has half of our time at most: it waits for as long as it has taken, and its
/// socket with it.
void StreamConnection::handle() {
    if (closed_) return;
    if (!finishing_) silent_ticks_ = 0;
    const base::TimePoint begin = base::Clock::now();
    base::Duration taken{};
    for (std::size_t messages = 0; !unread_.empty() && messages < kMessagesInTurn && taken < kLongTurn; ++messages) {
        const std::size_t line = std::min(unread_.find('\n'), unread_.size() - 1) + 1;
        framer_.feed(unread_.substr(0, line), [this](std::string_view whole) { take(whole); });
        unread_.remove_prefix(line);
        taken = base::Clock::now() - begin;
    }
    if (framer_.overlong_lines() > 0) fail("sent a message of more than 1 MiB");
    if (peer_keeps_alive_ && !closed_ && handler_ != nullptr) handler_->on_alive();
    if (closed_) return;
    if (unread_.empty() && taken < kLongTurn) return read();
    const base::Duration pause =
        taken < kLongTurn ? base::Duration{} : std::min<base::Duration>(taken, kLongestTurnPause);
    turn_timer_.after(pause, [self = shared_from_this()] { self->unread_.empty() ? self->read() : self->handle(); });
}

void StreamConnection::take(std::string_view line) {
    if (closed_ || handler_ == nullptr) return;
    if (!std::exchange(peer_spoke_, true)) handler_->on_open();
    // The handler may have ended us.
    if (closed_ || handler_ == nullptr) return;
    if (const auto silence = read_ping(line)) return on_ping(*silence);
    handler_->on_line(line);
}

void StreamConnection::on_ping(base::Millis silence) {
    if (silence == base::Millis::zero()) return;
    peer_keeps_alive_ = true;
    const base::Millis every = ping_interval(silence);
    if (std::exchange(ping_every_, every) > every) keep_alive();
}

/// Also while messages go out: what is regular can be judged. Behind a full queue it would only wait.
void StreamConnection::keep_alive() {
    ping_timer_.after(ping_every_, [this] {
        if (!finishing_ && queue_.empty() && writing_.empty()) append(ping_);
        keep_alive();
    });
}

std::size_t StreamConnection::send(std::string_view line) {
    if (full_) return 1;
    if (closed_ || finishing_) return 0;
    ++waiting_messages_;
    if (queue_.size() + writing_.size() + line.size() + 1 > max_queue_) {
        full_ = true;
        fail("does not read: more than " + std::to_string(max_queue_) + " bytes wait for it; dropped " +
             std::to_string(waiting_messages_) + " messages");
        return waiting_messages_;
    }
    append(line);
    return 0;
}

/// What is sent in one turn of the loop goes out in one write.
void StreamConnection::append(std::string_view line) {
    queue_ += line;
    queue_ += '\n';
    if (write_scheduled_ || !writing_.empty() || !ready_) return;
    write_scheduled_ = true;
    asio::post(io_, [self = shared_from_this()] {
        self->write_scheduled_ = false;
        self->write();
    });
}

void StreamConnection::write() {
    if (closed_ || !writing_.empty()) return;
    if (queue_.empty()) {
        if (finishing_) stream_->finish_sending();
        return;
    }
    writing_.swap(queue_);
    writing_messages_ = waiting_messages_;
    stream_->write_all(asio::buffer(writing_),
                       [self = shared_from_this()](error_code error, std::size_t) { self->on_written(error); });
}

void StreamConnection::on_written(const error_code& error) {
    writing_.clear();
    waiting_messages_ -= std::exchange(writing_messages_, 0);
    if (writing_.capacity() > kKeptBuffer) writing_.shrink_to_fit();
    if (closed_) return;
    if (error) return fail(stream_->explain(error));
    write();
}

void StreamConnection::tick() {
    timer_.after(kTick, [this] { on_tick(); });
}

void StreamConnection::on_tick() {
    if (++silent_ticks_ >= kSilentTicks)
        return fail(ready_ ? "silent for " + std::to_string((kTick * kSilentTicks).count()) + " ms"
                           : "no answer to the TLS handshake");
    tick();
}

void StreamConnection::finish() {
    handler_ = nullptr;
    if (closed_ || std::exchange(finishing_, true)) return;
    if (!ready_) return close();
    // What the peer still sends is read and dropped until it closes: closing first would throw away what is on its way
    // to it.
    silent_ticks_ = 0;
    write();
}

void StreamConnection::close() {
    handler_ = nullptr;
    if (std::exchange(closed_, true)) return;
    timer_.cancel();
    ping_timer_.cancel();
    turn_timer_.cancel();
    stream_->close();
}

void StreamConnection::fail(const std::string& why) {
    if (closed_) return;
    Handler* handler = handler_;
    close();
    if (handler == nullptr) return;
    handler_ = handler;
    asio::post(io_, [self = shared_from_this(), why] {
        if (Handler* last = std::exchange(self->handler_, nullptr)) last->on_closed(why);
    });
}

}  // namespace vitalwire::bus
