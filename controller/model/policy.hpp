#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// `[policy NAME]`: which faults go to which sinks, and after how long. Every policy that matches counts.
struct Policy {
    std::string name;
    std::set<std::string> kinds;  ///< empty: all
    // Shell patterns; empty: any. Alarms of a whole host match none.
    std::vector<std::string> groups;  ///< of the group's id or its name
    std::vector<std::string> projects;
    std::vector<std::string> flavors;
    std::vector<std::string> sinks;
    base::Millis hold_off{};
    int hold_off_intervals = 0;  ///< so many heartbeat intervals of the guest, instead
    /// Of a guest that is silent: not while it did disk or network I/O within that time. Zero: whatever it did.
    base::Millis no_io_for{};

    /// True if it depends on where the cloud has put the guest.
    bool asks_inventory() const { return !groups.empty() || !projects.empty() || !flavors.empty(); }
};

/// What is known of the I/O of an alarm's guest.
struct IoKnowledge {
    enum class Kind : std::uint8_t {
        unknown,  ///< nobody can tell: it holds nothing
        awaited,  ///< it will be known soon, or was until just now: to be waited for
        known,
    };
    Kind kind = Kind::unknown;
    base::Millis idle{};  ///< of those known: for how long there was none
};

/// What policies decide about one alarm at one sink.
struct PolicyDecision {
    enum class Kind : std::uint8_t {
        deliver,   ///< after `hold_off`
        suppress,  ///< no policy sends it there
        unknown,   ///< it depends on an inventory that is not known yet
        wait,      ///< for the guest's I/O to end, or to be known; then after `io_hold_off`
    };
    Kind kind = Kind::deliver;
    base::Millis hold_off{};
    /// The shortest hold-off of the policies that wait for the guest's I/O. Absent: none does.
    std::optional<base::Millis> io_hold_off = {};
    bool io_unknown = false;  ///< one takes that into account, and nobody can tell

    friend bool operator==(const PolicyDecision&, const PolicyDecision&) = default;
};

/// `alarm` with what the inventory has; `inventory_known`: that has been loaded; `interval`: of the guest's
/// heartbeat. The shortest hold-off of those that match counts.
PolicyDecision decide(const std::vector<Policy>& policies, const Alarm& alarm, bool inventory_known,
                      base::Millis interval, const IoKnowledge& io = {});

/// One of the policies takes the I/O of the alarm's guest into account, whatever the kind of alarm.
bool asks_io(const std::vector<Policy>& policies, const Alarm& alarm);

}  // namespace vitalwire::controller
