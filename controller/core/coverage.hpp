#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "controller/alarms/fault_table.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// Every guest that should be watched is at every moment in exactly one of these.
enum class Watch : std::uint8_t {
    watched,    ///< it is registered, and its agent judges it
    inhibited,  ///< nobody is to judge it now: it migrates, is paused, stopped, in rescue mode ...
    faulty,     ///< a fault is open
    uncovered,  ///< it could fail unnoticed
};
inline constexpr std::size_t kWatches = 4;
std::string_view to_string(Watch watch);

struct Covered {
    base::GuestId guest;
    base::HostId host;  ///< the agent's, or the inventory's when it has none; empty: on none
    Watch watch = Watch::uncovered;
    std::string why;  ///< of inhibited, faulty and uncovered
};

/// Decides for each guest that the cloud asks to watch (a policy with heartbeat), and each that registered by itself.
/// No I/O, no clock.
class Coverage {
public:
    class Walk;
    /// How many guests there are of which kind.
    struct Census {
        std::array<std::size_t, kWatches> watches{};
        std::size_t unreported = 0;  ///< guests of the inventory that no agent reports
    };

    /// `policy_sent`: the agent has the policies of its guests. `maintenance`: why an operator works on it; empty:
    /// none.
    Coverage(const Inventory& inventory, const Fleet& fleet, const HostNames& names, const FaultTable& faults,
             std::function<bool(const base::HostId&)> policy_sent,
             std::function<std::string(const base::GuestId&, const base::HostId&)> maintenance)
        : inventory_(inventory),
          fleet_(fleet),
          names_(names),
          faults_(faults),
          policy_sent_(std::move(policy_sent)),
          maintenance_(std::move(maintenance)) {}

private:
    Covered decide(const InventoryGuest& guest) const;
    Covered decide(const base::HostId& host, const model::GuestReport& report) const;
    bool asked_for(const base::GuestId& guest) const;
    bool is_faulty(Covered& covered) const;
    bool is_maintained(Covered& covered) const;
    void judge(Covered& covered, const Agent& agent, const model::GuestReport& report) const;
    std::string why_unreported(const base::HostId& host, const base::GuestId& guest, const Agent& agent) const;

    const Inventory& inventory_;
    const Fleet& fleet_;
    const HostNames& names_;
    const FaultTable& faults_;
    std::function<bool(const base::HostId&)> policy_sent_;
    std::function<std::string(const base::GuestId&, const base::HostId&)> maintenance_;
};

/// One visit to all guests, in turns that are short whatever their number: first those of the inventory, by host and
/// id, then those that it had before a restart and that it has not been read of since, then those that only an agent
/// reports, then those of which only a fault is known. A guest that moves between two
/// turns may be visited twice or not at all.
class Coverage::Walk {
public:
    using Visit = std::function<void(const Covered&)>;

    explicit Walk(const Coverage& coverage) : coverage_(coverage) {}

    /// Visits some more; false when these were the last.
    bool turn(const Visit& visit = nullptr);
    /// Of those visited so far.
    const Census& census() const { return census_; }

private:
    enum class Stage : std::uint8_t { inventory, restored, agents, faults };

    bool next(const Visit& visit);
    bool next_of_inventory(const Visit& visit);
    bool next_restored(const Visit& visit);
    bool next_of_agents(const Visit& visit);
    bool next_faulty(const Visit& visit);
    void take(const Covered& covered, const Visit& visit);

    const Coverage& coverage_;
    Census census_;
    base::HostId host_;    ///< of the guest that was visited last
    base::GuestId guest_;  ///< empty when a stage begins
    Stage stage_ = Stage::inventory;
    std::size_t visited_ = 0;  ///< in this turn
};

}  // namespace vitalwire::controller
