#include "guest/unix_channel.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/log.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::guest {

using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kSocketRetry{1};
constexpr mode_t kChannelMode = 0660;
/// One host is served, the next one waits: as QEMU does.
constexpr int kHostsWaiting = 1;

}  // namespace

UnixChannel::UnixChannel(boost::asio::io_context& io, std::string path)
    : io_(io), path_(std::move(path)), retry_(io), acceptor_(io) {}

UnixChannel::~UnixChannel() {
    close();
}

void UnixChannel::start(Events& events) {
    events_ = &events;
    listen();
}

void UnixChannel::stop() {
    retry_.cancel();
    close();
}

void UnixChannel::close() {
    if (stream_) stream_->close();
    stream_.reset();
    if (!acceptor_.is_open()) return;
    error_code ignored;
    acceptor_.close(ignored);
    ::unlink(path_.c_str());
}

bool UnixChannel::send(std::string message, Priority priority) {
    return stream_ && stream_->send(std::move(message), priority);
}

std::string UnixChannel::status() const {
    if (!problem_.empty()) return problem_;
    return stream_ ? "host connected" : "waiting for a host on socket " + path_;
}

void UnixChannel::listen() {
    const auto listening = try_listen();
    if (listening) {
        problem_.clear();
        tell_change();
        return accept();
    }
    report(listening.error().message);
    retry_.after(kSocketRetry, [this] { listen(); });
}

base::Result<void> UnixChannel::try_listen() {
    const auto listener = runtime::open_unix_listener(path_, SOCK_STREAM, kChannelMode, kHostsWaiting);
    if (!listener) return tl::make_unexpected(listener.error());
    error_code error;
    acceptor_.assign(Protocol(), *listener, error);
    if (!error) return {};
    ::close(*listener);
    return base::fail(base::Errc::io, "socket " + path_ + ": " + error.message());
}

void UnixChannel::accept() {
    acceptor_.async_accept([this](error_code error, Protocol::socket socket) {
        if (error == boost::asio::error::operation_aborted) return;
        if (error) return accept_later("socket " + path_ + ": accept: " + error.message());
        socket.non_blocking(true, error);
        serve(socket.release());
    });
}

void UnixChannel::accept_later(const std::string& problem) {
    report(problem);
    retry_.after(kSocketRetry, [this] { accept(); });
}

void UnixChannel::serve(int descriptor) {
    Stream::Handler handler;
    handler.on_bytes = [this](std::string_view bytes) { events_->received(bytes); };
    handler.on_open = [this] { events_->host_connected(); };
    handler.on_hang_up = [this] { hung_up(); };
    handler.on_gone = [this](int) { hung_up(); };
    auto stream = Stream::make(io_, descriptor, std::move(handler));
    if (!stream) return accept_later("socket " + path_ + ": " + stream.error().message);
    problem_.clear();
    stream_ = std::move(*stream);
    stream_->start();
    tell_change();
}

void UnixChannel::report(const std::string& problem) {
    if (problem == problem_) return;
    problem_ = problem;
    log::warning("the channel is not available, trying again every second", {{"why", problem}});
    tell_change();
}

void UnixChannel::hung_up() {
    stream_->close();
    stream_.reset();
    events_->host_disconnected();
    tell_change();
    accept();
}

}  // namespace vitalwire::guest
