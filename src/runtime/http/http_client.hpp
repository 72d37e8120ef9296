#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace vitalwire::runtime {

struct HttpClientRequest {
    std::string method = "GET";
    std::string url;          ///< http://, https://
    std::string unix_socket;  ///< connect here instead of the URL's host; empty for TCP
    std::map<std::string, std::string> headers;
    std::string body;
    std::string user_password;  ///< "user:password" for Basic; never logged
    std::string ca_file;        ///< empty: the system's
    bool insecure = false;
    base::Millis timeout{5000};  ///< for the whole request
    /// The status is all that counts: it is the response also when the body does not end as announced, or is long.
    bool status_only = false;
    /// For a URL that somebody else names: asked with the address that is connected to, whatever the name resolves to.
    /// What it returns is why that must not be, empty: it may.
    std::function<std::string(const boost::asio::ip::tcp::endpoint&)> why_not_connect = {};
};

struct HttpClientResponse {
    long status = 0;
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;                            ///< at most 64 MiB; more is an error
};

/// Requests on the event loop (libcurl's multi interface): connections are kept and reused, no call blocks. None waits
/// for another one, or who hangs would hold up others of its host: how many are under way each caller bounds itself.
/// Redirects are not followed; the proxies of the environment are not used.
class HttpClient {
public:
    /// Called on the event loop, never from within `send`. An answer of any status is a response; no answer is an error
    /// (unavailable, timeout, too_large, config, io, permission: why_not_connect).
    using Done = std::function<void(base::Result<HttpClientResponse>)>;

    explicit HttpClient(boost::asio::io_context& io);
    ~HttpClient();

    void send(HttpClientRequest request, Done done);
    /// Drops everything under way; no Done is called after it, and nothing more can be sent.
    void stop();

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::runtime
