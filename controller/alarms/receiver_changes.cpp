// AlarmManager: sinks that are taken out, and receivers that change.

#include <utility>

#include "base/log.hpp"
#include "controller/alarms/alarm_manager.hpp"

namespace vitalwire::controller {

namespace {

std::string not_told(const std::string& receiver) {
    return receiver + " is not told of the end";
}

}  // namespace

/// What has been raised there stays raised, until it comes back.
void AlarmManager::receiver_goes(const std::string& name, const std::string& receiver) {
    const Notifier* sink = sinks_.find(name);
    if (sink == nullptr) return;
    std::size_t raised = 0;
    const auto look = [&](const Alarm& alarm) {
        if (!alarm.open() || sink->queue().view(alarm).revision == 0) return;
        ++raised;
        note(alarm.id, {context_.now().wall, kSinkRemovedEntry, name, not_told(receiver)});
    };
    for (const auto& [id, tracked] : table().all())
        look(to_alarm(tracked));
    for (const auto& [id, alarm] : internal_.all())
        look(alarm);
    if (raised > 0)
        log::warning("a receiver that is notified no more keeps what was raised there",
                     {{"sink", name}, {"alarms", raised}});
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
