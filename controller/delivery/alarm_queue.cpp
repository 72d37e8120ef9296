#include "controller/delivery/alarm_queue.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

namespace {

Acked told_by(const AlarmEvent& event) {
    const bool cleared = event.change == AlarmChange::cleared;
    return {cleared ? Acked::Phase::cleared : Acked::Phase::open, event.alarm.revision};
}

Acked goal(const Alarm& alarm) {
    return {alarm.open() ? Acked::Phase::open : Acked::Phase::cleared, alarm.revision};
}

/// An alarm that was first heard of when it was over, as it must have been before.
Alarm before_clear(Alarm alarm) {
    alarm.cleared_at.reset();
    alarm.clear_reason.clear();
    if (alarm.revision > 1) --alarm.revision;
    alarm.updated_at = alarm.opened_at;
    return alarm;
}

}  // namespace

void AlarmQueue::restore(const Alarm& alarm, Acked told) {
    Entry& entry = entries_[alarm.id];
    entry.current = alarm;
    entry.last_open = alarm.open() ? alarm : before_clear(alarm);
    entry.told = told;
    entry.raised = true;
}

std::vector<AckChange> AlarmQueue::offer(const Alarm& alarm, bool trust_delivered) {
    const auto [at, is_new] = entries_.try_emplace(alarm.id);
    Entry& entry = at->second;
    entry.current = alarm;
    entry.withdrawn = false;
    if (alarm.open()) {
        entry.last_open = alarm;
    } else if (is_new) {
        entry.last_open = before_clear(alarm);
    }

    const Acked before = entry.told;
    if (trust_delivered) trust(entry);
    if (!settled(entry)) {
        alarm.open() ? queue_open(entry) : queue_clear(entry);
    }
    std::vector<AckChange> changes = collapse(alarm.kind);
    if (entry.told != before) changes.push_back({alarm.id, entry.told});
    return changes;
}

void AlarmQueue::trust(Entry& entry) {
    const Alarm& alarm = entry.current;
    if (alarm.delivered == alarm.revision) {
        entry.told = goal(alarm);
        drop_waiting(alarm.id);
    } else if (alarm.delivered > 0 && entry.told.phase == Acked::Phase::nothing && !last_waiting(alarm.id) &&
               !is_under_way(alarm.id)) {
        entry.told = {Acked::Phase::open, alarm.delivered};
    }
}

void AlarmQueue::queue_open(Entry& entry) {
    const Acked next = expected(entry);
    if (next.phase == Acked::Phase::open) {
        const bool merged = last_waiting(entry.current.id) != nullptr;
        if (!merged && next.revision != entry.current.revision) push(entry, AlarmChange::updated);
        return;
    }
    // Over before, open again (its agent lost the clear): the raise alone is right, whatever the sink has seen.
    drop_waiting(entry.current.id);
    push(entry, AlarmChange::opened);
}

void AlarmQueue::queue_clear(Entry& entry) {
    const Acked::Phase next = expected(entry).phase;
    if (next == Acked::Phase::cleared) return;
    // An update that waits is pointless now; a raise that waits before it (put back after it failed) is not.
    std::erase_if(steps_, [&](const Step& step) {
        return step.fault == entry.current.id && step.change == AlarmChange::updated;
    });
    if (next == Acked::Phase::nothing) push(entry, AlarmChange::opened);
    push(entry, AlarmChange::cleared);
}

std::vector<AckChange> AlarmQueue::collapse(const std::string& kind) {
    const auto excess_of = [&](const Step& step) {
        const Entry& entry = entries_.at(step.fault);
        return step.change == AlarmChange::opened && entry.current.kind == kind && over_and_untold(entry);
    };
    auto excess = std::count_if(steps_.begin(), steps_.end(), excess_of) - backlog_;
    std::vector<AckChange> changes;
    for (; excess > 0; --excess) {
        const auto oldest = std::find_if(steps_.begin(), steps_.end(), excess_of);
        const base::FaultId fault = oldest->fault;
        drop_waiting(fault);
        Entry& entry = entries_.at(fault);
        entry.told = goal(entry.current);
        ++collapsed_[kind];
        changes.push_back({fault, entry.told});
    }
    return changes;
}

bool AlarmQueue::over_and_untold(const Entry& entry) const {
    return !entry.current.open() && entry.told.phase == Acked::Phase::nothing && !is_under_way(entry.current.id);
}

void AlarmQueue::withdraw(const base::FaultId& fault) {
    drop_waiting(fault);
    const auto at = entries_.find(fault);
    if (at != entries_.end()) at->second.withdrawn = true;
}

void AlarmQueue::finish(const Alarm& alarm, bool others_done) {
    const auto at = entries_.find(alarm.id);
    if (at == entries_.end()) return;
    Entry& entry = at->second;
    entry.current = alarm;
    entry.withdrawn = false;
    if (!entry.raised) return drop_waiting(alarm.id);
    if (expected(entry).phase != Acked::Phase::nothing) return queue_clear(entry);
    // Nobody knows whether our raise has arrived. Acked again it would be a false alarm after the other's clear.
    if (others_done) push(entry, AlarmChange::cleared);
}

void AlarmQueue::forget(const base::FaultId& fault) {
    drop_waiting(fault);
    entries_.erase(fault);
}

std::optional<AckChange> AlarmQueue::retell(const base::FaultId& fault) {
    const auto at = entries_.find(fault);
    if (at == entries_.end()) return std::nullopt;
    Entry& entry = at->second;
    if (!entry.current.open() || entry.withdrawn || !settled(entry)) return std::nullopt;
    entry.told = {};
    queue_open(entry);
    return AckChange{fault, entry.told};
}

AlarmEvent AlarmQueue::event_of(const Step& step) const {
    const Entry& entry = entries_.at(step.fault);
    AlarmEvent event;
    event.change = step.change;
    event.alarm = step.change == AlarmChange::cleared ? entry.current : entry.last_open;
    return event;
}

std::optional<AlarmEvent> AlarmQueue::take() {
    if (under_way_ || steps_.empty()) return std::nullopt;
    const Step step = steps_.front();
    steps_.pop_front();
    Entry& entry = entries_.at(step.fault);
    entry.raised |= step.change != AlarmChange::cleared;
    AlarmEvent event = event_of(step);
    event.over = step.change != AlarmChange::cleared && !entry.current.open();
    for (const auto& [id, other] : entries_) {
        if (id != step.fault && other.current.open()) event.others_open.push_back(other.current.kind);
    }
    const auto collapsed = collapsed_.find(event.alarm.kind);
    if (step.change == AlarmChange::opened && collapsed != collapsed_.end()) event.collapsed = collapsed->second;
    under_way_ = event;
    return event;
}

std::optional<AckChange> AlarmQueue::confirm() {
    const AlarmEvent event = *std::exchange(under_way_, std::nullopt);
    if (event.collapsed > 0) {
        auto& untold = collapsed_[event.alarm.kind];
        untold -= event.collapsed;
        if (untold == 0) collapsed_.erase(event.alarm.kind);
    }
    const auto at = entries_.find(event.alarm.id);
    if (at == entries_.end()) return std::nullopt;
    Entry& entry = at->second;
    entry.attempts = 0;
    entry.last_error.clear();
    // Another lead can have delivered more than this message meanwhile.
    if (!reached(entry)) entry.told = told_by(event);
    return AckChange{event.alarm.id, entry.told};
}

void AlarmQueue::requeue(const std::string& why) {
    const AlarmEvent event = *std::exchange(under_way_, std::nullopt);
    const auto at = entries_.find(event.alarm.id);
    if (at == entries_.end()) return;
    Entry& entry = at->second;
    ++entry.attempts;
    entry.last_error = why;
    if (entry.withdrawn || reached(entry)) return;
    // What happened meanwhile can make the message pointless: a later update, the clear, or a new raise says it all.
    const bool overtaken = last_waiting(event.alarm.id) != nullptr;
    if (overtaken && event.change != AlarmChange::opened) return;
    steps_.push_front({event.alarm.id, event.change});
}

/// Nothing needs to be told beyond what is confirmed. A clear is final whatever revision said it.
bool AlarmQueue::reached(const Entry& entry) {
    if (!entry.current.open()) return entry.told.phase == Acked::Phase::cleared;
    return entry.told == goal(entry.current);
}

bool AlarmQueue::settled(const Entry& entry) const {
    const base::FaultId& fault = entry.current.id;
    return reached(entry) && last_waiting(fault) == nullptr && !is_under_way(fault);
}

bool AlarmQueue::settled(const base::FaultId& fault) const {
    const auto at = entries_.find(fault);
    return at != entries_.end() && settled(at->second);
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
    view.revision = entry.told.revision;
    view.attempts = entry.attempts;
    view.last_error = entry.last_error;
    if (is_under_way(fault)) {
        view.state = DeliveryView::State::sending;
    } else if (!settled(entry)) {
        view.state = DeliveryView::State::queued;
    }
    return view;
}

/// What the sink will have been told when everything that waits has arrived.
Acked AlarmQueue::expected(const Entry& entry) const {
    if (const Step* last = last_waiting(entry.current.id)) {
        return {last->change == AlarmChange::cleared ? Acked::Phase::cleared : Acked::Phase::open,
                entry.current.revision};
    }
    return is_under_way(entry.current.id) ? told_by(*under_way_) : entry.told;
}

const AlarmQueue::Step* AlarmQueue::last_waiting(const base::FaultId& fault) const {
    const auto at = std::find_if(steps_.rbegin(), steps_.rend(), [&](const Step& step) { return step.fault == fault; });
    return at == steps_.rend() ? nullptr : &*at;
}

void AlarmQueue::drop_waiting(const base::FaultId& fault) {
    std::erase_if(steps_, [&](const Step& step) { return step.fault == fault; });
}

}  // namespace vitalwire::controller
