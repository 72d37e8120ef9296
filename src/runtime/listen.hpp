#pragma once

#include <sys/types.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
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

/// Listens on an address (no name: nothing is resolved at start). Port 0: the kernel chooses.
base::Result<boost::asio::ip::tcp::acceptor> listen_tcp(boost::asio::io_context& io, const std::string& host_port);

/// Listens on a UNIX socket that has `mode` from its first moment. A socket that nobody listens on any more is
/// replaced; one that answers, or a file that is no socket, is an error.
base::Result<boost::asio::local::stream_protocol::acceptor> listen_unix(boost::asio::io_context& io,
                                                                        const std::string& path, mode_t mode = 0660);

}  // namespace vitalwire::runtime
