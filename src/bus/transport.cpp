#include "bus/transport.hpp"

#include <optional>
#include <utility>

#include "base/text.hpp"
#include "bus/socket_acceptor.hpp"
#include "bus/stream_dialer.hpp"
#include "bus/stream_link.hpp"
#include "bus/stream_port.hpp"
#include "bus/stream_url.hpp"
#include "bus/tls_context.hpp"
#include "runtime/listen.hpp"

namespace vitalwire::bus {

using base::Result;

namespace {

struct Prepared {
    StreamUrl url;
    std::optional<TlsContext> tls;
};

Result<Prepared> prepare(const std::string& url, const Access& access, TlsContext::Role role) {
    auto parsed = StreamUrl::parse(url, access);
    if (!parsed) return tl::make_unexpected(parsed.error());
    if (parsed->scheme != StreamUrl::Scheme::tls) return Prepared{std::move(*parsed), std::nullopt};
    auto tls = TlsContext::load(role, access.tls);
    if (!tls) return tl::make_unexpected(tls.error());
    return Prepared{std::move(*parsed), std::move(*tls)};
}

}  // namespace

Result<std::unique_ptr<AgentLink>> make_agent_link(boost::asio::io_context& io, const std::string& url,
                                                   const Access& access, const TransportOptions& options) {
    auto prepared = prepare(url, access, TlsContext::Role::client);
    if (!prepared) return tl::make_unexpected(prepared.error());
    if (prepared->url.host_port.port == "0")
        return base::fail(base::Errc::config,
                          "expected a port from 1 to 65535, found '" + base::escape(url, 120) + "'");
    auto dialer = std::make_unique<StreamDialer>(io, std::move(prepared->url), std::move(prepared->tls));
    return std::make_unique<StreamLink>(io, url, std::move(dialer), options);
}

Result<std::unique_ptr<ControllerPort>> make_controller_port(boost::asio::io_context& io, const std::string& url,
                                                             const Access& access, const TransportOptions& options) {
    auto prepared = prepare(url, access, TlsContext::Role::server);
    if (!prepared) return tl::make_unexpected(prepared.error());
    if (prepared->url.scheme != StreamUrl::Scheme::unix_socket) {
        const auto good = runtime::check_listen_address(url.substr(url.find("://") + 3));
        if (!good) return tl::make_unexpected(good.error());
    }
    auto acceptor = std::make_unique<SocketAcceptor>(io, url, std::move(prepared->url), std::move(prepared->tls));
    return std::make_unique<StreamPort>(io, url, std::move(acceptor), options);
}

}  // namespace vitalwire::bus
