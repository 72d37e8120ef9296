#include "controller/delivery/alarm_filter.hpp"

#include <algorithm>

namespace vitalwire::controller {

namespace {

/// A report reaches two controllers within that time. One that only seems to have been over before its hold-off may
/// have been sent by the other.
constexpr base::Millis kReceivedApart{1000};

/// Since when this controller has had the alarm. An alarm of its own has just been raised.
base::TimePoint received(const Alarm& alarm, const FilterContext& context) {
    return alarm.received == base::TimePoint{} ? context.now : alarm.received;
}

/// Of one that is over, and was not held here. Two clocks say nothing of a time between them, nor does one that was
/// set back: such a fault is not said to have been short.
base::Duration lasted(const Alarm& alarm, base::TimePoint since) {
    if (alarm.ended != base::TimePoint{}) return alarm.ended - since + kReceivedApart;
    if (*alarm.cleared_at < alarm.opened_at) return base::Duration::max();
    return *alarm.cleared_at - alarm.opened_at;
}

/// Its hold-off was over before the maintenance began, so the one that was primary then has sent it.
bool sent_before(const Maintained& maintained, const Alarm& alarm, base::Millis hold_off) {
    const base::WallTime received = alarm.received_at == base::WallTime{} ? alarm.opened_at : alarm.received_at;
    return received + hold_off < maintained.since;
}

std::string seconds(base::Millis time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

/// Why a policy no longer waits for the guest's I/O.
std::string released(const IoKnowledge& io) {
    return io.kind == IoKnowledge::Kind::known ? "no I/O for " + seconds(io.idle)
                                               : std::string("the guest's I/O is not known");
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
    const IoKnowledge io = know_io(entry.io, *alarm, context);
    const PolicyDecision decision =
        policies_ ? decide(*policies_, *alarm, context.inventory_known, context.interval, io) : PolicyDecision{};
    if (decision.kind == PolicyDecision::Kind::suppress) return Decision::stop;
    if (decision.kind == PolicyDecision::Kind::unknown) return hold(entry, alarm, base::kNever);
    // An earlier primary has notified all of its sinks: this one waits for the clear.
    if (alarm->delivered > 0) return pass(entry);
    if (context.maintained) return maintain(entry, alarm, *context.maintained, decision);
    const base::Duration here = context.now - since;
    const bool ready = decision.kind == PolicyDecision::Kind::deliver;
    if (!alarm->open()) {
        const base::Duration open = was_held ? here : lasted(*alarm, since);
        if (ready && open >= decision.hold_off) return pass(entry);
        ++suppressed_;
        return Decision::stop;
    }
    const bool waited = entry.io.why != IoHold::Why::none;
    if (decision.io_hold_off) {
        wait_for_io(entry, *alarm, io, context);
    } else {
        end_io_hold(entry, alarm->id, released(io));
    }
    if (ready && here >= decision.hold_off) {
        if (decision.io_unknown && !waited) io_decisions_.push_back({alarm->id, false, released(io)});
        return pass(entry);
    }
    return hold(entry, alarm, due_of(entry, decision));
}

base::TimePoint AlarmFilter::due_of(const Entry& entry, const PolicyDecision& decision) {
    base::TimePoint due = base::kNever;
    if (decision.kind == PolicyDecision::Kind::deliver) due = entry.since + decision.hold_off;
    if (decision.io_hold_off) due = std::min(due, std::max(entry.io.until, entry.since + *decision.io_hold_off));
    return due;
}

/// A reading from before the fault does not show what the guest does since; the one after it does, however the host's
/// clock was set. What was held and is over was held for as long as it lasted, whatever has become of its readings.
IoKnowledge AlarmFilter::know_io(IoHold& hold, const Alarm& alarm, const FilterContext& context) {
    if (context.io && context.io->read_at != hold.read_at) {
        hold.is_first = hold.read_at == base::WallTime{};
        hold.read_at = context.io->read_at;
        hold.until = context.now + kIoPatience;
    }
    const bool may_come = !context.io && !context.guest_reported && hold.until == base::TimePoint{};
    if (may_come) hold.until = context.now + kIoPatience;
    const bool waits = hold.why != IoHold::Why::none;
    if (!alarm.open() && waits) return {IoKnowledge::Kind::awaited, {}};
    if (context.now >= hold.until || (!context.io && !waits && !may_come)) return {};
    if (!context.io || (hold.is_first && hold.read_at < alarm.opened_at)) return {IoKnowledge::Kind::awaited, {}};
    return {IoKnowledge::Kind::known, context.io->idle};
}

void AlarmFilter::wait_for_io(Entry& entry, const Alarm& alarm, const IoKnowledge& io, const FilterContext& context) {
    using Why = IoHold::Why;
    const bool known = io.kind == IoKnowledge::Kind::known;
    const Why why = !known ? Why::awaited : context.io->seen() ? Why::seen : Why::watched;
    entry.io.text = why == Why::seen      ? "I/O seen " + seconds(io.idle) + " ago"
                    : why == Why::watched ? "no I/O seen, but watched for " + seconds(io.idle) + " only"
                                          : "waits for the guest's I/O to be read";
    if (std::exchange(entry.io.why, why) != why) io_decisions_.push_back({alarm.id, true, entry.io.text});
}

void AlarmFilter::end_io_hold(Entry& entry, const base::FaultId& fault, const std::string& why) {
    if (std::exchange(entry.io.why, IoHold::Why::none) != IoHold::Why::none)
        io_decisions_.push_back({fault, false, why});
    entry.io.text.clear();
}

/// What opens in the maintenance and is over before its end is not sent.
AlarmFilter::Decision AlarmFilter::maintain(Entry& entry, const AlarmPtr& alarm, const Maintained& maintained,
                                            const PolicyDecision& decision) {
    if (alarm->open()) return hold(entry, alarm, std::max(maintained.until, due_of(entry, decision)));
    if (decision.kind == PolicyDecision::Kind::deliver && !entry.unsent &&
        sent_before(maintained, *alarm, decision.hold_off))
        return pass(entry);
    ++suppressed_;
    return Decision::stop;
}

void AlarmFilter::leave_hold(Entry& entry) {
    if (entry.state != State::held) return;
    due_.erase({entry.due, entry.alarm->id});
    --held_;
    IoHold io = std::move(entry.io);
    const bool unsent = entry.unsent;
    entry = {};
    entry.io = std::move(io);
    entry.unsent = unsent;
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

void AlarmFilter::take_back(const base::FaultId& fault) {
    Entry& entry = entries_[fault];
    leave_hold(entry);
    entry = {};
    entry.unsent = true;
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
        if (now >= entry.io.until) end_io_hold(entry, entry.alarm->id, released({}));
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

std::string AlarmFilter::io_hold(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at == entries_.end() || at->second.state != State::held ? std::string() : at->second.io.text;
}

bool AlarmFilter::asks_inventory() const {
    return policies_ && std::any_of(policies_->begin(), policies_->end(),
                                    [](const Policy& policy) { return policy.asks_inventory(); });
}

}  // namespace vitalwire::controller
