#include "controller/alarms/alarm_list.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

void AlarmList::load(const base::Moment& now) {
    const auto know_received = [&now](TrackedFault& tracked) {
        tracked.received = now.steady - std::max<base::Duration>(now.wall - tracked.received_at, {});
    };
    for (TrackedFault& tracked : rows_.load_faults()) {
        know_received(tracked);
        table_.restore(tracked);
    }
    for (auto& [number, entry] : rows_.load_history()) {
        know_received(entry.tracked);
        history_.restore(number, std::move(entry));
    }
}

std::vector<base::FaultId> AlarmList::retire(const TrackedFault& tracked, bool delivered) {
    const FaultHistory::Entry entry{tracked, delivered};
    const FaultHistory::Added added = history_.add(entry);
    rows_.put_history(added.number, entry);
    for (const FaultHistory::Number number : added.dropped)
        rows_.erase_history(number);
    const base::FaultId fault = tracked.fault.id;
    table_.erase(fault);
    rows_.erase_fault(fault);
    return added.gone;
}

void AlarmList::erase_past(const base::FaultId& fault) {
    if (const auto number = history_.erase(fault)) rows_.erase_history(*number);
}

std::optional<TrackedFault> AlarmList::bring_back(const base::FaultId& fault) {
    const FaultHistory::Entry* past = history_.find(fault);
    if (past == nullptr) return std::nullopt;
    TrackedFault tracked = past->tracked;
    erase_past(fault);
    tracked.fault.delivered = 0;
    table_.restore(tracked);
    put(tracked);
    return tracked;
}

void AlarmList::clock_was_set(base::WallTime::duration by) {
    table_.clock_was_set(by);
    for (const auto& [id, tracked] : table_.all())
        put(tracked);
}

std::vector<TrackedFault> AlarmList::of_host(const base::HostId& host) const {
    std::vector<TrackedFault> faults;
    for (const TrackedFault* tracked : table_.of_host(host))
        faults.push_back(*tracked);
    return faults;
}

}  // namespace vitalwire::controller
