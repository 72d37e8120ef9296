#include "controller/delivery/alarm_filter.hpp"

#include <algorithm>

namespace vitalwire::controller {

AlarmFilter::Verdict AlarmFilter::offer(const Alarm& alarm, bool inventory_known, base::Millis beat, Moment moment) {
    if (!policies_) return Verdict::pass;
    Entry& entry = entries_[alarm.id];
    if (entry.state == State::passed) return Verdict::pass;
    leave_hold(entry);
    const Ruling ruling = rule(*policies_, alarm, inventory_known, beat);
    if (ruling.kind == Ruling::Kind::untold) return Verdict::stop;
    if (ruling.kind == Ruling::Kind::unknown) return hold(entry, alarm, base::kNever);
    // An earlier lead has told all of its sinks: this one waits for the clear.
    if (alarm.delivered > 0) return pass(entry);
    if (!alarm.open()) {
        if (*alarm.cleared_at - alarm.opened_at >= ruling.hold_off) return pass(entry);
        ++spared_;
        return Verdict::stop;
    }
    const base::Duration age = std::max<base::Duration>(moment.wall - alarm.opened_at, base::Duration::zero());
    if (age >= ruling.hold_off) return pass(entry);
    return hold(entry, alarm, moment.now + (ruling.hold_off - age));
}

void AlarmFilter::leave_hold(Entry& entry) {
    if (entry.state != State::held) return;
    due_.erase({entry.due, entry.alarm.id});
    --held_;
    entry = {};
}

AlarmFilter::Verdict AlarmFilter::hold(Entry& entry, const Alarm& alarm, base::TimePoint due) {
    entry = {State::held, alarm, due};
    ++held_;
    if (due != base::kNever) due_.emplace(due, alarm.id);
    return Verdict::hold;
}

AlarmFilter::Verdict AlarmFilter::pass(Entry& entry) {
    entry.state = State::passed;
    return Verdict::pass;
}

void AlarmFilter::note_passed(const base::FaultId& fault) {
    if (!policies_) return;
    Entry& entry = entries_[fault];
    leave_hold(entry);
    pass(entry);
}

void AlarmFilter::drop(const base::FaultId& fault) {
    const auto at = entries_.find(fault);
    if (at == entries_.end() || at->second.state != State::held) return;
    leave_hold(at->second);
    entries_.erase(at);
}

void AlarmFilter::forget(const base::FaultId& fault) {
    drop(fault);
    entries_.erase(fault);
}

std::vector<Alarm> AlarmFilter::take_due(base::TimePoint now) {
    std::vector<Alarm> due;
    while (!due_.empty() && due_.begin()->first <= now) {
        Entry& entry = entries_.at(due_.begin()->second);
        due.push_back(entry.alarm);
        leave_hold(entry);
        pass(entry);
    }
    return due;
}

bool AlarmFilter::has_passed(const base::FaultId& fault) const {
    if (!policies_) return true;
    const auto at = entries_.find(fault);
    return at != entries_.end() && at->second.state == State::passed;
}

bool AlarmFilter::holds(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at != entries_.end() && at->second.state == State::held;
}

bool AlarmFilter::stops(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at != entries_.end() && at->second.state == State::stopped;
}

bool AlarmFilter::asks_inventory() const {
    return policies_ && std::any_of(policies_->begin(), policies_->end(),
                                    [](const Policy& policy) { return policy.asks_inventory(); });
}

}  // namespace vitalwire::controller
