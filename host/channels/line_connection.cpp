#include "host/channels/line_connection.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

#include "host/channels/file_identity.hpp"

namespace vitalwire::host {

namespace asio = boost::asio;

namespace {

constexpr base::Millis kFirstRetry{100};
constexpr base::Millis kLongestRetry{5000};
/// A connection that ends sooner does not count as a success: its back-off goes on growing.
constexpr base::Millis kStable{1000};

/// One buffer serves all of them: a connection keeps nothing but its unfinished line.
thread_local std::array<char, EpollPoller::kReadSize> g_read_buffer;
/// Messages for which an empty queue keeps its memory: a challenge waits in it with every beat.
constexpr std::size_t kKeptQueue = 1;
/// What a socket holds at most.
constexpr int kLastReads = 8;
/// What the kernel keeps at most for a guest that reads slowly, about: its next challenge waits behind it.
constexpr int kSendBuffer = 8 * 1024;
/// Of its rate: reading costs little beside what is done with a line.
constexpr double kReadAbove = 4;

/// Half of the delay to one and a half: peers that went away together do not come back in step.
base::Millis jittered(base::Millis delay) {
    thread_local std::minstd_rand generator{std::random_device{}()};
    return base::Millis(
        std::uniform_int_distribution<base::Millis::rep>(delay.count() / 2, delay.count() * 3 / 2)(generator));
}

base::TokenBucket bytes_bucket(double per_second) {
    return {per_second, std::max(2 * per_second, static_cast<double>(EpollPoller::kReadSize))};
}

/// Connects without blocking: on UNIX sockets that works at once or not at all. Not left to Asio, which takes a full
/// backlog (EAGAIN) for a connection on its way.
int connect_to(const std::string& path, int& error) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        error = ENAMETOOLONG;
        return -1;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error = errno;
        return -1;
    }
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    error = errno;
    ::close(fd);
    return -1;
}

}  // namespace

LineConnection::LineConnection(asio::io_context& io, std::string path, Limits limits, Handler& handler)
    : poller_(asio::use_service<EpollPoller>(io)),
      io_(io),
      timer_(io),
      path_(std::move(path)),
      limits_(limits),
      handler_(&handler),
      framer_(limits.max_line),
      bytes_(bytes_bucket(limits.bytes_per_second)),
      read_bytes_(bytes_bucket(kReadAbove * limits.bytes_per_second)),
      retry_after_(kFirstRetry) {}

LineConnection::~LineConnection() {
    reset();
}

std::shared_ptr<LineConnection> LineConnection::make(asio::io_context& io, std::string path, Limits limits,
                                                     Handler& handler) {
    return std::shared_ptr<LineConnection>(new LineConnection(io, std::move(path), limits, handler));
}

void LineConnection::start() {
    // A host with thousands of channels connects them one a turn, not all in one.
    asio::post(io_, [self = shared_from_this()] { self->connect(); });
}

void LineConnection::set_bytes_per_second(double bytes_per_second) {
    bytes_ = bytes_bucket(bytes_per_second);
    read_bytes_ = bytes_bucket(kReadAbove * bytes_per_second);
}

void LineConnection::close() {
    closed_ = true;
    handler_ = nullptr;
    reset();
}

void LineConnection::retry_now() {
    if (closed_) return;
    if (up()) {
        const std::string socket = identity_of(path_).text;
        if (!socket.empty() && socket != connected_to_) drop_later("another socket is at its path");
        return;
    }
    retry_after_ = kFirstRetry;
    timer_.cancel();
    start();
}

void LineConnection::connect() {
    if (closed_ || up()) return;
    int error = 0;
    connected_to_ = identity_of(path_).text;
    if (!only_.empty() && connected_to_ != only_) return back_off(0);
    fd_ = connect_to(path_, error);
    if (fd_ < 0) return back_off(error);
    if (identity_of(path_).text != connected_to_) {
        ::close(std::exchange(fd_, -1));
        return back_off(0);  // replaced just now: to which one it is connected is not known
    }
    if (const int refused = poller_.watch(fd_, {.read = true}, weak_from_this()); refused != 0) {
        ::close(std::exchange(fd_, -1));
        return back_off(refused);
    }
    up_since_ = base::Clock::now();
    ++connection_;
    handler_->on_up();
}

void LineConnection::back_off(int error) {
    timer_.after(jittered(retry_after_), [self = shared_from_this()] { self->connect(); });
    retry_after_ = std::min(2 * retry_after_, kLongestRetry);
    if (error != 0) handler_->on_unreachable(error);
}

void LineConnection::update_interest() {
    if (!up()) return;
    const int refused = poller_.watch(fd_, {.read = !paused_, .write = !queue_.empty()}, weak_from_this());
    if (refused != 0) drop_later(std::generic_category().message(refused));
}

void LineConnection::read_now() {
    const std::uint64_t connection = connection_;
    for (int reads = 0; reads < kLastReads && connection == connection_ && !closed_ && up(); ++reads) {
        const auto got = EpollPoller::read(fd_, g_read_buffer.data());
        if (!got) return;
        const bool more = got->bytes.size() == EpollPoller::kReadSize;
        on_read(got->bytes, got->error);
        if (!more) return;
    }
}

void LineConnection::on_read(std::string_view bytes, int error) {
    if (bytes.empty()) return drop(error == 0 ? "closed by the other side" : std::generic_category().message(error));
    const std::uint64_t connection = connection_;
    deliver(bytes);
    if (connection != connection_) return;
    const base::TimePoint now = base::Clock::now();
    const auto count = static_cast<double>(bytes.size());
    above_rate_ = bytes_.charge(now, count) > base::Duration::zero();
    const base::Duration debt = read_bytes_.charge(now, count);
    if (debt > base::Duration::zero()) pause_reading(debt);
}

void LineConnection::deliver(std::string_view bytes) {
    const std::uint64_t connection = connection_;
    framer_.feed(bytes, [&](std::string_view line) {
        if (connection == connection_) handler_->on_line(line);
    });
    if (connection != connection_ || framer_.overlong_lines() == overlong_told_) return;
    handler_->on_overlong_lines(framer_.overlong_lines() - overlong_told_);
    overlong_told_ = framer_.overlong_lines();
}

void LineConnection::pause_reading(base::Duration pause) {
    paused_ = true;
    timer_.after(pause, [self = shared_from_this()] {
        self->paused_ = false;
        self->update_interest();
    });
    update_interest();
    handler_->on_throttled();
}

void LineConnection::send(std::string message, Keep keep) {
    if (closed_ || !up()) return;
    if (!queue_.empty()) return enqueue(std::move(message), keep);
    if (keep == Keep::latest && !paused_) {  // one that is paused is not watched now
        enqueue(std::move(message), keep);
        return poller_.write_soon(fd_);
    }
    std::size_t written = 0;
    if (!write_some(message, written) || written == message.size()) return;
    written_ = written;
    enqueue(std::move(message), keep);
    update_interest();
}

void LineConnection::enqueue(std::string message, Keep keep) {
    // The first message may be on its way in part: it is finished or the connection ends, but never cut short.
    const auto first_whole = queue_.begin() + (written_ > 0 && !queue_.empty() ? 1 : 0);
    std::uint64_t given_up = 0;
    const auto give_up = [&](auto position) {
        queued_bytes_ -= position->bytes.size();
        queue_.erase(position);
        ++given_up;
    };
    if (keep == Keep::latest) {
        const auto earlier =
            std::find_if(first_whole, queue_.end(), [](const Message& m) { return m.keep == Keep::latest; });
        if (earlier != queue_.end()) give_up(earlier);
    }
    const std::size_t started = written_ > 0 && !queue_.empty() ? 1 : 0;
    while (queue_.size() > started && queued_bytes_ + message.size() > limits_.queue)
        give_up(queue_.begin() + static_cast<std::ptrdiff_t>(started));
    queued_bytes_ += message.size();
    queue_.push_back({std::move(message), keep});
    if (given_up > 0) handler_->on_not_read(given_up);
}

void LineConnection::on_writable() {
    if (!queue_.empty()) flush();
}

void LineConnection::flush() {
    std::string joined;
    if (queue_.size() > 1) {
        for (const Message& message : queue_)
            joined += message.bytes;
    }
    const std::string& waiting = joined.empty() ? queue_.front().bytes : joined;
    std::size_t written = written_;
    if (!write_some(waiting, written)) return;
    while (!queue_.empty() && written >= queue_.front().bytes.size()) {
        written -= queue_.front().bytes.size();
        queued_bytes_ -= queue_.front().bytes.size();
        queue_.erase(queue_.begin());
    }
    written_ = written;
    update_interest();
    if (!queue_.empty()) return;
    if (queue_.capacity() > kKeptQueue) queue_.shrink_to_fit();
    handler_->on_drained();
}

/// Writes from `written` on, as much as the socket takes, and moves `written`. False when the connection is broken.
bool LineConnection::write_some(std::string_view bytes, std::size_t& written) {
    const ssize_t sent = ::send(fd_, bytes.data() + written, bytes.size() - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
        written += static_cast<std::size_t>(sent);
        return true;
    }
    if (errno == EAGAIN || errno == EINTR) return true;
    drop_later(std::generic_category().message(errno));
    return false;
}

void LineConnection::drop_later(const std::string& why) {
    asio::post(io_, [self = shared_from_this(), why, connection = connection_] {
        if (connection == self->connection_) self->hear_out(why);
    });
}

/// The other side went without hearing us; what it said before is heard.
void LineConnection::hear_out(const std::string& why) {
    const std::uint64_t connection = connection_;
    read_now();
    if (connection == connection_) drop(why);
}

void LineConnection::drop(const std::string& why) {
    reset();
    if (base::Clock::now() - up_since_ >= kStable) retry_after_ = kFirstRetry;
    back_off(0);
    handler_->on_down(why);
}

/// Everything that belongs to one connection dies with it: half a line, half a message, what waited.
void LineConnection::reset() {
    if (up()) {
        poller_.forget(fd_);
        ::close(std::exchange(fd_, -1));
    }
    timer_.cancel();
    framer_.reset();
    queue_.clear();
    queued_bytes_ = 0;
    written_ = 0;
    paused_ = above_rate_ = false;
    ++connection_;
}

}  // namespace vitalwire::host
