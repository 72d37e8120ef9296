#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "base/ids.hpp"
#include "controller/alarms/alarm_rows.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// Keeps over a restart where the inventory has each guest, and which guests each agent has registered: without that
/// any host could report about any guest until the inventory has been read, and nobody would miss the guests of an
/// agent that is away. Only what has changed is written, a few rows at a time, whatever the cloud or an agent changes
/// at once. No I/O, no clock.
class KnownGuests {
public:
    KnownGuests(Inventory& inventory, Fleet& fleet, AlarmRows& rows)
        : inventory_(inventory), fleet_(fleet), rows_(rows) {}

    /// As it was before a restart; the agents are in the fleet.
    void load();
    /// For the first time: it replaces what was known of before.
    void inventory_read();
    void inventory_changed(const std::vector<GuestChange>& changes);
    /// The report changes what is on disk of a guest that the agent has reported as `before`.
    static bool is_news(const model::GuestReport* before, const model::GuestReport& report);
    /// What the agent reports of the guest is to be written, or erased when it reports it no more.
    void changed(const base::HostId& host, const base::GuestId& guest) { registrations_[host].insert(guest); }
    void agent_removed(const base::HostId& host, const Agent& agent);

    /// True while there is something to write.
    bool pending() const { return comparing_ || !places_.empty() || !registrations_.empty(); }
    void write_some();

private:
    std::size_t compare(std::size_t budget);
    void write_place(const base::GuestId& guest);
    void write_registrations(std::size_t budget);

    Inventory& inventory_;
    Fleet& fleet_;
    AlarmRows& rows_;
    bool comparing_ = false;                       ///< what the inventory has with what is on disk
    std::vector<base::GuestId> to_compare_;        ///< in the order of the disk, backwards: neighbours share its pages
    std::map<base::GuestId, GuestPlace> on_disk_;  ///< of those that have not been compared
    std::set<base::GuestId> places_;               ///< to be written
    std::map<base::HostId, std::set<base::GuestId>> registrations_;  ///< the same
    base::HostId last_host_;                                         ///< whose registrations were written last
};

}  // namespace vitalwire::controller
