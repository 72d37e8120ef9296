#include "heartbeat/registration.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::heartbeat {

using base::Errc;
using base::Millis;
using wire::Dialect;

namespace {

wire::Nack too_small(const wire::Init& init, const char* field, Millis found, Millis smallest, Millis floor) {
    wire::Nack nack = reject(init, Errc::interval_too_small,
                             std::string(field) + " is " + std::to_string(found.count()) + ", the smallest here is " +
                                 std::to_string(smallest.count()));
    nack.min_interval = floor;
    return nack;
}

}  // namespace

Millis smallest_interval(const HostPolicy& policy, Dialect dialect) {
    return dialect == Dialect::native ? policy.native_min_interval : policy.cgcs_min_interval;
}

int detect_multiplier(const HostPolicy& policy, Dialect dialect) {
    switch (dialect) {
        case Dialect::native:
            return policy.native_detect_multiplier;
        case Dialect::cgcs:
            return policy.cgcs_detect_multiplier;
        case Dialect::guest_agent:
            return policy.guest_agent_detect_multiplier;
    }
    return policy.native_detect_multiplier;
}

std::optional<wire::Nack> objection_to(const wire::Init& init, Dialect dialect, const HostPolicy& policy) {
    if (!policy.enabled) return reject(init, Errc::not_enabled, "heartbeat is not enabled for this guest");
    const Millis floor = smallest_interval(policy, dialect);
    if (init.revision == 0) {
        if (init.interval >= floor) return std::nullopt;
        return too_small(init, "heartbeat_interval_ms", init.interval, floor, floor);
    }
    const Millis smallest = smallest_detection_time(floor);
    if (!init.detection_time || *init.detection_time >= smallest) return std::nullopt;
    wire::Nack nack = too_small(init, "detection_time_ms", *init.detection_time, smallest, floor);
    nack.min_detection_time = smallest;
    return nack;
}

wire::Nack reject(const wire::Init& init, Errc code, std::string message) {
    wire::Nack nack;
    nack.code = code;
    nack.message = std::move(message);
    nack.orig_msg_type = "init";
    nack.invocation_id = init.invocation_id;
    return nack;
}

Registration registration_of(const wire::Init& init, Dialect dialect, const HostPolicy& policy, base::WallTime since) {
    Registration registration;
    registration.dialect = dialect;
    registration.name = init.name;
    registration.interval = init.interval;
    registration.response_deadline = std::min(init.response_deadline.value_or(init.interval), init.interval);
    registration.corrective_action = init.corrective_action;
    registration.since = since;
    registration.revision = std::min(init.revision, wire::kHeartbeatRevision);
    registration.restart_time = init.restart_time;
    registration.notice_times = init.notice_times;
    if (registration.revision == 0) return registration;
    registration.detection_time = init.detection_time;
    registration.challenge_interval = init.challenge_interval;
    const Times times = times_of(registration, policy);
    registration.interval = times.interval;
    registration.response_deadline = times.deadline;
    return registration;
}

Registration registration_of_guest_agent(const HostPolicy& policy, base::WallTime since) {
    Registration registration;
    registration.dialect = Dialect::guest_agent;
    registration.interval = policy.guest_agent_interval;
    registration.response_deadline = guest_agent_deadline(policy.guest_agent_interval);
    registration.since = since;
    return registration;
}

Millis guest_agent_deadline(Millis interval) {
    constexpr Millis kPatience{5000};
    return std::min(interval, kPatience);
}

Times times_of(const Registration& registration, const HostPolicy& policy) {
    return times_for(registration.detection_time.value_or(policy.detection_time), registration.challenge_interval,
                     smallest_interval(policy, registration.dialect));
}

}  // namespace vitalwire::heartbeat
