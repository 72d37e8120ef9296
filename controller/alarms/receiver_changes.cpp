// AlarmManager: sinks that are taken out, and receivers that change.

#include <map>
#include <utility>

#include "base/log.hpp"
#include "controller/alarms/alarm_manager.hpp"

namespace vitalwire::controller {

namespace {

std::string not_told(const std::string& receiver) {
    return receiver + " is not told of the end";
}

void warn_of_removed_sink(const std::string& name, std::size_t raised) {
    if (raised == 0) return;
    log::warning("a receiver that is notified no more keeps what was raised there",
                 {{"sink", name}, {"alarms", raised}});
}

}  // namespace

/// What has been raised there stays raised, until it comes back.
void AlarmManager::receiver_goes(const std::string& name, const std::string& receiver) {
    const Notifier* sink = sinks_.find(name);
    if (sink == nullptr) return;
    std::size_t raised = 0;
    const auto look = [&](const Alarm& alarm) {
        const bool shows = alarm.open() || !sink->queue().settled(alarm);
        if (!shows || sink->queue().view(alarm).revision == 0) return;
        ++raised;
        note_removed_sink(alarm.id, name, receiver);
    };
    for (const auto& [id, tracked] : table().all())
        look(to_alarm(tracked));
    for (const auto& [id, alarm] : internal_.all())
        look(alarm);
    warn_of_removed_sink(name, raised);
}

/// It is in the configuration no more since this controller has started; what it has acknowledged is in the rows.
void AlarmManager::receivers_went(const std::vector<AlarmRows::AckedRow>& acknowledged) {
    std::map<std::string, std::size_t> raised;
    for (const AlarmRows::AckedRow& row : acknowledged) {
        const std::string* receiver = sinks_.removed_receiver(row.sink);
        const bool shows = row.acked.phase == Acked::Phase::open && row.acked.skipped.empty();
        if (receiver == nullptr || !shows) continue;
        if (table().find(row.fault) == nullptr && !internal_.contains(row.fault)) continue;
        ++raised[row.sink];
        note_removed_sink(row.fault, row.sink, *receiver);
    }
    for (const auto& [name, alarms] : raised)
        warn_of_removed_sink(name, alarms);
}

void AlarmManager::note_removed_sink(const base::FaultId& fault, const std::string& name, const std::string& receiver) {
    journal_.note(fault, {context_.now().wall, kSinkRemovedEntry, name, not_told(receiver)});
}

void AlarmManager::receiver_returns(const std::string& name, const std::string& receiver) {
    const Notifier* sink = sinks_.find(name);
    if (sink == nullptr) return;
    for (const base::FaultId& fault : journal_.with_last(name, kSinkRemovedEntry, not_told(receiver)))
        reconciler_.clear_alone(*sink, fault);
}

std::unique_ptr<Notifier> AlarmManager::remove_sink(const std::string& name) {
    auto removed = sinks_.remove_sink(name);
    for (const auto& [id, tracked] : table().all())
        rows_.erase_acked(name, id);
    for (const auto& [id, alarm] : internal_.all())
        rows_.erase_acked(name, id);
    return removed;
}

void AlarmManager::note_earlier_receiver(const base::FaultId& fault, const std::string& sink,
                                         const std::string& earlier) {
    journal_.note(fault, {context_.now().wall, "receiver changed", sink, "was " + earlier});
}

void AlarmManager::receiver_changes(const std::string& sink, const std::string& earlier) {
    const Notifier* found = sinks_.find(sink);
    const auto note = [&](const Alarm& alarm) {
        if (found->queue().view(alarm).revision > 0) note_earlier_receiver(alarm.id, sink, earlier);
    };
    for (const auto& [id, tracked] : table().all())
        note(to_alarm(tracked));
    for (const auto& [id, alarm] : internal_.all())
        note(alarm);
}

}  // namespace vitalwire::controller
