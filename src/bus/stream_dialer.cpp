#include "bus/stream_dialer.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <utility>

#include "base/clock.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;
using base::Errc;
using boost::system::error_code;

namespace {
constexpr base::Millis kTimeout{3000};
}

/// One attempt; forgotten when it is cancelled, its handlers then find `dialed_` empty.
class StreamDialer::Attempt : public std::enable_shared_from_this<Attempt> {
public:
    using Connected = std::function<void(base::Result<ByteStream::Socket>)>;

    Attempt(asio::io_context& io, Connected connected)
        : connected_(std::move(connected)), resolver_(io), tcp_(io), unix_(io), timer_(io) {}

    void start(const StreamUrl& url) {
        timer_.after(kTimeout, [this] { end(base::fail(Errc::timeout, "no connection within 3 s")); });
        if (url.scheme == StreamUrl::Scheme::unix_socket) return connect(stream_protocol::endpoint(url.path));
        resolver_.async_resolve(
            url.host_port.host, url.host_port.port,
            [self = shared_from_this()](error_code error, const tcp::resolver::results_type& found) {
                if (error) return self->failed("cannot resolve the name: ", error);
                self->connect(found);
            });
    }

    void cancel() {
        connected_ = nullptr;
        timer_.cancel();
        resolver_.cancel();
        error_code ignored;
        tcp_.close(ignored);
        unix_.close(ignored);
    }

private:
    void connect(const stream_protocol::endpoint& endpoint) {
        unix_.async_connect(endpoint, [self = shared_from_this()](error_code error) {
            if (error) return self->failed("cannot connect: ", error);
            self->end(ByteStream::Socket(std::move(self->unix_)));
        });
    }

    void connect(const tcp::resolver::results_type& found) {
        if (!connected_) return;
        asio::async_connect(tcp_, found, [self = shared_from_this()](error_code error, const tcp::endpoint&) {
            if (error) return self->failed("cannot connect: ", error);
            self->end(ByteStream::Socket(std::move(self->tcp_)));
        });
    }

    void failed(const std::string& what, const error_code& error) {
        end(base::fail(Errc::unavailable, what + error.message()));
    }

    void end(base::Result<ByteStream::Socket> socket) {
        if (!connected_) return;
        const Connected connected = std::move(connected_);
        cancel();
        connected(std::move(socket));
    }

    Connected connected_;
    tcp::resolver resolver_;
    tcp::socket tcp_;
    stream_protocol::socket unix_;
    runtime::Timer timer_;
};

StreamDialer::StreamDialer(asio::io_context& io, StreamUrl url, std::optional<TlsContext> tls)
    : io_(io), url_(std::move(url)), tls_(std::move(tls)) {}

StreamDialer::~StreamDialer() {
    cancel();
}

void StreamDialer::dial(Dialed dialed) {
    cancel();
    attempt_ = std::make_shared<Attempt>(io_, [this, dialed = std::move(dialed)](auto socket) {
        if (!socket) return dialed(tl::make_unexpected(socket.error()));
        dialed(tls_ ? make_tls_stream(std::move(*socket), tls_->current(), url_.host_port.host)
                    : make_plain_stream(std::move(*socket)));
    });
    attempt_->start(url_);
}

base::Result<void> StreamDialer::use(const Access& access) {
    if (!tls_) return {};
    return tls_->use(access.tls);
}

bool StreamDialer::trust_has_changed() {
    if (!tls_) return false;
    auto now = tls_->current();
    return std::exchange(trusted_, now) != now;
}

void StreamDialer::cancel() {
    if (attempt_) attempt_->cancel();
    attempt_.reset();
}

}  // namespace vitalwire::bus
