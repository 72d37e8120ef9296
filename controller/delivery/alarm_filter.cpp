#include "controller/delivery/alarm_filter.hpp"

#include <algorithm>

namespace vitalwire::controller {

namespace {

/// A report reaches two controllers within that time. One that only seems to have been over before its hold-off may
/// have been sent by the other.
constexpr base::Millis kReceivedApart{1000};

/// Since when this controller has had the alarm, before a restart included; only then its wall clock counts, which may
/// have been set.
base::TimePoint received(const Alarm& alarm, const FilterContext& context) {
    if (alarm.received != base::TimePoint{}) return alarm.received;
    if (alarm.received_at == base::WallTime{}) return context.now;
    return context.now - std::max<base::Duration>(context.wall - alarm.received_at, base::Duration::zero());
}

/// Of one that is over, and was not held here. Two clocks say nothing of a time between them, nor does one that was
/// set back: such a fault is not said to have been short.
base::Duration lasted(const Alarm& alarm, base::Duration here) {
    if (alarm.ended_here) return here + kReceivedApart;
    if (*alarm.cleared_at < alarm.opened_at) return base::Duration::max();
    return *alarm.cleared_at - alarm.opened_at;
}

/// Its hold-off was over before the maintenance began, so the one that was primary then has sent it.
bool sent_before(const Maintained& maintained, const Alarm& alarm, base::Millis hold_off) {
    const base::WallTime received = alarm.received_at == base::WallTime{} ? alarm.opened_at : alarm.received_at;
    return received + hold_off < maintained.since;
}

}  // namespace

AlarmFilter::Decision AlarmFilter::offer(const AlarmPtr& alarm, const FilterContext& context) {
    if (!policies_ && !context.maintained && !entries_.contains(alarm->id)) return Decision::pass;
    Entry& entry = entries_[alarm->id];
    if (entry.state == State::passed) return Decision::pass;
    const bool was_held = entry.state == State::held;
    const base::TimePoint since = was_held ? entry.since : received(*alarm, context);
    leave_hold(entry);
    entry.since = since;
    const PolicyDecision decision =
        policies_ ? decide(*policies_, *alarm, context.inventory_known, context.interval) : PolicyDecision{};
    if (decision.kind == PolicyDecision::Kind::suppress) return Decision::stop;
    if (decision.kind == PolicyDecision::Kind::unknown) return hold(entry, alarm, base::kNever);
    // An earlier primary has notified all of its sinks: this one waits for the clear.
    if (alarm->delivered > 0) return pass(entry);
    if (context.maintained) return maintain(entry, alarm, *context.maintained, decision.hold_off);
    const base::Duration here = context.now - since;
    if (!alarm->open()) {
        const base::Duration open = was_held ? here : lasted(*alarm, here);
        if (open >= decision.hold_off) return pass(entry);
        ++suppressed_;
        return Decision::stop;
    }
    if (here >= decision.hold_off) return pass(entry);
    return hold(entry, alarm, since + decision.hold_off);
}

/// What opens in the maintenance and is over before its end is not sent.
AlarmFilter::Decision AlarmFilter::maintain(Entry& entry, const AlarmPtr& alarm, const Maintained& maintained,
                                            base::Millis hold_off) {
    if (alarm->open()) return hold(entry, alarm, std::max(maintained.until, entry.since + hold_off));
    if (sent_before(maintained, *alarm, hold_off)) return pass(entry);
    ++suppressed_;
    return Decision::stop;
}

void AlarmFilter::leave_hold(Entry& entry) {
    if (entry.state != State::held) return;
    due_.erase({entry.due, entry.alarm->id});
    --held_;
    entry = {};
}

AlarmFilter::Decision AlarmFilter::hold(Entry& entry, const AlarmPtr& alarm, base::TimePoint due) {
    entry.state = State::held;
    entry.alarm = alarm;
    entry.due = due;
    ++held_;
    if (due != base::kNever) due_.emplace(due, alarm->id);
    return Decision::hold;
}

AlarmFilter::Decision AlarmFilter::pass(Entry& entry) {
    entry.state = State::passed;
    return Decision::pass;
}

void AlarmFilter::note_passed(const base::FaultId& fault) {
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

void AlarmFilter::erase(const base::FaultId& fault) {
    drop(fault);
    entries_.erase(fault);
}

std::vector<AlarmPtr> AlarmFilter::take_due(base::TimePoint now) {
    std::vector<AlarmPtr> due;
    while (!due_.empty() && due_.begin()->first <= now) {
        Entry& entry = entries_.at(due_.begin()->second);
        due.push_back(entry.alarm);
        leave_hold(entry);
        pass(entry);
    }
    return due;
}

bool AlarmFilter::has_passed(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    if (!policies_ && at == entries_.end()) return true;
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
