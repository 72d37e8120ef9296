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
    /// `policy_sent`: the agent has the policies of its guests.
    Coverage(const Inventory& inventory, const Fleet& fleet, const HostNames& names, const FaultTable& faults,
             std::function<bool(const base::HostId&)> policy_sent)
        : inventory_(inventory), fleet_(fleet), names_(names), faults_(faults), policy_sent_(std::move(policy_sent)) {}

    std::vector<Covered> all() const;
    std::array<std::size_t, kWatches> counts() const;

private:
    template <class Visit>
    void for_each(Visit visit) const;
    Covered decide(const InventoryGuest& guest) const;
    Covered decide(const base::HostId& host, const model::GuestReport& report) const;
    bool is_faulty(Covered& covered) const;
    void judge(Covered& covered, const Agent& agent, const model::GuestReport& report) const;
    std::string why_unreported(const base::HostId& host, const base::GuestId& guest, const Agent& agent) const;

    const Inventory& inventory_;
    const Fleet& fleet_;
    const HostNames& names_;
    const FaultTable& faults_;
    std::function<bool(const base::HostId&)> policy_sent_;
};

}  // namespace vitalwire::controller
