#include "guest/endpoint.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace vitalwire::guest {

namespace {

constexpr std::string_view kScheme = "http://";

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

template <class Address>
Endpoint make_endpoint(const Address& address) {
    Endpoint endpoint;
    std::memcpy(&endpoint.address, &address, sizeof address);
    endpoint.size = sizeof address;
    return endpoint;
}

std::optional<Endpoint> make_ipv6(const std::string& host, std::uint16_t port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) return std::nullopt;
    return make_endpoint(address);
}

std::optional<Endpoint> make_ipv4(const std::string& host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
    return make_endpoint(address);
}

}  // namespace

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = parse_port(text.substr(colon + 1));
    if (!port) return std::nullopt;
    const std::string host(text.substr(0, colon));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        return make_ipv6(host.substr(1, host.size() - 2), *port);
    if (host != "localhost") return make_ipv4(host, *port);
    auto endpoint = make_ipv4("127.0.0.1", *port);
    endpoint->is_localhost = true;
    return endpoint;
}

Endpoint other_localhost(const Endpoint& endpoint) {
    sockaddr_in address{};
    std::memcpy(&address, &endpoint.address, sizeof address);
    return *make_ipv6("::1", ntohs(address.sin_port));
}

std::optional<Endpoint> unix_endpoint(std::string_view path) {
    sockaddr_un address{};
    if (!path.starts_with('/') || path.size() >= sizeof address.sun_path) return std::nullopt;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return make_endpoint(address);
}

std::optional<HttpUrl> parse_http_url(std::string_view text) {
    if (!text.starts_with(kScheme)) return std::nullopt;
    text.remove_prefix(kScheme.size());
    const std::size_t slash = std::min(text.find('/'), text.size());
    HttpUrl url{std::string(text.substr(0, slash)), std::string(text.substr(slash)), {}};
    if (url.path.empty()) url.path = "/";
    // Nothing in it ends the request's line.
    const auto plain = [](char c) { return c > ' ' && c != 0x7f; };
    if (!std::all_of(url.path.begin(), url.path.end(), plain)) return std::nullopt;
    const bool has_port = url.host.rfind(':') != std::string::npos && url.host.back() != ']';
    const auto endpoint = parse_endpoint(has_port ? url.host : url.host + ":80");
    if (!endpoint) return std::nullopt;
    url.endpoint = *endpoint;
    return url;
}

}  // namespace vitalwire::guest
