#include "runtime/http/http_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "runtime/admission.hpp"
#include "runtime/http/http_date.hpp"
#include "runtime/timer.hpp"

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
constexpr std::size_t kMaxWaiting = 1024;       // for late answers, beside those
constexpr std::size_t kMaxWaitingOfOne = 768;   // source of them
constexpr base::Millis kHeaderTimeout{2'000};   // of a connection's first request
constexpr base::Millis kDenialPause{1'000};     // between two lines of the log
constexpr base::Millis kSameDenialPause{60'000};
constexpr base::Millis kTimeout{30'000};  // one body or piece of an answer, and an idle connection

using Socket = Admission::Socket;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using TlsStream = asio::ssl::stream<Stream>;

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

std::string user_of(Socket& socket) {
    ucred credentials{};
    socklen_t size = sizeof(credentials);
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return "unknown";
    return std::to_string(credentials.uid);
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
    template <class AnyStream>
    class ConnectionOver;

    Impl(asio::io_context& io, LateHandler handler) : io_(io), handler_(std::move(handler)) {}

    void use_tls(Tls tls) { tls_ = std::move(tls); }
    Result<void> listen(const std::string& address);
    const std::string& address() const { return address_; }
    std::string problem() const;
    std::uint64_t refused() const;
    std::uint64_t denied() const { return denied_; }
    void stop();

private:
    void accept(Admission& listener);
    void take(Socket socket, std::string peer);
    void make_room();
    bool may_wait(const std::string& source) const;
    void waits(const std::string& source);
    void waits_no_more(const std::string& source);
    void note_denial(const std::string& peer, const std::string& request, const std::string& why);

    asio::io_context& io_;
    LateHandler handler_;
    Tls tls_;
    std::vector<std::unique_ptr<Admission>> listeners_;
    std::string address_;  ///< all of them
    bool running_ = false;
    std::uint64_t refused_ = 0;
    std::uint64_t denied_ = 0;
    std::uint64_t denied_when_logged_ = 0;
    std::string last_denial_;  ///< as logged
    base::TimePoint last_denial_at_{};
    std::uint64_t last_number_ = 0;
    std::map<std::uint64_t, std::weak_ptr<Connection>> connections_;  ///< in order of arrival
    std::map<std::string, std::size_t> waiting_;                      ///< for late answers, by source
    std::size_t all_waiting_ = 0;
};

class HttpServer::Impl::Connection {
public:
    Connection(std::string peer, std::string source, std::uint64_t number)
        : peer_(std::move(peer)), source_(std::move(source)), number_(number) {}
    virtual ~Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    virtual void start() = 0;
    virtual void close() = 0;

    const std::string& peer() const { return peer_; }
    std::uint64_t number() const { return number_; }
    /// The peer; over a UNIX socket its user.
    const std::string& source() const { return source_; }
    bool answering() const { return answering_; }
    bool waiting() const { return waiting_; }

protected:
    std::string peer_;
    std::string source_;
    std::uint64_t number_;
    bool answering_ = false;
    bool waiting_ = false;  ///< for a late answer
};

/// One client: reads a request, writes its answer, and again.
template <class AnyStream>
class HttpServer::Impl::ConnectionOver final : public Connection,
                                               public std::enable_shared_from_this<ConnectionOver<AnyStream>> {
public:
    ConnectionOver(AnyStream stream, std::shared_ptr<asio::ssl::context> tls, std::string peer, std::string source,
                   const std::shared_ptr<Impl>& server, std::uint64_t number)
        : Connection(std::move(peer), std::move(source), number),
          tls_(std::move(tls)),
          stream_(std::move(stream)),
          server_(server),
          next_piece_(server->io_) {}
    ~ConnectionOver() override {
        stop_waiting();
        if (const auto server = server_.lock()) server->connections_.erase(number_);
    }

    void start() override {
        if constexpr (std::is_same_v<AnyStream, TlsStream>) {
            lowest().expires_after(kHeaderTimeout);
            stream_.async_handshake(asio::ssl::stream_base::server,
                                    [self = this->shared_from_this()](error_code error) {
                                        error ? self->close() : self->read(kHeaderTimeout);
                                    });
        } else {
            read(kHeaderTimeout);
        }
    }

    void close() override {
        more_ = nullptr;  // what it reads may end before we do
        next_piece_.cancel();
        error_code ignored;
        lowest().socket().close(ignored);
    }

private:
    Stream& lowest() { return beast::get_lowest_layer(stream_); }

    void read(base::Millis header_timeout) {
        answering_ = false;
        parser_.emplace();
        parser_->header_limit(kMaxHeader);
        parser_->body_limit(kMaxBody);
        lowest().expires_after(header_timeout);
        http::async_read_header(stream_, buffer_, *parser_,
                                [self = this->shared_from_this()](error_code error, std::size_t) {
                                    if (error) return self->on_read(error);
                                    self->read_body();
                                });
    }

    void read_body() {
        lowest().expires_after(kTimeout);
        http::async_read(stream_, buffer_, *parser_,
                         [self = this->shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
    }

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
        version_ = message.version();
        const std::string_view target(message.target().data(), message.target().size());
        const std::size_t question = std::min(target.find('?'), target.size());
        auto path = percent_decode(target.substr(0, question));
        if (!path || path->empty() || path->front() != '/')
            return write(refusal(http::status::bad_request, "no valid path"), false);

        HttpRequest request;
        request.method = head_ ? "GET" : std::string(message.method_string());
        request.path = std::move(*path);
        request.query = target.substr(std::min(question + 1, target.size()));
        request.authorization = message[http::field::authorization];
        request.from_web_page = message.count(http::field::origin) > 0;
        request.body = std::move(message.body());
        request.peer = peer_;
        request.may_wait = server->may_wait(source_);
        lowest().expires_never();
        answering_ = waiting_ = true;
        server->waits(source_);
        server->handler_(request, [self = this->shared_from_this(), keep_alive = message.keep_alive(),
                                   what = request.method + ' ' + request.path,
                                   from_page = request.from_web_page](HttpResponse answer) {
            const auto alive = self->server_.lock();
            if (alive && (answer.status == 401 || answer.status == 403))
                alive->note_denial(self->peer_, what, from_page ? "of a web page" : "no token that allows it");
            self->write(std::move(answer), keep_alive);
        });
    }

    void stop_waiting() {
        if (!std::exchange(waiting_, false)) return;
        if (const auto server = server_.lock()) server->waits_no_more(source_);
    }

    void write(HttpResponse response, bool keep_alive) {
        stop_waiting();
        answering_ = true;
        // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
        const bool chunked = response.more && version_ >= 11;
        keep_alive_ = keep_alive && (chunked || !response.more);
        more_ = std::move(response.more);
        pause_ = response.pause;
        response_.emplace();
        response_->version(version_);
        response_->result(static_cast<unsigned>(response.status));
        response_->set(http::field::server, "vitalwire");
        response_->set(http::field::date, to_http_date(base::WallTime::clock::now()));
        response_->set(http::field::content_type, response.content_type);
        response_->set(http::field::cache_control, "no-store");
        response_->set("X-Content-Type-Options", "nosniff");
        for (const auto& [name, value] : response.headers)
            response_->set(name, value);
        if (response.status == 401) response_->set(http::field::www_authenticate, "Bearer");
        response_->keep_alive(keep_alive_);
        if (!more_) {
            response_->body() = std::move(response.body);
            response_->prepare_payload();
        } else {
            response_->chunked(chunked);
            piece_ = std::move(response.body);
        }
        serializer_.emplace(*response_);
        lowest().expires_after(kTimeout);
        if (head_ || more_) {
            return http::async_write_header(stream_, *serializer_,
                                            [self = this->shared_from_this()](error_code error, std::size_t) {
                                                if (error || self->head_ || !self->more_) return self->written(error);
                                                self->write_pieces();
                                            });
        }
        http::async_write(stream_, *serializer_,
                          [self = this->shared_from_this()](error_code error, std::size_t) { self->written(error); });
    }

    /// One piece, then the loop is everybody's, then the next one.
    void write_pieces() {
        const bool more = more_ && more_(piece_);
        if (!more) more_ = nullptr;
        lowest().expires_after(kTimeout);
        const auto done = [self = this->shared_from_this()](error_code error, std::size_t) {
            if (error) return self->close();
            self->piece_.clear();
            if (!self->more_) return self->write_last_chunk();
            self->pause_ == base::Millis(0) ? self->write_pieces() : self->wait_for_next_piece();
        };
        if (piece_.empty()) return asio::post(stream_.get_executor(), [done] { done(error_code(), 0); });
        if (!response_->chunked()) return asio::async_write(stream_, asio::buffer(piece_), done);
        asio::async_write(stream_, http::make_chunk(asio::buffer(piece_)), done);
    }

    void wait_for_next_piece() {
        answering_ = false;
        lowest().expires_never();
        next_piece_.after(pause_, [self = this->shared_from_this()] {
            self->answering_ = true;
            self->write_pieces();
        });
    }

    void write_last_chunk() {
        if (!response_->chunked()) return written(error_code());
        asio::async_write(stream_, http::make_chunk_last(),
                          [self = this->shared_from_this()](error_code error, std::size_t) { self->written(error); });
    }

    void written(error_code error) {
        more_ = nullptr;
        if (error || !keep_alive_) return close();
        read(kTimeout);
    }

    std::shared_ptr<asio::ssl::context> tls_;  // may be replaced by renewed certificates while we run
    AnyStream stream_;
    std::weak_ptr<Impl> server_;
    beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
    std::optional<http::request_parser<http::string_body>> parser_;
    std::optional<http::response<http::string_body>> response_;
    std::optional<http::response_serializer<http::string_body>> serializer_;
    std::function<bool(std::string&)> more_;
    std::string piece_;
    base::Millis pause_{};
    Timer next_piece_;
    unsigned version_ = 11;
    bool head_ = false;
    bool keep_alive_ = false;
};

/// Somebody who guesses tokens is seen, and fills no log.
void HttpServer::Impl::note_denial(const std::string& peer, const std::string& request, const std::string& why) {
    ++denied_;
    std::string denial = peer + ' ' + request + ' ' + why;
    const auto now = base::Clock::now();
    if (now - last_denial_at_ < (denial == last_denial_ ? kSameDenialPause : kDenialPause)) return;
    log::warning("HTTP request denied", {{"peer", peer},
                                         {"request", base::escape(request, 80)},
                                         {"why", why},
                                         {"since_last_line", denied_ - denied_when_logged_}});
    last_denial_ = std::move(denial);
    last_denial_at_ = now;
    denied_when_logged_ = denied_;
}

Result<void> HttpServer::Impl::listen(const std::string& address) {
    auto listener = Admission::open(io_, address);
    if (!listener) return tl::make_unexpected(listener.error());
    listeners_.push_back(std::make_unique<Admission>(std::move(*listener)));
    address_ += (address_.empty() ? "" : " ") + listeners_.back()->address();
    running_ = true;
    accept(*listeners_.back());
    return {};
}

std::string HttpServer::Impl::problem() const {
    std::string out;
    for (const auto& listener : listeners_) {
        if (!listener->problem().empty()) out += (out.empty() ? "" : "; ") + listener->problem();
    }
    return out;
}

std::uint64_t HttpServer::Impl::refused() const {
    std::uint64_t out = refused_;
    for (const auto& listener : listeners_)
        out += listener->refused();
    return out;
}

void HttpServer::Impl::accept(Admission& listener) {
    listener.accept([weak = weak_from_this(), &listener](Socket socket, std::string peer) {
        const auto self = weak.lock();
        if (!self || !self->running_) return;
        self->make_room();
        self->take(std::move(socket), std::move(peer));
        self->accept(listener);
    });
}

void HttpServer::Impl::take(Socket socket, std::string peer) {
    const std::uint64_t number = ++last_number_;
    std::string source = peer == "unix" ? "user " + user_of(socket) : peer;
    std::shared_ptr<Connection> connection;
    if (auto context = tls_ && peer != "unix" ? tls_() : nullptr) {
        TlsStream stream(Stream(std::move(socket)), *context);
        connection = std::make_shared<ConnectionOver<TlsStream>>(std::move(stream), std::move(context), std::move(peer),
                                                                 std::move(source), shared_from_this(), number);
    } else {
        connection = std::make_shared<ConnectionOver<Stream>>(Stream(std::move(socket)), nullptr, std::move(peer),
                                                              std::move(source), shared_from_this(), number);
    }
    connections_[number] = connection;
    connection->start();
}

bool HttpServer::Impl::may_wait(const std::string& source) const {
    const auto found = waiting_.find(source);
    return all_waiting_ < kMaxWaiting && (found == waiting_.end() || found->second < kMaxWaitingOfOne);
}

void HttpServer::Impl::waits(const std::string& source) {
    ++waiting_[source];
    ++all_waiting_;
}

void HttpServer::Impl::waits_no_more(const std::string& source) {
    --all_waiting_;
    const auto found = waiting_.find(source);
    if (--found->second == 0) waiting_.erase(found);
}

/// Closes one connection when there are too many: one that is given no answer now, if there is one, and none that waits
/// for a late answer.
void HttpServer::Impl::make_room() {
    if (connections_.size() - std::min(all_waiting_, connections_.size()) < kMaxConnections) return;
    std::vector<std::shared_ptr<Connection>> idle;
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [number, weak] : connections_) {
        const auto connection = weak.lock();
        if (!connection || connection->waiting()) continue;
        all.push_back(connection);
        if (!connection->answering()) idle.push_back(connection);
    }
    auto& candidates = idle.empty() ? all : idle;
    if (candidates.empty()) return;
    const auto closed = *oldest_of_busiest(candidates, [](const auto& connection) { return connection->source(); });
    closed->close();
    connections_.erase(closed->number());
    ++refused_;
}

void HttpServer::Impl::stop() {
    if (!running_) return;
    running_ = false;
    for (const auto& listener : listeners_)
        listener->close();
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

void HttpServer::use_tls(Tls tls) {
    impl_->use_tls(std::move(tls));
}
HttpServer::~HttpServer() {
    impl_->stop();
}
Result<void> HttpServer::listen(const std::string& address) {
    return impl_->listen(address);
}
const std::string& HttpServer::address() const {
    return impl_->address();
}
std::string HttpServer::problem() const {
    return impl_->problem();
}
std::uint64_t HttpServer::denied() const {
    return impl_->denied();
}

std::uint64_t HttpServer::refused() const {
    return impl_->refused();
}
void HttpServer::stop() {
    impl_->stop();
}

}  // namespace vitalwire::runtime
