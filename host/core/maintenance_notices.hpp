#pragma once

#include <map>
#include <set>
#include <vector>

#include "base/ids.hpp"
#include "base/moment.hpp"
#include "bus/messages.hpp"
#include "model/lifecycle.hpp"

namespace vitalwire::host {

/// Which guests of this host an operator has in maintenance, as the primary reports it: notifies them of its begin and
/// of its end, once each, also across a restart of the agent, and of a maintenance that lasts whenever they register.
class MaintenanceNotices {
public:
    class Output {
    public:
        virtual ~Output() = default;
        /// False: it cannot be reached now.
        virtual bool notify_maintenance(const base::GuestId& guest, model::LifecycleEvent event) = 0;
        /// Survives a restart: whether the guest was notified of a begin, and not yet of the end.
        virtual void keep_notified(const base::GuestId& guest, bool notified) = 0;
    };

    explicit MaintenanceNotices(Output& output) : output_(output) {}

    /// Was notified of a begin before a restart.
    void restore(const base::GuestId& guest) { notified_.insert(guest); }
    /// `now` with the wall time at the controller that sends it: its times are by that. What lasts for a time lasts as
    /// long here, whatever the clock of this host does.
    void take(const bus::GuestMaintenance& message, const base::Moment& now);
    void registered(const base::GuestId& guest);
    void forget(const base::GuestId& guest);
    /// Until when the guest can reject nothing; the epoch: it can.
    base::TimePoint forced_until(const base::GuestId& guest) const;

private:
    void begin(const base::GuestId& guest);
    void end(const base::GuestId& guest);

    Output& output_;
    std::vector<bus::GuestMaintenance::Item> incoming_;
    std::set<base::GuestId> lasting_;
    std::set<base::GuestId> notified_;
    std::map<base::GuestId, base::TimePoint> forced_;
};

}  // namespace vitalwire::host
