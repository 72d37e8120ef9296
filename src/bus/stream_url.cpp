#include "bus/stream_url.hpp"

#include <sys/un.h>

#include <boost/asio/ip/address.hpp>
#include <string_view>

#include "base/text.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::fail;

bool is_loopback(const std::string& host) {
    boost::system::error_code no_address;
    const auto address = boost::asio::ip::make_address(host, no_address);
    return no_address ? host == "localhost" : address.is_loopback();
}

base::Result<StreamUrl> StreamUrl::parse(const std::string& url, const Access& access) {
    constexpr std::string_view kUnix = "unix://";
    constexpr std::string_view kTcp = "tcp://";
    constexpr std::string_view kTls = "tls://";
    StreamUrl out;
    if (url.starts_with(kUnix) && url.size() > kUnix.size() && url[kUnix.size()] == '/') {
        out.scheme = Scheme::unix_socket;
        out.path = url.substr(kUnix.size());
        if (out.path.size() >= sizeof(sockaddr_un::sun_path))
            return fail(Errc::config, "the path of a UNIX socket has at most 107 bytes: " + base::escape(out.path));
        return out;
    }
    if (!url.starts_with(kTcp) && !url.starts_with(kTls)) {
        return fail(
            Errc::config,
            "expected unix:///path, tcp://host:port, tls://host:port, amqp://broker or amqps://broker, found '" +
                base::escape(url, 120) + "'");
    }
    out.scheme = url.starts_with(kTls) ? Scheme::tls : Scheme::tcp;
    auto host_port = runtime::parse_host_port(std::string_view(url).substr(kTcp.size()));
    if (!host_port) return tl::make_unexpected(host_port.error());
    out.host_port = std::move(*host_port);
    if (out.scheme == Scheme::tcp && !access.allow_plain_tcp && !is_loopback(out.host_port.host)) {
        return fail(Errc::config,
                    base::escape(url, 120) +
                        ": beyond loopback tls:// is expected; allow_plain_tcp permits tcp:// all the same");
    }
    return out;
}

}  // namespace vitalwire::bus
