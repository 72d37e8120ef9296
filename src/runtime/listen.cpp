#include "runtime/listen.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "runtime/timer.hpp"
#include "runtime/unix_listener.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Errc;
using base::fail;
using base::Result;
using boost::system::error_code;

namespace {

constexpr std::string_view kUnix = "unix:";
constexpr mode_t kSocketMode = 0660;
constexpr base::Millis kAcceptPause{100};  // out of file descriptors: do not spin
constexpr base::Millis kBindPause{1000};   // between attempts to bind an address that is not there yet

}  // namespace

Result<HostPort> parse_host_port(std::string_view text) {
    const auto wrong = [&] {
        return fail(Errc::config, "expected host:port or [IPv6 address]:port with a port up to 65535, found '" +
                                      base::escape(text, 80) + "'");
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
    return HostPort{std::string(host), std::to_string(number)};
}

Result<void> check_http_url(std::string_view url) {
    const auto wrong = [&](std::string_view what) {
        return fail(Errc::config, "expected " + std::string(what) + ", found '" + base::escape(url, 80) + "'");
    };
    if (!url.starts_with("http://") && !url.starts_with("https://"))
        return wrong("http://HOST:PORT or https://HOST:PORT");
    if (url.find_first_of(" \t\r\n\"<>\\^`{|}") != std::string_view::npos) return wrong("a URL without blanks");
    std::string_view authority = url.substr(url.find("//") + 2);
    authority = authority.substr(0, authority.find_first_of("/?#"));
    authority = authority.substr(authority.rfind('@') + 1);
    if (authority.empty() || authority.front() == ':') return wrong("a host after //");
    const bool has_port = authority.find(':') != std::string_view::npos && authority.back() != ']';
    if (!has_port) return {};
    const auto parsed = parse_host_port(authority);
    if (!parsed) return tl::make_unexpected(parsed.error());
    if (parsed->port == "0") return wrong("a port from 1 to 65535");
    return {};
}

namespace {

using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

/// A listening descriptor and where it listens.
struct Bound {
    int descriptor;
    int family;
    std::string address;
    std::string socket_file;
};

Result<Bound> bind_unix(const std::string& address) {
    std::string path = address.substr(kUnix.size());
    const auto listener = open_unix_listener(path, SOCK_STREAM, kSocketMode, asio::socket_base::max_listen_connections);
    if (!listener) return tl::make_unexpected(listener.error());
    return Bound{*listener, AF_UNIX, address, std::move(path)};
}

Result<tcp::endpoint> parse_endpoint(const std::string& text) {
    const auto parsed = parse_host_port(text);
    if (!parsed) return tl::make_unexpected(parsed.error());
    error_code error;
    const auto address = asio::ip::make_address(parsed->host, error);
    if (error)
        return fail(Errc::config,
                    "expected an IP address to listen on, found '" + base::escape(parsed->host, 80) + "'");
    return tcp::endpoint(address, static_cast<std::uint16_t>(std::stoul(parsed->port)));
}

Result<Bound> bind_tcp(asio::io_context& io, const std::string& text) {
    const auto parsed = parse_endpoint(text);
    if (!parsed) return tl::make_unexpected(parsed.error());
    const tcp::endpoint& endpoint = *parsed;
    error_code error;
    tcp::acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        // An address that no interface has yet may come with a network that is still being set up.
        const Errc code = error.value() == EADDRNOTAVAIL ? Errc::unavailable : Errc::io;
        return fail(code, "cannot listen on " + base::escape(text) + ": " + error.message());
    }
    const std::string port = std::to_string(acceptor.local_endpoint().port());
    return Bound{acceptor.release(), endpoint.protocol().family(), text.substr(0, text.rfind(':') + 1) + port, ""};
}

std::string peer_of(const Listener::Socket& socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return "unknown";
    if (remote.protocol().family() == AF_UNIX) return "unix";
    tcp::endpoint endpoint;
    endpoint.resize(remote.size());
    std::memcpy(endpoint.data(), remote.data(), remote.size());
    return endpoint.address().to_string();
}

}  // namespace

Result<void> check_listen_address(const std::string& address) {
    if (!address.starts_with(kUnix)) {
        const auto endpoint = parse_endpoint(address);
        if (!endpoint) return tl::make_unexpected(endpoint.error());
        return {};
    }
    const std::string path = address.substr(kUnix.size());
    if (path.empty() || path.front() != '/')
        return fail(Errc::config, "expected unix:/path, found '" + base::escape(address, 80) + "'");
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(Errc::config, "the path of a UNIX socket has at most 107 bytes: " + base::escape(path));
    return {};
}

class Listener::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context& io, std::string address)
        : io_(io), acceptor_(io), pause_(io), address_(std::move(address)) {}

    Result<void> open() {
        auto bound = address_.starts_with(kUnix) ? bind_unix(address_) : bind_tcp(io_, address_);
        if (bound) {
            acceptor_.assign(asio::generic::stream_protocol(bound->family, 0), bound->descriptor);
            address_ = std::move(bound->address);
            socket_file_ = std::move(bound->socket_file);
            return {};
        }
        if (bound.error().code != Errc::unavailable) return tl::make_unexpected(bound.error());
        if (problem_.empty()) log::warning("address to listen on is not there yet, retrying", {{"address", address_}});
        problem_ = bound.error().message;
        pause_.after(kBindPause, [this] { open_again(); });
        return {};
    }

    void accept(Accepted accepted) {
        if (!problem_.empty()) {
            waiting_ = std::move(accepted);
            return;
        }
        if (!acceptor_.is_open()) return;
        acceptor_.async_accept(
            [self = shared_from_this(), accepted = std::move(accepted)](error_code error, Socket socket) mutable {
                if (!self->acceptor_.is_open()) return;
                if (error) return self->accept_later(std::move(accepted));
                std::string peer = peer_of(socket);
                accepted(std::move(socket), std::move(peer));
            });
    }

    void close() {
        pause_.cancel();
        waiting_ = nullptr;
        problem_.clear();
        if (!acceptor_.is_open()) return;
        error_code ignored;
        acceptor_.close(ignored);
        if (!socket_file_.empty()) unlink(socket_file_.c_str());
    }

    const std::string& address() const { return address_; }
    const std::string& problem() const { return problem_; }

private:
    void open_again() {
        const auto opened = open();
        if (!opened) {
            problem_ = opened.error().message;
            return pause_.after(kBindPause, [this] { open_again(); });
        }
        if (!acceptor_.is_open()) return;
        log::info("listening on an address that has appeared", {{"address", address_}});
        problem_.clear();
        if (auto accepted = std::exchange(waiting_, nullptr)) accept(std::move(accepted));
    }

    void accept_later(Accepted accepted) {
        pause_.after(kAcceptPause, [this, accepted = std::move(accepted)] { accept(accepted); });
    }

    asio::io_context& io_;
    Acceptor acceptor_;
    Timer pause_;
    std::string address_;
    std::string socket_file_;
    std::string problem_;  ///< why it does not listen yet
    Accepted waiting_;     ///< for the address
};

Result<Listener> Listener::open(asio::io_context& io, const std::string& address) {
    auto impl = std::make_shared<Impl>(io, address);
    if (auto opened = impl->open(); !opened) return tl::make_unexpected(opened.error());
    return Listener(std::move(impl));
}

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() {
    if (impl_) impl_->close();
}
void Listener::accept(Accepted accepted) {
    impl_->accept(std::move(accepted));
}
const std::string& Listener::address() const {
    return impl_->address();
}
const std::string& Listener::problem() const {
    return impl_->problem();
}
void Listener::close() {
    impl_->close();
}

}  // namespace vitalwire::runtime
