#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "model/corrective_action.hpp"
#include "model/lifecycle.hpp"
#include "wire/limits.hpp"
#include "wire/nack.hpp"

namespace vitalwire::wire {

/// How a channel writes the heartbeat: ours, version 3 as cgcs guests speak it on cgcs.heartbeat, or the QEMU guest
/// agent's own, which has challenges and answers only (guest_agent_codec.hpp).
enum class Dialect : std::uint8_t { native, cgcs, guest_agent };
inline constexpr std::size_t kDialects = 3;

/// Which end reads. Only a host answers with nacks; a guest ignores what it does not understand.
enum class Receiver : std::uint8_t { host, guest };

using model::CorrectiveAction;
using model::LifecycleEvent;
using model::NoticeTimes;
using model::parse_corrective_action;
using model::to_string;
using model::VoteResult;

// One struct a PDU (proto-spec/heartbeat.md). Values are within the specification's ranges once decoded.
struct Init {
    std::int64_t invocation_id = 0;
    int revision = 0;
    std::string name;
    base::Millis interval = kDefaultInterval;
    std::optional<base::Millis> response_deadline;  ///< absent: the interval
    CorrectiveAction corrective_action = CorrectiveAction::none;
    // From revision 1 on these count, and not the interval and the deadline.
    std::optional<base::Millis> detection_time{};
    std::optional<base::Millis> challenge_interval{};
    base::Millis restart_time{};  ///< cgcs only: what the guest needs to come back from a reboot
    NoticeTimes notice_times{};
};

/// What a host tells the guest about it and itself when it registers; each may be absent. Nothing depends on it.
struct HostFacts {
    std::string instance_id;   ///< of the guest, as peers of its group see it
    std::string host_version;  ///< of the host's program
    std::optional<bool> group;
    // What the group takes from this guest, where it is switched on.
    std::optional<std::int64_t> messages_per_second{};
    std::optional<std::int64_t> bytes_per_second{};
    std::optional<std::int64_t> max_payload{};

    friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

struct InitAck {
    std::int64_t invocation_id = 0;
    int revision = 0;
    base::SessionId session;
    base::Millis interval{};
    base::Millis response_deadline{};
    HostFacts facts{};
};

struct Challenge {
    base::SessionId session;
    std::int64_t value = 0;
};

struct ChallengeResponse {
    base::SessionId session;
    std::int64_t value = 0;
    bool healthy = true;
    std::string reason;
    std::optional<CorrectiveAction> corrective_action;
};

struct Exit {
    base::SessionId session;
    std::string reason;
};

/// Before an action of the cloud, or after it.
struct ActionNotify {
    base::SessionId session;  ///< native only
    std::int64_t invocation_id = 0;
    LifecycleEvent event = LifecycleEvent::stop;
    bool revocable = false;  ///< a vote: the answer may reject it
    base::Millis timeout{};  ///< so long the host waits for the answer
};

struct ActionResponse {
    base::SessionId session;  ///< native only
    std::int64_t invocation_id = 0;
    std::optional<LifecycleEvent> event;  ///< absent: none that this end knows
    bool revocable = false;
    VoteResult result = VoteResult::accept;
    std::string reason;
};

using HeartbeatPdu =
    std::variant<Init, InitAck, Challenge, ChallengeResponse, Exit, Nack, ActionNotify, ActionResponse>;

}  // namespace vitalwire::wire
