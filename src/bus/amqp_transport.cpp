// The makers of transport.hpp for brokers.
#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "bus/amqp_acceptor.hpp"
#include "bus/amqp_finder.hpp"
#include "bus/amqp_mailbox.hpp"
#include "bus/amqp_names.hpp"
#include "bus/stream_port.hpp"
#include "bus/stream_url.hpp"
#include "bus/transport.hpp"

namespace vitalwire::bus {

using base::Errc;
using base::fail;
using base::Result;
using runtime::AmqpBroker;
using runtime::AmqpSession;

namespace {

/// A dead broker is noticed within twice that.
constexpr int kHeartbeatSeconds = 2;
// Bounds of a queue at the broker. What waits for longer belongs to a stream that has been given up; of more than that
// the oldest goes, and the stream's reader notices the gap.
constexpr std::int64_t kMaxAgentQueue = 16 << 20;       // bytes
constexpr std::int64_t kMaxControllerQueue = 64 << 20;  // a thousand agents may send a full resync at once
constexpr std::int64_t kTimeToLiveMs = 10'000;
/// What agents leave while no controller is there; they keep it as well, so the oldest may go.
constexpr std::int64_t kMaxFaults = 100'000;
constexpr std::uint16_t kMailboxPrefetch = 200;
constexpr std::int64_t kMaxPresence = 16;

Result<void> declare_own_queue(AmqpSession& session, const std::string& queue, std::int64_t max_bytes) {
    AmqpSession::Queue how;
    how.exclusive = true;
    how.arguments["x-max-length-bytes"] = max_bytes;
    how.arguments["x-overflow"] = std::string("drop-head");
    how.arguments["x-message-ttl"] = kTimeToLiveMs;
    return session.declare_queue(queue, how);
}

Result<void> prepare_agent(AmqpSession& session, const std::string& queue) {
    if (auto declared = declare_own_queue(session, queue, kMaxAgentQueue); !declared) return declared;
    return session.consume(queue, "streams", false);
}

/// Both ends of a mistake in the configuration read and write it; what is left in it is of nobody's use.
Result<void> share_presence(AmqpSession& session, const std::string& queue) {
    AmqpSession::Queue how;
    how.replace = true;
    how.arguments["x-expires"] = kTimeToLiveMs;
    how.arguments["x-message-ttl"] = kTimeToLiveMs;
    how.arguments["x-max-length"] = kMaxPresence;
    if (auto declared = session.declare_queue(queue, how); !declared) return declared;
    return session.consume(queue, "presence", false);
}

/// Agents may not declare the exchange. Who deletes it takes the bindings with it, and no consumer is told.
Result<void> bind_controller(AmqpSession& session, const std::string& queue) {
    if (auto declared = session.declare_exchange(kControllersExchange, "direct"); !declared) return declared;
    for (const std::string& key : {queue, std::string(kEveryController)}) {
        if (auto bound = session.bind(queue, kControllersExchange, key); !bound) return bound;
    }
    return {};
}

Result<void> bind_mailbox(AmqpSession& session, const std::string& /*queue*/) {
    if (auto declared = session.declare_exchange(kControllersExchange, "direct"); !declared) return declared;
    return session.bind(kFaultsQueue, kControllersExchange, kFaultsKey);
}

Result<void> prepare_controller(AmqpSession& session, const std::string& queue) {
    if (auto declared = declare_own_queue(session, queue, kMaxControllerQueue); !declared) return declared;
    if (auto bound = bind_controller(session, queue); !bound) return bound;
    return session.consume(queue, "streams", false);
}

Result<void> prepare_mailbox(AmqpSession& session, const std::string& queue) {
    AmqpSession::Queue how;
    how.durable = true;
    how.arguments["x-queue-type"] = std::string("quorum");
    // One at a time, so that a clear never overtakes its fault.
    how.arguments["x-single-active-consumer"] = true;
    how.arguments["x-max-length"] = kMaxFaults;
    how.arguments["x-overflow"] = std::string("drop-head");
    if (auto declared = session.declare_queue(kFaultsQueue, how); !declared) return declared;
    if (auto bound = bind_mailbox(session, queue); !bound) return bound;
    if (auto limited = session.prefetch(kMailboxPrefetch); !limited) return limited;
    return session.consume(kFaultsQueue, "faults", true);
}

Result<AmqpBroker> parse_broker(const std::string& url, const Access& access) {
    const TlsFiles& tls = access.tls;
    auto broker = AmqpBroker::parse(url);
    if (!broker) return broker;
    if (broker->user.empty()) broker->user = access.broker.name;
    const std::string shown = base::escape(url, 120);
    if (!broker->tls && !access.allow_plain_tcp && !is_loopback(broker->host))
        return fail(Errc::config,
                    shown + ": beyond loopback amqps:// is expected; allow_plain_tcp permits amqp:// all the same");
    if (access.broker.password.empty() && (!broker->tls || tls.certificate.empty()))
        return fail(Errc::config, shown + ": expected a password_file, or amqps:// and a certificate");
    if (tls.certificate.empty() != tls.key.empty()) return fail(Errc::config, "certificate and key belong together");
    return broker;
}

Result<AmqpStreams::Options> streams_options(const Access& access) {
    AmqpStreams::Options out;
    for (const std::string& url : access.brokers) {
        auto broker = parse_broker(url, access);
        if (!broker) return tl::make_unexpected(broker.error());
        out.client.brokers.push_back(std::move(*broker));
    }
    out.user = out.client.brokers.front().user;
    const auto& brokers = out.client.brokers;
    if (!std::all_of(brokers.begin(), brokers.end(), [&](const AmqpBroker& each) { return each.user == out.user; }))
        return fail(Errc::config, "the brokers of one cluster know us by one user");
    runtime::AmqpAccess& login = out.client.access;
    login.password = access.broker.password;
    login.ca_file = access.tls.ca;
    login.certificate = access.tls.certificate;
    login.key = access.tls.key;
    login.heartbeat_seconds = kHeartbeatSeconds;
    return out;
}

Result<AmqpStreams::Options> finder_streams(const Access& access) {
    auto streams = streams_options(access);
    if (!streams) return streams;
    const std::string& name = access.broker.name;
    if (streams->user != name)
        return fail(Errc::config, "an agent's broker user is its host's name, expected '" + name + "', found '" +
                                      base::escape(streams->user, 64) + "'");
    streams->client.queue_prefix = agent_queue_prefix(name);
    streams->client.prepare = prepare_agent;
    streams->exchange = kControllersExchange;
    streams->sender = [](const runtime::AmqpMessage& message) { return controller_of_queue(message.reply_to); };
    return streams;
}

Result<AmqpStreams::Options> port_streams(const Access& access) {
    auto streams = streams_options(access);
    if (!streams) return streams;
    streams->client.queue_prefix = controller_queue_prefix(access.broker.name);
    streams->client.prepare = [presence = controller_presence_queue(access.broker.name)](AmqpSession& session,
                                                                                         const std::string& queue) {
        auto prepared = prepare_controller(session, queue);
        return prepared ? share_presence(session, presence) : prepared;
    };
    streams->client.renew = bind_controller;
    streams->accepts = true;
    streams->sender = [user = streams->user](const runtime::AmqpMessage& message) {
        auto sender = agent_that_sent(message);
        return sender ? sender : controller_that_sent(message, user);
    };
    return streams;
}

Result<AmqpClient::Options> mailbox_client(const Access& access) {
    auto streams = streams_options(access);
    if (!streams) return tl::make_unexpected(streams.error());
    streams->client.prepare = prepare_mailbox;
    streams->client.renew = bind_mailbox;
    return std::move(streams->client);
}

}  // namespace

bool is_broker_url(const std::string& url) {
    return url.starts_with("amqp://") || url.starts_with("amqps://");
}

Result<std::unique_ptr<ControllerFinder>> make_controller_finder(boost::asio::io_context& io, const Access& access,
                                                                 const TransportOptions& options) {
    auto streams = finder_streams(access);
    if (!streams) return tl::make_unexpected(streams.error());
    return std::make_unique<AmqpFinder>(io, std::move(*streams), finder_streams, options);
}

Result<std::unique_ptr<ControllerPort>> make_broker_port(boost::asio::io_context& io, const Access& access,
                                                         const TransportOptions& options) {
    auto streams = port_streams(access);
    if (!streams) return tl::make_unexpected(streams.error());
    auto acceptor = std::make_unique<AmqpAcceptor>(io, access, std::move(*streams), port_streams);
    return std::make_unique<StreamPort>(io, "", std::move(acceptor), options);
}

Result<std::unique_ptr<Mailbox>> make_mailbox(boost::asio::io_context& io, const Access& access) {
    auto client = mailbox_client(access);
    if (!client) return tl::make_unexpected(client.error());
    return std::make_unique<AmqpMailbox>(io, std::move(*client), mailbox_client);
}

}  // namespace vitalwire::bus
