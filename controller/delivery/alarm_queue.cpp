#include "controller/delivery/alarm_queue.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

std::string_view to_string(DeliveryView::State state) {
    switch (state) {
        case DeliveryView::State::acknowledged:
            return "acknowledged";
        case DeliveryView::State::acknowledged_by_peer:
            return "acknowledged_by_peer";
        case DeliveryView::State::pending_at_peer:
            return "pending_at_peer";
        case DeliveryView::State::queued:
            return "queued";
        case DeliveryView::State::sending:
            return "sending";
        case DeliveryView::State::held:
            return "held";
        case DeliveryView::State::suppressed:
            return "suppressed";
        case DeliveryView::State::skipped:
            return "skipped";
    }
    return "queued";
}

namespace {

Acked acked_by(const AlarmEvent& event) {
    const bool cleared = event.change == AlarmChange::cleared;
    return {cleared ? Acked::Phase::cleared : Acked::Phase::open, event.alarm.revision};
}

Acked goal(const Alarm& alarm) {
    return {alarm.open() ? Acked::Phase::open : Acked::Phase::cleared, alarm.revision};
}

bool is_at(const Acked& acked, const Acked& goal) {
    return acked.phase == goal.phase && acked.revision == goal.revision;
}

/// An alarm that was over when it came, as it must have been before.
AlarmPtr before_clear(Alarm alarm) {
    alarm.cleared_at.reset();
    alarm.clear_reason.clear();
    if (alarm.revision > 1) --alarm.revision;
    alarm.updated_at = alarm.opened_at;
    return std::make_shared<const Alarm>(std::move(alarm));
}

}  // namespace

std::vector<base::FaultId> AlarmQueue::faults() const {
    std::vector<base::FaultId> faults;
    for (const auto& [fault, entry] : entries_)
        faults.push_back(fault);
    return faults;
}

void AlarmQueue::restore(AlarmPtr alarm, Acked acked) {
    Entry& entry = entries_[alarm->id];
    entry.last_open = alarm->open() ? alarm : before_clear(*alarm);
    entry.current = std::move(alarm);
    entry.acked = std::move(acked);
    entry.raised = true;
}

std::vector<AckChange> AlarmQueue::offer(AlarmPtr alarm, bool trust_delivered, bool clear_alone) {
    const auto [at, is_new] = entries_.try_emplace(alarm->id);
    Entry& entry = at->second;
    entry.current = alarm;
    entry.withdrawn = false;
    if (alarm->open()) {
        entry.last_open = alarm;
    } else if (is_new) {
        entry.last_open = before_clear(*alarm);
    }

    const Acked before = entry.acked;
    if (trust_delivered) trust(entry);
    if (!settled(entry)) {
        alarm->open() ? queue_open(entry) : queue_clear(entry, clear_alone);
    }
    std::vector<AckChange> changes = collapse(alarm->kind);
    if (entry.acked != before) changes.push_back({alarm->id, entry.acked});
    return changes;
}

void AlarmQueue::trust(Entry& entry) {
    const Alarm& alarm = *entry.current;
    if (alarm.delivered == alarm.revision) {
        if (!is_at(entry.acked, goal(alarm))) entry.acked = goal(alarm);
        drop_waiting(alarm.id);
    } else if (alarm.delivered > 0 && entry.acked.phase == Acked::Phase::nothing && !last_waiting(alarm.id) &&
               !is_under_way(alarm.id)) {
        entry.acked = {Acked::Phase::open, alarm.delivered};
    }
}

void AlarmQueue::queue_open(Entry& entry) {
    const Acked next = expected(entry);
    if (next.phase == Acked::Phase::open) {
        const bool merged = last_waiting(entry.current->id) != nullptr;
        if (!merged && next.revision != entry.current->revision) push(entry, AlarmChange::updated);
        return;
    }
    // Over before, open again (its agent lost the clear): the raise alone is right, whatever the sink has seen.
    drop_waiting(entry.current->id);
    push(entry, AlarmChange::opened);
}

void AlarmQueue::queue_clear(Entry& entry, bool alone) {
    const Acked::Phase next = expected(entry).phase;
    if (next == Acked::Phase::cleared) return;
    // An update that waits is pointless now; a raise that waits before it (put back after it failed) is not.
    std::erase_if(steps_, [&](const Step& step) {
        return step.fault == entry.current->id && step.change == AlarmChange::updated;
    });
    if (next == Acked::Phase::nothing && !alone) push(entry, AlarmChange::opened);
    push(entry, AlarmChange::cleared);
}

std::vector<AckChange> AlarmQueue::collapse(const std::string& kind) {
    const auto excess_of = [&](const Step& step) {
        const Entry& entry = entries_.at(step.fault);
        return step.change == AlarmChange::opened && entry.current->kind == kind && over_and_unsent(entry);
    };
    auto excess = std::count_if(steps_.begin(), steps_.end(), excess_of) - backlog_;
    std::vector<AckChange> changes;
    for (; excess > 0; --excess) {
        const auto oldest = std::find_if(steps_.begin(), steps_.end(), excess_of);
        const base::FaultId fault = oldest->fault;
        drop_waiting(fault);
        Entry& entry = entries_.at(fault);
        entry.acked = goal(*entry.current);
        ++collapsed_[kind];
        changes.push_back({fault, entry.acked});
    }
    return changes;
}

bool AlarmQueue::over_and_unsent(const Entry& entry) const {
    // A raise that was tried may have arrived though it was not confirmed.
    return !entry.current->open() && !entry.raised && entry.acked.phase == Acked::Phase::nothing &&
           !is_under_way(entry.current->id);
}

void AlarmQueue::withdraw(const base::FaultId& fault) {
    drop_waiting(fault);
    const auto at = entries_.find(fault);
    if (at != entries_.end()) at->second.withdrawn = true;
}

void AlarmQueue::finish(AlarmPtr alarm, bool others_done) {
    const auto at = entries_.find(alarm->id);
    if (at == entries_.end()) return;
    Entry& entry = at->second;
    entry.current = std::move(alarm);
    entry.withdrawn = false;
    if (!entry.raised) return drop_waiting(entry.current->id);
    if (expected(entry).phase != Acked::Phase::nothing) return queue_clear(entry);
    // Whether our raise has arrived is unknown. Sent again it would be a false alarm after the other's clear.
    if (others_done) push(entry, AlarmChange::cleared);
}

void AlarmQueue::erase(const base::FaultId& fault) {
    drop_waiting(fault);
    entries_.erase(fault);
}

bool AlarmQueue::take_back(const base::FaultId& fault) {
    const auto at = entries_.find(fault);
    if (at == entries_.end() || is_under_way(fault)) return false;
    const Entry& entry = at->second;
    if (entry.raised || !entry.current->open() || expected(entry).phase == Acked::Phase::nothing) return false;
    if (entry.acked.phase != Acked::Phase::nothing) return false;
    erase(fault);
    return true;
}

std::optional<AckChange> AlarmQueue::resend(const base::FaultId& fault) {
    const auto at = entries_.find(fault);
    if (at == entries_.end()) return std::nullopt;
    Entry& entry = at->second;
    if (!entry.current->open() || entry.withdrawn || !settled(entry)) return std::nullopt;
    entry.acked = {};
    queue_open(entry);
    return AckChange{fault, entry.acked};
}

AlarmEvent AlarmQueue::event_of(const Step& step) const {
    const Entry& entry = entries_.at(step.fault);
    AlarmEvent event;
    event.change = step.change;
    event.alarm = step.change == AlarmChange::cleared ? *entry.current : *entry.last_open;
    return event;
}

std::optional<AlarmEvent> AlarmQueue::take() {
    if (under_way_ || steps_.empty()) return std::nullopt;
    const Step step = steps_.front();
    steps_.pop_front();
    Entry& entry = entries_.at(step.fault);
    raised_before_ = entry.raised;
    entry.raised |= step.change != AlarmChange::cleared;
    AlarmEvent event = event_of(step);
    event.over = step.change != AlarmChange::cleared && !entry.current->open();
    for (const auto& [id, other] : entries_) {
        if (id != step.fault && other.current->open()) event.others_open.push_back(other.current->kind);
    }
    const auto collapsed = collapsed_.find(event.alarm.kind);
    if (step.change == AlarmChange::opened && collapsed != collapsed_.end()) event.collapsed = collapsed->second;
    under_way_ = event;
    return event;
}

std::optional<AckChange> AlarmQueue::confirm() {
    return end_message({});
}

std::optional<AckChange> AlarmQueue::skip(const std::string& why) {
    return end_message(why);
}

std::optional<AckChange> AlarmQueue::end_message(const std::string& skipped) {
    const AlarmEvent event = *std::exchange(under_way_, std::nullopt);
    if (event.collapsed > 0) {
        auto& unsent = collapsed_[event.alarm.kind];
        unsent -= event.collapsed;
        if (unsent == 0) collapsed_.erase(event.alarm.kind);
    }
    const auto at = entries_.find(event.alarm.id);
    if (at == entries_.end()) return std::nullopt;
    Entry& entry = at->second;
    entry.attempts = 0;
    entry.last_error.clear();
    const bool raise = event.change == AlarmChange::opened;
    // Of an alarm that was raised the receiver can have no use for the update or the clear: it was notified all the
    // same.
    const std::string why = raise ? skipped : entry.acked.skipped;
    // Another primary can have delivered more than this message in between.
    if (!reached(entry)) entry.acked = acked_by(event);
    entry.acked.skipped = why;
    return AckChange{event.alarm.id, entry.acked};
}

void AlarmQueue::requeue(const std::string& why, bool failed, bool unsent) {
    const AlarmEvent event = *std::exchange(under_way_, std::nullopt);
    const auto at = entries_.find(event.alarm.id);
    if (at == entries_.end()) return;
    Entry& entry = at->second;
    if (failed) ++entry.attempts;
    if (unsent) entry.raised = raised_before_;
    entry.last_error = why;
    if (entry.withdrawn || reached(entry)) return;
    // What happened since can make the message pointless: a later update, the clear, or a new raise replaces it.
    const bool overtaken = last_waiting(event.alarm.id) != nullptr;
    if (overtaken && event.change != AlarmChange::opened) return;
    steps_.push_front({event.alarm.id, event.change});
}

bool AlarmQueue::may_show(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    if (at == entries_.end() || at->second.current->open()) return false;
    return at->second.raised && expected(at->second).phase == Acked::Phase::nothing;
}

/// Nothing needs to be sent beyond what is acknowledged. A clear is final whatever revision it was of.
bool AlarmQueue::reached(const Entry& entry) {
    if (!entry.current->open()) return entry.acked.phase == Acked::Phase::cleared;
    return is_at(entry.acked, goal(*entry.current));
}

bool AlarmQueue::settled(const Entry& entry) const {
    const base::FaultId& fault = entry.current->id;
    return reached(entry) && last_waiting(fault) == nullptr && !is_under_way(fault);
}

bool AlarmQueue::settled(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at != entries_.end() && settled(at->second);
}

bool AlarmQueue::acknowledged(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at != entries_.end() && settled(at->second) && at->second.acked.skipped.empty();
}

bool AlarmQueue::urgent() const {
    return std::any_of(steps_.begin(), steps_.end(),
                       [&](const Step& step) { return entries_.at(step.fault).current->severity == "critical"; });
}

std::optional<base::WallTime> AlarmQueue::oldest() const {
    if (under_way_) return under_way_->time();
    if (steps_.empty()) return std::nullopt;
    return event_of(steps_.front()).time();
}

DeliveryView AlarmQueue::view(const base::FaultId& fault) const {
    DeliveryView view;
    const auto at = entries_.find(fault);
    if (at == entries_.end()) return view;
    const Entry& entry = at->second;
    view.revision = entry.acked.revision;
    view.attempts = entry.attempts;
    view.last_error = entry.last_error;
    if (is_under_way(fault)) {
        view.state = DeliveryView::State::sending;
    } else if (!settled(entry)) {
        view.state = DeliveryView::State::queued;
    } else if (!entry.acked.skipped.empty()) {
        view.state = DeliveryView::State::skipped;
        view.last_error = entry.acked.skipped;
    }
    return view;
}

/// What the sink will have when everything that waits has arrived.
Acked AlarmQueue::expected(const Entry& entry) const {
    if (const Step* last = last_waiting(entry.current->id)) {
        return {last->change == AlarmChange::cleared ? Acked::Phase::cleared : Acked::Phase::open,
                entry.current->revision};
    }
    return is_under_way(entry.current->id) ? acked_by(*under_way_) : entry.acked;
}

const AlarmQueue::Step* AlarmQueue::last_waiting(const base::FaultId& fault) const {
    const auto at = std::find_if(steps_.rbegin(), steps_.rend(), [&](const Step& step) { return step.fault == fault; });
    return at == steps_.rend() ? nullptr : &*at;
}

void AlarmQueue::drop_waiting(const base::FaultId& fault) {
    std::erase_if(steps_, [&](const Step& step) { return step.fault == fault; });
}

}  // namespace vitalwire::controller
