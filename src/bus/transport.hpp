#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "bus/access.hpp"
#include "bus/link.hpp"

namespace vitalwire::bus {

struct TransportOptions {
    /// Bytes that may wait for one peer; above it the connection is dropped and the state sent again.
    std::size_t max_queue = 16U << 20U;
    /// After so much silence we take a peer for gone; it is told this and keeps alive more often.
    base::Millis silence{900};
};

// URLs: "unix:///path", "tcp://host:port", "tls://host:port" (TLS 1.3, certificates on both sides). A controller
// listens on an address, never on a name; port 0 lets the kernel choose. A URL, file or option that cannot work is an
// error here (config), before anything runs.
base::Result<std::unique_ptr<AgentLink>> make_agent_link(boost::asio::io_context& io, const std::string& url,
                                                         const Access& access = {},
                                                         const TransportOptions& options = {});
base::Result<std::unique_ptr<ControllerPort>> make_controller_port(boost::asio::io_context& io, const std::string& url,
                                                                   const Access& access = {},
                                                                   const TransportOptions& options = {});

// URLs: "amqp://USER@HOST:PORT/VHOST", "amqps://..." (TLS; with a certificate, or a password, or both), the brokers of
// one RabbitMQ cluster. Agents and controllers find each other there; an agent's user is its host's name.
bool is_broker_url(const std::string& url);
base::Result<std::unique_ptr<ControllerFinder>> make_controller_finder(boost::asio::io_context& io,
                                                                       const Access& access,
                                                                       const TransportOptions& options = {});
base::Result<std::unique_ptr<ControllerPort>> make_broker_port(boost::asio::io_context& io, const Access& access,
                                                               const TransportOptions& options = {});
base::Result<std::unique_ptr<Mailbox>> make_mailbox(boost::asio::io_context& io, const Access& access);

}  // namespace vitalwire::bus
