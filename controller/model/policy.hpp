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

    /// True if it depends on where the cloud has put the guest.
    bool asks_inventory() const { return !groups.empty() || !projects.empty() || !flavors.empty(); }
};

/// What policies decide about one alarm at one sink.
struct PolicyDecision {
    enum class Kind : std::uint8_t {
        deliver,   ///< after `hold_off`
        suppress,  ///< no policy sends it there
        unknown,   ///< it depends on an inventory that is not known yet
    };
    Kind kind = Kind::deliver;
    base::Millis hold_off{};

    friend bool operator==(const PolicyDecision&, const PolicyDecision&) = default;
};

/// `alarm` with what the inventory has; `inventory_known`: that has been loaded; `interval`: of the guest's
/// heartbeat. The shortest hold-off of those that match counts.
PolicyDecision decide(const std::vector<Policy>& policies, const Alarm& alarm, bool inventory_known,
                      base::Millis interval);

}  // namespace vitalwire::controller
