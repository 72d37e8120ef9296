#include "bus/byte_stream.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "bus/tls_context.hpp"

namespace vitalwire::bus {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using boost::system::error_code;

namespace {

void send_at_once(ByteStream::Socket& socket) {
    error_code no_tcp;  // a UNIX socket has no such delay
    socket.set_option(asio::ip::tcp::no_delay(true), no_tcp);
}

void shut_down_sending(ByteStream::Socket& socket) {
    error_code gone;
    socket.shutdown(asio::socket_base::shutdown_send, gone);
}

void close_socket(ByteStream::Socket& socket) {
    error_code ignored;
    socket.close(ignored);
}

std::string explain_transport(const error_code& error) {
    if (error == asio::error::eof || error == ssl::error::stream_truncated) return "closed by the peer";
    return error.message();
}

class PlainStream final : public ByteStream {
public:
    explicit PlainStream(Socket socket) : socket_(std::move(socket)) { send_at_once(socket_); }

    void handshake(Done done) override {
        asio::post(socket_.get_executor(), [done = std::move(done)] { done(error_code()); });
    }
    void read_some(asio::mutable_buffer into, Transferred done) override {
        socket_.async_read_some(into, std::move(done));
    }
    void write_all(asio::const_buffer from, Transferred done) override {
        asio::async_write(socket_, from, std::move(done));
    }
    void finish_sending() override { shut_down_sending(socket_); }
    void close() override { close_socket(socket_); }
    std::string explain(const error_code& error) const override { return explain_transport(error); }
    bool authenticated() const override { return false; }
    std::vector<std::string> certified_names() const override { return {}; }

private:
    Socket socket_;
};

class TlsStream final : public ByteStream {
public:
    TlsStream(Socket socket, std::shared_ptr<ssl::context> context, const std::string& host)
        : context_(std::move(context)), stream_(std::move(socket), *context_), is_client_(!host.empty()) {
        send_at_once(stream_.next_layer());
        if (is_client_) expect_host(stream_.native_handle(), host);
    }

    void handshake(Done done) override {
        stream_.async_handshake(is_client_ ? ssl::stream_base::client : ssl::stream_base::server, std::move(done));
    }
    void read_some(asio::mutable_buffer into, Transferred done) override {
        stream_.async_read_some(into, std::move(done));
    }
    void write_all(asio::const_buffer from, Transferred done) override {
        asio::async_write(stream_, from, std::move(done));
    }
    void finish_sending() override { shut_down_sending(stream_.next_layer()); }
    void close() override { close_socket(stream_.next_layer()); }

    std::string explain(const error_code& error) const override {
        if (error.category() != asio::error::get_ssl_category()) return explain_transport(error);
        return explain_handshake(native(), error);
    }
    bool authenticated() const override { return true; }
    std::vector<std::string> certified_names() const override { return bus::certificate_names(native()); }
    bool is_revoked(ssl::context& context) const override { return is_peer_revoked(native(), context.native_handle()); }

private:
    SSL* native() const { return stream_.native_handle(); }

    std::shared_ptr<ssl::context> context_;  // may be replaced by renewed certificates while we run
    mutable ssl::stream<Socket> stream_;     // asking OpenSSL needs the handle, which is not const
    bool is_client_;
};

}  // namespace

std::unique_ptr<ByteStream> make_plain_stream(ByteStream::Socket socket) {
    return std::make_unique<PlainStream>(std::move(socket));
}

std::unique_ptr<ByteStream> make_tls_stream(ByteStream::Socket socket, std::shared_ptr<ssl::context> context,
                                            const std::string& host) {
    return std::make_unique<TlsStream>(std::move(socket), std::move(context), host);
}

}  // namespace vitalwire::bus
