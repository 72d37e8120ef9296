#pragma once

#include <optional>
#include <vector>

#include "base/moment.hpp"
#include "controller/alarms/alarm_rows.hpp"
#include "controller/alarms/fault_history.hpp"
#include "controller/alarms/fault_table.hpp"

namespace vitalwire::controller {

/// The faults of all guests, open and ended, in memory and on disk.
class AlarmList {
public:
    AlarmList(AlarmRows& rows, std::size_t history) : rows_(rows), history_(history) {}

    /// Those of before a restart. When they were received is taken over from the wall clock once: it may be set later.
    void load(const base::Moment& now);

    FaultTable& table() { return table_; }
    const FaultTable& table() const { return table_; }
    const FaultHistory& history() const { return history_; }
    void set_history(std::size_t limit) { history_.set_limit(limit); }

    void put(const TrackedFault& tracked) { rows_.put_fault(tracked); }
    /// The clock of this controller was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// It has ended and nothing more is to be delivered from here: it moves to the history.
    /// Returns the faults that are no longer kept for it.
    std::vector<base::FaultId> retire(const TrackedFault& tracked, bool delivered);
    void erase_past(const base::FaultId& fault);
    /// Moves an ended fault back into the table, its end still to be delivered; absent when the history has it no more.
    std::optional<TrackedFault> bring_back(const base::FaultId& fault);
    /// Copies: faults may leave the table while one goes through them.
    std::vector<TrackedFault> of_host(const base::HostId& host) const;

private:
    AlarmRows& rows_;
    FaultTable table_;
    FaultHistory history_;
};

}  // namespace vitalwire::controller
