#pragma once

#include <optional>

#include "heartbeat/detection.hpp"
#include "heartbeat/host_events.hpp"

namespace vitalwire::heartbeat {

// What a host makes of an init, as far as no session matters.

base::Millis smallest_interval(const HostPolicy& policy, wire::Dialect dialect);
int detect_multiplier(const HostPolicy& policy, wire::Dialect dialect);

/// The nack that the init gets; absent when it is acceptable.
std::optional<wire::Nack> objection_to(const wire::Init& init, wire::Dialect dialect, const HostPolicy& policy);
wire::Nack reject(const wire::Init& init, base::Errc code, std::string message);

/// Without a session id.
Registration registration_of(const wire::Init& init, wire::Dialect dialect, const HostPolicy& policy,
                             base::WallTime since);

/// What a guest has agreed to whose QEMU guest agent answered. Without a session id.
Registration registration_of_guest_agent(const HostPolicy& policy, base::WallTime since);
/// The time in which a QEMU guest agent has to answer: libvirt's own patience, and no longer than the interval.
base::Millis guest_agent_deadline(base::Millis interval);

/// Of a guest of revision 1 or later.
Times times_of(const Registration& registration, const HostPolicy& policy);

}  // namespace vitalwire::heartbeat
