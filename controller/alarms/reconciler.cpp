#include "controller/alarms/reconciler.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace vitalwire::controller {

namespace {

/// At most one alarm is open at each.
using AlarmSlot = std::pair<base::GuestId, std::string>;

AlarmSlot slot_of(const TrackedFault& tracked) {
    return {tracked.fault.guest, std::string(model::to_string(tracked.fault.kind))};
}

}  // namespace

void Reconciler::reconcile(Notifier& sink) {
    sink.list([this, &sink, acknowledged = acknowledged_open(sink), internal = internal_.acknowledged_open(sink),
               newest = list_.history().newest()](const Shown& shown) {
        const std::size_t raised = raise_lost(sink, acknowledged, shown) + raise_lost_internal(sink, internal, shown);
        sink.note_reconciled(raised, clear_stale(sink, newest, shown));
        sink.pump();
    });
}

std::vector<base::FaultId> Reconciler::acknowledged_open(const Notifier& sink) const {
    std::vector<base::FaultId> acknowledged;
    for (const auto& [id, tracked] : list_.table().all()) {
        const bool ours = tracked.fault.open() && context_.delivers(tracked);
        if (ours && sink.queue().acknowledged(to_alarm(tracked))) acknowledged.push_back(id);
    }
    return acknowledged;
}

std::size_t Reconciler::raise_lost(Notifier& sink, const std::vector<base::FaultId>& acknowledged, const Shown& shown) {
    std::map<AlarmSlot, bool> there;  // true: it ends soon
    for (const ShownAlarm& alarm : shown)
        there[{alarm.guest, alarm.kind}] |= alarm.ends_soon;
    std::size_t count = 0;
    for (const base::FaultId& id : acknowledged) {
        const TrackedFault* tracked = list_.table().find(id);
        if (tracked == nullptr || !context_.delivers(*tracked)) continue;
        const auto at = there.find(slot_of(*tracked));
        if (at != there.end() && !at->second) continue;
        const bool sent = sink.queue().resend(to_alarm(*tracked));
        if (sent && at == there.end()) ++count;  // a refresh is no loss
    }
    return count;
}

std::size_t Reconciler::raise_lost_internal(Notifier& sink, const std::vector<base::FaultId>& acknowledged,
                                            const Shown& shown) {
    std::map<base::FaultId, bool> there;  // true: it ends soon
    for (const ShownAlarm& alarm : shown)
        there[alarm.fault] |= alarm.ends_soon;
    return static_cast<std::size_t>(
        std::count_if(acknowledged.begin(), acknowledged.end(), [&](const base::FaultId& id) {
            const auto at = there.find(id);
            if (at != there.end() && !at->second) return false;
            return internal_.resend(sink, id) && at == there.end();
        }));
}

/// What is in the table is delivered in its own time, and what is not in the history may be another controller's.
std::size_t Reconciler::clear_stale(Notifier& sink, FaultHistory::Number newest, const Shown& shown) {
    std::set<AlarmSlot> tracked;
    for (const auto& [id, fault] : list_.table().all())
        tracked.insert(slot_of(fault));
    std::vector<base::FaultId> stale;
    for (const ShownAlarm& alarm : shown) {
        const auto number = list_.history().number_of(alarm.fault);
        if (number && *number <= newest && !tracked.contains({alarm.guest, alarm.kind})) stale.push_back(alarm.fault);
    }
    for (const base::FaultId& fault : stale)
        clear_alone(sink, fault);
    return stale.size();
}

/// Back into the table as a fault whose clear is still to be delivered, to this sink alone.
void Reconciler::clear_alone(const Notifier& sink, const base::FaultId& fault) {
    const auto tracked = list_.bring_back(fault);
    if (!tracked) return;
    const Alarm alarm = to_alarm(*tracked);
    for (const auto& each : sinks_.sinks()) {
        const Acked acked{each.get() == &sink ? Acked::Phase::open : Acked::Phase::cleared, alarm.revision};
        sinks_.restore(*each, alarm, acked);
        rows_.put_acked(each->name(), alarm.id, acked);
    }
    sinks_.finish(alarm, true);
    context_.settle(alarm.id);
}

}  // namespace vitalwire::controller
