#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace vitalwire::runtime {

struct HostPort {
    std::string host;  ///< a name or an address, IPv6 without brackets
    std::string port;  ///< decimal
};
/// "host:port", "10.0.0.1:8990", "[::1]:8990".
base::Result<HostPort> parse_host_port(std::string_view text);

/// Whether `url` is "http://HOST[:PORT][/...]" or "https://...", with a port that can be connected to.
base::Result<void> check_http_url(std::string_view url);

/// Whether `address` can be one to listen on, for Listener::open(): a mistake is known before anything starts.
base::Result<void> check_listen_address(const std::string& address);

/// A TCP or UNIX socket that takes connections on the event loop. Running out of file descriptors delays it, nothing
/// ends it but close() or its destruction; a UNIX socket's file is removed then. An IP address that no interface has
/// yet is bound when it appears.
class Listener {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    /// `peer`: the address of the other end without its port, or "unix".
    using Accepted = std::function<void(Socket socket, std::string peer)>;

    /// `address`: "127.0.0.1:8990", "[::1]:8990" (an address, no name: nothing is resolved at start; port 0: the kernel
    /// chooses) or "unix:/path" (mode 0660; a stale socket is replaced).
    static base::Result<Listener> open(boost::asio::io_context& io, const std::string& address);
    ~Listener();
    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) = delete;

    /// Takes one connection; call again for the next one. Not calling it leaves clients waiting in the kernel.
    void accept(Accepted accepted);
    /// `address` of open() with the real port.
    const std::string& address() const;
    /// Why it does not listen yet; empty when it does.
    const std::string& problem() const;
    /// No callback comes after it.
    void close();

private:
    class Impl;
    explicit Listener(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::runtime
