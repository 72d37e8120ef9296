#include "controller/alarms/internal_alarms.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

void InternalAlarms::load() {
    for (Alarm& alarm : rows_.load_internal_alarms()) {
        sinks_.restore(alarm);  // it may have been under way
        alarms_.insert_or_assign(alarm.id, std::move(alarm));
    }
}

void InternalAlarms::restore(Notifier& sink, const base::FaultId& alarm, Acked acked) {
    sinks_.restore(sink, alarms_.at(alarm), std::move(acked));
}

void InternalAlarms::resume() {
    std::vector<base::FaultId> known;
    for (const auto& [id, alarm] : alarms_)
        known.push_back(id);
    for (const base::FaultId& id : known)
        offer(id);
}

const Alarm* InternalAlarms::find(const base::FaultId& alarm) const {
    const Journal::Record* record = journal_.find(alarm);
    return record == nullptr ? nullptr : alarm_of(*record).second;
}

void InternalAlarms::clock_was_set(base::WallTime::duration by) {
    for (auto& [id, alarm] : alarms_) {
        move_times(alarm, by);
        rows_.put_internal_alarm(alarm);
    }
}

void InternalAlarms::trim() {
    while (journal_.alarms().size() > kMaxKept) {
        std::pair<base::WallTime, base::FaultId> oldest{base::WallTime::max(), {}};
        for (const base::FaultId& id : journal_.alarms()) {
            const Alarm* alarm = alarms_.contains(id) ? nullptr : find(id);
            if (alarm != nullptr && !alarm->open()) oldest = std::min(oldest, {alarm->updated_at, id});
        }
        if (oldest.second.empty()) return;
        journal_.erase(oldest.second);
        rows_.erase_journal(oldest.second);
    }
}

void InternalAlarms::deliver(const Alarm& alarm) {
    journal_.note(alarm);
    trim();
    alarms_.insert_or_assign(alarm.id, alarm);
    rows_.put_internal_alarm(alarm);
    waiting_.insert(alarm.id);
    rows_.when_durable([this, id = alarm.id, alive = std::weak_ptr(alive_)] {
        if (!alive.expired() && waiting_.erase(id) > 0) offer(id);
    });
    tick();
}

void InternalAlarms::end_for_another(const Alarm& alarm) {
    const Journal::Record* record = journal_.find(alarm.id);
    if (record == nullptr) return;
    Alarm raised = alarm;
    raised.cleared_at.reset();
    raised.clear_reason.clear();
    for (const auto& sink : sinks_.sinks()) {
        if (!sink->takes(alarm)) continue;
        const JournalEntry* told = acknowledged_elsewhere(*record, sinks_.address_of(*sink));
        const bool shows = told != nullptr && !told->detail.starts_with(to_string(AlarmChange::cleared));
        const Acked acked =
            shows ? Acked{Acked::Phase::open, told->revision} : Acked{Acked::Phase::cleared, alarm.revision};
        sinks_.restore(*sink, shows ? raised : alarm, acked);
        rows_.put_acked(sink->name(), alarm.id, acked);
    }
    deliver(alarm);
}

void InternalAlarms::tick() {
    if (rows_.healthy()) return;
    for (const base::FaultId& id : std::exchange(waiting_, {}))
        offer(id);
}

void InternalAlarms::offer(const base::FaultId& id) {
    const auto at = alarms_.find(id);
    if (at == alarms_.end()) return;
    sinks_.offer(Alarm(at->second));
    settle(id);
}

void InternalAlarms::acknowledged(const Notifier& sink, const AckChange& change) {
    rows_.put_acked(sink.name(), change.fault, change.acked);
    settle(change.fault);
}

void InternalAlarms::settle(const base::FaultId& id) {
    const auto at = alarms_.find(id);
    if (at == alarms_.end() || at->second.open() || waiting_.contains(id)) return;
    const Alarm alarm = at->second;
    if (!sinks_.settled(alarm)) return;
    sinks_.erase(alarm);
    rows_.erase_internal_alarm(id);
    alarms_.erase(id);
    on_finished(id);
}

std::vector<base::FaultId> InternalAlarms::acknowledged_open(const Notifier& sink) const {
    std::vector<base::FaultId> acknowledged;
    for (const auto& [id, alarm] : alarms_) {
        if (alarm.open() && sink.takes(alarm) && sink.queue().acknowledged(alarm)) acknowledged.push_back(id);
    }
    return acknowledged;
}

bool InternalAlarms::resend(Notifier& sink, const base::FaultId& id) {
    const auto at = alarms_.find(id);
    return at != alarms_.end() && at->second.open() && sink.queue().resend(at->second);
}

}  // namespace vitalwire::controller
