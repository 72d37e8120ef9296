#include "runtime/listen.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "base/text.hpp"

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

/// Makes room for a socket at `path`.
Result<void> remove_stale_socket(asio::io_context& io, const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode)) return cannot_listen(path, "there is a file that is no socket");
    stream_protocol::socket probe(io);
    error_code error;
    probe.connect(stream_protocol::endpoint(path), error);
    if (!error) return cannot_listen(path, "another process listens there");
    if (error != asio::error::connection_refused) return cannot_listen(path, error.message());
    unlink(path.c_str());
    return {};
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
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(Errc::config, "the path of a UNIX socket has at most 107 bytes: " + base::escape(path));
    if (auto room = remove_stale_socket(io, path); !room) return tl::make_unexpected(room.error());
    error_code error;
    stream_protocol::acceptor acceptor(io);
    acceptor.open(stream_protocol(), error);
    // The socket's own mode is what bind gives the file: it is never open wider than `mode`. The umask may have taken
    // bits away: they are given back after.
    if (!error && fchmod(acceptor.native_handle(), mode) != 0) error.assign(errno, boost::system::system_category());
    if (!error) acceptor.bind(stream_protocol::endpoint(path), error);
    if (!error && chmod(path.c_str(), mode) != 0) error.assign(errno, boost::system::system_category());
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return cannot_listen(path, error.message());
    return acceptor;
}

}  // namespace vitalwire::runtime
