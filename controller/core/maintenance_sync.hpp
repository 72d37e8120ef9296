#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/messages.hpp"
#include "controller/alarms/maintenance_list.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// Keeps the agents informed of which of their guests are in a maintenance that guests are notified of, or that their
/// votes do not count in. No I/O, no clock.
class MaintenanceSync {
public:
    using Send = std::function<void(const base::HostId&, const bus::ToAgent&)>;

    using SubjectOf = std::function<MaintenanceList::Subject(const base::GuestId&, const base::HostId&)>;

    MaintenanceSync(const MaintenanceList& windows, const Fleet& fleet, const Inventory& inventory,
                    SubjectOf subject_of, Send send)
        : windows_(windows),
          fleet_(fleet),
          inventory_(inventory),
          subject_of_(std::move(subject_of)),
          send_(std::move(send)) {}

    /// Something may have changed for that host, or for all.
    void mark(const base::HostId& host) { marked_.insert(host); }
    void mark_all();
    /// As mark(), when there is anything that an agent was told or is to be told.
    void guests_changed(const base::HostId& host);
    /// The agent of that host reports the guest no more.
    void guest_gone(const base::HostId& host, const base::GuestId& guest);
    /// Marks all when a window has ended, or guests are elsewhere.
    void check(base::WallTime now);
    /// One host in each turn of the loop.
    bool pending() const { return !marked_.empty(); }
    void sync_next(base::WallTime now);
    /// Its connection is another now, or gone.
    void erase(const base::HostId& host) { sent_.erase(host); }

private:
    using Items = std::vector<bus::GuestMaintenance::Item>;

    void sync(const base::HostId& host, const Agent& agent, base::WallTime now);
    bool has_it_still(const base::HostId& host, const base::GuestId& guest) const;
    void send(const base::HostId& host, const Items& items, std::vector<base::GuestId> over) const;

    const MaintenanceList& windows_;
    const Fleet& fleet_;
    const Inventory& inventory_;
    SubjectOf subject_of_;
    Send send_;
    std::set<base::HostId> marked_;
    std::map<base::HostId, Items> sent_;
    std::map<base::GuestId, base::HostId> notified_on_;  ///< whose maintenance lasts there, as far as is known
    std::uint64_t inventory_version_ = 0;
    base::WallTime next_end_{};  ///< of the windows that agents know of; none: there is none
};

}  // namespace vitalwire::controller
