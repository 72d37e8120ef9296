#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace vitalwire::runtime {

struct HttpRequest {
    std::string method;
    std::string path;   ///< decoded, without the query
    std::string query;  ///< as sent
    std::string body;
    std::string peer;            ///< address of the client, or "unix"
    std::string authorization;   ///< that header, as sent
    bool from_web_page = false;  ///< a browser sends it for a page of some origin
    /// False: so many requests of its source wait for their answers that one more must have its own at once.
    bool may_wait = true;
    /// The value of `name` in the query, decoded; empty when absent.
    std::string query_value(const std::string& name) const;
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    /// Appends the next piece of a body that is made while it is sent, and returns true while there is more: `body`, if
    /// any, goes first. Each call is a turn of the loop of its own, and comes when the piece before is written.
    std::function<bool(std::string& piece)> more = {};
    /// Between a piece and the call for the next one. A connection that waits is among the first that give way to new
    /// ones.
    base::Millis pause{};
    std::vector<std::pair<std::string, std::string>> headers = {};  ///< beside those that every answer has
};

/// A small HTTP/1.1 server on the event loop: keep-alive, bounded header and body, and bounded time for each: a client
/// that is slow, or many of them, keep nobody else out. A request that waits for a late answer keeps its connection,
/// whatever comes after it: of those the number is bounded for itself, and by source.
class HttpServer {
public:
    using Handler = std::function<HttpResponse(const HttpRequest&)>;  ///< answers at once
    using Respond = std::function<void(HttpResponse)>;
    /// Answers by calling the function, once, at once or later; the connection lasts as long as that is held.
    using LateHandler = std::function<void(const HttpRequest&, Respond)>;

    /// The context for the next connection: certificates are renewed while we run.
    using Tls = std::function<std::shared_ptr<boost::asio::ssl::context>()>;

    HttpServer(boost::asio::io_context& io, Handler handler);
    HttpServer(boost::asio::io_context& io, LateHandler handler);
    ~HttpServer();

    /// Every connection but those over a UNIX socket is TLS. Before `listen`.
    void use_tls(Tls tls);
    /// `address`: "127.0.0.1:8990", "[::1]:8990" (port 0: the kernel chooses) or "unix:/path" (mode 0660; a stale
    /// socket is replaced). May be called for several addresses.
    base::Result<void> listen(const std::string& address);
    /// Where it listens, with the real ports, separated by spaces.
    const std::string& address() const;
    /// Why it does not listen yet; empty when it does.
    std::string problem() const;
    /// Connections that were closed because they said nothing in time, or for newer ones.
    std::uint64_t refused() const;
    /// Requests that were answered with 401 or 403: without a valid token, or of a web page.
    std::uint64_t denied() const;
    void stop();

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::runtime
