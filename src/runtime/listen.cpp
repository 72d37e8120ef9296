#include "runtime/listen.hpp"

#include <charconv>

#include "base/text.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;
using base::Errc;
using base::fail;
using base::Result;
using boost::system::error_code;

namespace {

tl::unexpected<base::Error> cannot_listen(const std::string& where, const std::string& why) {
    return fail(Errc::io, "cannot listen on " + base::escape(where) + ": " + why);
}

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
    const auto wrong = [&] {
        return fail(Errc::config, "expected host:port or [IPv6 address]:port, found '" + base::escape(text, 80) + "'");
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return wrong();
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return wrong();
    }
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || host.empty()) return wrong();
    return HostPort{std::string(host), std::string(port)};
}

Result<tcp::acceptor> listen_tcp(asio::io_context& io, const std::string& host_port) {
    const auto parsed = parse_host_port(host_port);
    if (!parsed) return tl::make_unexpected(parsed.error());
    error_code error;
    const auto address = asio::ip::make_address(parsed->host, error);
    if (error) return fail(Errc::config, "expected an IP address to listen on, found '" + parsed->host + "'");
    const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(parsed->port)));

    tcp::acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return cannot_listen(host_port, error.message());
    return acceptor;
}

Result<stream_protocol::acceptor> listen_unix(asio::io_context& io, const std::string& path, mode_t mode) {
    const auto listener = open_unix_listener(path, SOCK_STREAM, mode, asio::socket_base::max_listen_connections);
    if (!listener) return tl::make_unexpected(listener.error());
    return stream_protocol::acceptor(io, stream_protocol(), *listener);
}

}  // namespace vitalwire::runtime
