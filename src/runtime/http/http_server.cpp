#include "runtime/http/http_server.hpp"

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "runtime/listen.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using base::Result;
using boost::system::error_code;

namespace {

constexpr std::uint32_t kMaxHeader = 16U << 10U;
constexpr std::uint64_t kMaxBody = 64U << 10U;  // nothing here takes a body of any size
constexpr std::size_t kMaxConnections = 256;    // a scraper, some operators; not the file descriptors of the guests
constexpr base::Millis kTimeout{30'000};        // one request or answer, and an idle connection

using Socket = Listener::Socket;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;

/// "%2F" decoded; absent when a percent sign is not followed by two hexadecimal digits, or for a zero byte.
std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        unsigned value = 0;
        const char* digits = text.data() + i + 1;
        const auto [end, error] = std::from_chars(digits, digits + 2, value, 16);
        if (error != std::errc{} || end != digits + 2 || value == 0) return std::nullopt;
        out += static_cast<char>(value);
        i += 2;
    }
    return out;
}

HttpResponse refusal(http::status status, const std::string& why) {
    return {static_cast<int>(status), "application/json", R"({"error":")" + why + "\"}\n"};
}

}  // namespace

std::string HttpRequest::query_value(const std::string& name) const {
    std::string_view rest = query;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('&'), rest.size());
        const std::string_view pair = rest.substr(0, end);
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (percent_decode(pair.substr(0, equals)) == name)
            return percent_decode(pair.substr(std::min(equals + 1, pair.size()))).value_or("");
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
}

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
public:
    class Connection;

    Impl(asio::io_context& io, LateHandler handler) : io_(io), handler_(std::move(handler)) {}

    Result<void> listen(const std::string& address);
    const std::string& address() const { return address_; }
    void stop();

private:
    void accept();
    void take(Socket socket, std::string peer);
    bool has_room();

    asio::io_context& io_;
    LateHandler handler_;
    std::optional<Listener> listener_;
    std::string address_;
    bool running_ = false;
    bool full_ = false;
    std::map<const Connection*, std::weak_ptr<Connection>> connections_;
};

/// One client: reads a request, writes its answer, and again.
class HttpServer::Impl::Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(Socket socket, std::string peer, std::weak_ptr<Impl> server)
        : stream_(std::move(socket)), peer_(std::move(peer)), server_(std::move(server)) {}
    ~Connection() {
        if (const auto server = server_.lock()) server->connections_.erase(this);
    }

    void read() {
        parser_.emplace();
        parser_->header_limit(kMaxHeader);
        parser_->body_limit(kMaxBody);
        stream_.expires_after(kTimeout);
        http::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
    }

    void close() {
        error_code ignored;
        stream_.socket().close(ignored);
    }

private:
    void on_read(error_code error) {
        if (error == http::error::end_of_stream) return close();
        if (error == http::error::header_limit)
            return write(refusal(http::status::request_header_fields_too_large, "header larger than 16 KiB"), false);
        if (error == http::error::body_limit)
            return write(refusal(http::status::payload_too_large, "body larger than 64 KiB"), false);
        if (error.category() == make_error_code(http::error::bad_method).category())
            return write(refusal(http::status::bad_request, "no valid HTTP/1.1 request"), false);
        if (error) return close();
        handle(parser_->release());
    }

    void handle(http::request<http::string_body> message) {
        const auto server = server_.lock();
        if (!server || !server->running_) return close();
        head_ = message.method() == http::verb::head;
        const std::string_view target(message.target().data(), message.target().size());
        const std::size_t question = std::min(target.find('?'), target.size());
        auto path = percent_decode(target.substr(0, question));
        if (!path || path->empty() || path->front() != '/')
            return write(refusal(http::status::bad_request, "no valid path"), false);

        HttpRequest request;
        request.method = head_ ? "GET" : std::string(message.method_string());
        request.path = std::move(*path);
        request.query = target.substr(std::min(question + 1, target.size()));
        request.body = std::move(message.body());
        request.peer = peer_;
        stream_.expires_never();
        server->handler_(request, [self = shared_from_this(), keep_alive = message.keep_alive()](HttpResponse answer) {
            self->write(std::move(answer), keep_alive);
        });
    }

    void write(HttpResponse response, bool keep_alive) {
        response_.emplace();
        response_->result(static_cast<unsigned>(response.status));
        response_->set(http::field::server, "vitalwire");
        response_->set(http::field::content_type, response.content_type);
        response_->set(http::field::cache_control, "no-store");
        response_->keep_alive(keep_alive);
        response_->body() = std::move(response.body);
        response_->prepare_payload();
        serializer_.emplace(*response_);
        stream_.expires_after(kTimeout);
        const auto written = [self = shared_from_this(), keep_alive](error_code error, std::size_t) {
            if (error || !keep_alive) return self->close();
            self->read();
        };
        if (head_) return http::async_write_header(stream_, *serializer_, written);
        http::async_write(stream_, *serializer_, written);
    }

    Stream stream_;
    std::string peer_;
    std::weak_ptr<Impl> server_;
    beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
    std::optional<http::request_parser<http::string_body>> parser_;
    std::optional<http::response<http::string_body>> response_;
    std::optional<http::response_serializer<http::string_body>> serializer_;
    bool head_ = false;
};

Result<void> HttpServer::Impl::listen(const std::string& address) {
    auto listener = Listener::open(io_, address);
    if (!listener) return tl::make_unexpected(listener.error());
    listener_.emplace(std::move(*listener));
    address_ = listener_->address();
    running_ = true;
    accept();
    return {};
}

void HttpServer::Impl::accept() {
    listener_->accept([weak = weak_from_this()](Socket socket, std::string peer) {
        const auto self = weak.lock();
        if (!self || !self->running_) return;
        if (self->has_room()) self->take(std::move(socket), std::move(peer));
        self->accept();
    });
}

void HttpServer::Impl::take(Socket socket, std::string peer) {
    const auto connection = std::make_shared<Connection>(std::move(socket), std::move(peer), weak_from_this());
    connections_[connection.get()] = connection;
    connection->read();
}

bool HttpServer::Impl::has_room() {
    const bool full = connections_.size() >= kMaxConnections;
    if (full != full_) {
        full_ = full;
        if (full) log::warning("too many HTTP connections, closing new ones", {{"limit", kMaxConnections}});
    }
    return !full;
}

void HttpServer::Impl::stop() {
    if (!running_) return;
    running_ = false;
    listener_->close();
    const auto connections = std::exchange(connections_, {});
    for (const auto& [key, weak] : connections) {
        if (const auto connection = weak.lock()) connection->close();
    }
}

HttpServer::HttpServer(asio::io_context& io, Handler handler)
    : HttpServer(io, LateHandler([handler = std::move(handler)](const HttpRequest& request, const Respond& respond) {
                     respond(handler(request));
                 })) {}

HttpServer::HttpServer(asio::io_context& io, LateHandler handler)
    : impl_(std::make_shared<Impl>(io, std::move(handler))) {}

HttpServer::~HttpServer() {
    impl_->stop();
}
Result<void> HttpServer::listen(const std::string& address) {
    return impl_->listen(address);
}
const std::string& HttpServer::address() const {
    return impl_->address();
}
void HttpServer::stop() {
    impl_->stop();
}

}  // namespace vitalwire::runtime
