#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "model/corrective_action.hpp"

namespace vitalwire::model {

/// The disk and network I/O that a guest does by itself, by its hypervisor's counters; what others send to it does not
/// count. All of it is about the time until the counters were read last.
struct GuestIo {
    base::WallTime read_at{};  ///< by the clock of its host
    base::Millis watched{};    ///< since when the counters are followed
    base::Millis idle{};       ///< since when they have not grown; as `watched`: no I/O was seen at all

    bool seen() const { return idle < watched; }
    friend bool operator==(const GuestIo&, const GuestIo&) = default;
};

/// What an agent knows of one guest, for operators and for the controller's decisions.
struct GuestReport {
    base::GuestId guest;
    std::string name;                   ///< the name the guest gave itself; display only
    std::string state;                  ///< registered, unregistered, lost, unhealthy, crashed, held
    std::string hold;                   ///< why nobody is judged now; empty when judged
    std::string warning;                ///< what it warns of though it is healthy, in its own words; empty: nothing
    std::vector<std::string> channels;  ///< connected channels: org.vitalwire.0, cgcs.heartbeat, cgcs.messaging,
                                        ///< org.qemu.guest_agent.0
    base::Millis interval{};
    base::Millis response_deadline{};
    base::WallTime registered_since{};  ///< the epoch when not registered
    std::uint64_t challenges = 0;
    std::uint64_t responses = 0;
    std::uint64_t late = 0;
    std::uint64_t misses = 0;
    std::uint64_t refused = 0;  ///< messages of this guest that were refused or dropped
    std::int64_t last_round_trip_us = -1;
    std::int64_t longest_round_trip_us = -1;  ///< of the last hour: how close the guest came to its deadline
    /// How many answers took less than 128 us << i, and no less than the one before; those beyond the last are zero.
    std::vector<std::uint32_t> round_trips;
    std::optional<GuestIo> io;  ///< absent: unknown

    friend bool operator==(const GuestReport&, const GuestReport&) = default;
};

/// What the cloud wants of one guest (flavor extra specs, or the inventory file).
struct GuestPolicy {
    base::GuestId guest;
    bool heartbeat = false;  ///< asked for by the flavor: not registering is a fault
    bool messaging = false;
    // 0: the agent's configuration decides.
    int detect_multiplier = 0;
    base::Millis min_interval{};
    base::Millis establish_timeout{};
    int messages_per_second = 0;
    std::int64_t bytes_per_second = 0;
    /// What a fault advises when the guest itself named nothing.
    CorrectiveAction corrective_action = CorrectiveAction::none;
    /// Names of channels that its machine should have; the agent attaches those that are missing.
    std::vector<std::string> channels;
    base::Millis detection_time{};  ///< of native guests that declare none themselves; 0 as above
    bool guest_agent = false;       ///< its QEMU guest agent is asked where it has no heartbeat of its own
    bool machine_faults = false;    ///< what its hypervisor reports is a fault though it has no heartbeat at all
    bool watch_io = false;          ///< a policy takes its I/O into account: the agent follows its counters

    friend bool operator==(const GuestPolicy&, const GuestPolicy&) = default;
};

}  // namespace vitalwire::model
