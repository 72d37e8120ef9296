#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/amqp/amqp_session.hpp"

namespace vitalwire::bus {

// What the suite's queues and exchanges are called; the broker's rights are given by these names
// (docs/operator-guide.md).

/// Leads to controllers only, so that an agent can write to no other agent. Direct, durable.
inline constexpr const char* kControllersExchange = "vitalwire.controllers";
/// The key that all controllers' queues are bound by; each is bound by its own name as well.
inline constexpr const char* kEveryController = "all";

/// The queue that all controllers share, and the key that leads to it: a durable quorum queue with one active consumer.
inline constexpr const char* kFaultsQueue = "vitalwire.faults";
inline constexpr const char* kFaultsKey = "faults";

// What agents and controllers tell each other outside of streams.
inline constexpr const char* kSeek = "seek";          ///< an agent to all controllers: who has no stream with me?
inline constexpr const char* kHere = "here";          ///< a controller's answer
inline constexpr const char* kPresence = "presence";  ///< a controller to all of its own name

// A queue's name is a prefix and 32 hexadecimal digits: each connection has one of its own.
std::string agent_queue_prefix(const std::string& host);
std::string controller_queue_prefix(const std::string& name);
/// The queue that all controllers of one name share: there should be one, and two find each other by it.
std::string controller_presence_queue(const std::string& name);

/// The controller whose queue it is.
std::optional<std::string> controller_of_queue(std::string_view queue);
/// The host whose agent has sent it: the broker user, vouched for by the broker, and only with a queue of that host.
std::optional<std::string> agent_that_sent(const runtime::AmqpMessage& message);
/// The controller that has sent its presence, as a broker user that only controllers have.
std::optional<std::string> controller_that_sent(const runtime::AmqpMessage& message, const std::string& user);

}  // namespace vitalwire::bus
