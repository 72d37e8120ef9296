#include "guest/unix_channel.hpp"

#include <unistd.h>

#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kRetry{1};

}  // namespace

UnixChannel::UnixChannel(boost::asio::io_context& io, std::string path)
    : io_(io), path_(std::move(path)), retry_(io), acceptor_(io) {}

UnixChannel::~UnixChannel() {
    stop();
}

void UnixChannel::start(Events& events) {
    events_ = &events;
    listen();
}

void UnixChannel::stop() {
    retry_.cancel();
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
        return accept();
    }
    if (listening.error().message != problem_) {
        problem_ = listening.error().message;
        log::warning("the channel is not available, trying again every second", {{"why", problem_}});
    }
    retry_.expires_after(kRetry);
    retry_.async_wait([this](error_code error) {
        if (!error) listen();
    });
}

base::Result<void> UnixChannel::try_listen() {
    if (path_.empty() || path_.size() >= sizeof(sockaddr_un::sun_path))
        return base::fail(base::Errc::config, "socket path '" + path_ + "' is empty or too long");
    const Protocol::endpoint endpoint(path_);
    error_code error;
    Protocol::socket probe(io_);
    probe.open(endpoint.protocol(), error);
    // One that listens but does not accept now must not keep us waiting; it holds the socket all the same.
    probe.non_blocking(true, error);
    probe.connect(endpoint, error);
    if (!error || error == boost::asio::error::would_block)
        return base::fail(base::Errc::io, "socket " + path_ + " is held by another process");
    // Refused: nobody listens on a socket that an earlier process left behind.
    if (error == boost::asio::error::connection_refused) ::unlink(path_.c_str());
    acceptor_ = Protocol::acceptor(io_);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1, error);
    if (!error) return {};
    const std::string why = "cannot listen on socket " + path_ + ": " + error.message();
    acceptor_.close(error);
    return base::fail(base::Errc::io, why);
}

void UnixChannel::accept() {
    acceptor_.async_accept([this](error_code error, Protocol::socket socket) {
        if (error == boost::asio::error::operation_aborted) return;
        if (error) return accept_later();
        socket.non_blocking(true, error);
        serve(socket.release());
    });
}

void UnixChannel::accept_later() {
    retry_.expires_after(kRetry);
    retry_.async_wait([this](error_code error) {
        if (!error) accept();
    });
}

void UnixChannel::serve(int descriptor) {
    stream_ = std::make_shared<Stream>(
        io_, descriptor,
        Stream::Handler{[this](std::string_view bytes) { events_->received(bytes); },
                        [this] { events_->host_connected(); }, [this] { hung_up(); }, [this](int) { hung_up(); }});
    stream_->start();
}

void UnixChannel::hung_up() {
    stream_->close();
    stream_.reset();
    events_->host_disconnected();
    accept();
}

}  // namespace vitalwire::guest
