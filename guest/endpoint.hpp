#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <string_view>

namespace vitalwire::guest {

/// An address to connect to.
struct Endpoint {
    sockaddr_storage address{};
    socklen_t size = 0;
    bool is_localhost = false;  ///< by that name: the service may listen on the other loopback address only
};

/// HOST:PORT with an IPv4 address, an IPv6 address in brackets, or localhost. No other names: a name server that hangs
/// would hang the daemon.
std::optional<Endpoint> parse_endpoint(std::string_view text);
/// The same port at ::1, for one of localhost.
Endpoint other_localhost(const Endpoint& endpoint);
/// Absolute path of at most 107 bytes.
std::optional<Endpoint> unix_endpoint(std::string_view path);

struct HttpUrl {
    std::string host;  ///< with the port, as the Host header has it
    std::string path;
    Endpoint endpoint;
};
/// http://HOST[:PORT][/PATH], HOST as in parse_endpoint; the port is 80 if not given.
std::optional<HttpUrl> parse_http_url(std::string_view text);

}  // namespace vitalwire::guest
