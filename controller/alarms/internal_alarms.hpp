#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "controller/alarms/alarm_rows.hpp"
#include "controller/alarms/dispatcher.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// Alarms of the controller's self-monitoring on their way to the sinks that take alarms of hosts: kept on disk
/// until they are over and every sink has acknowledged it, and then in the journal, as those of the other controllers.
/// As nobody else keeps them they are delivered once they are on disk, or when the disk cannot be written.
class InternalAlarms {
public:
    /// Of more in the journal those that ended first are dropped.
    static constexpr std::size_t kMaxKept = 2000;

    InternalAlarms(AlarmRows& rows, Dispatcher& sinks, Journal& journal)
        : rows_(rows), sinks_(sinks), journal_(journal) {}

    /// Those of before a restart; what the sinks have acknowledged of them comes by `restore`.
    void load();
    void restore(Notifier& sink, const base::FaultId& alarm, Acked acked);
    /// Delivers again what was not delivered to the end.
    void resume();

    void deliver(const Alarm& alarm);
    /// It is over, and another controller has raised it and does not end it: told where that one's raise was
    /// acknowledged.
    void end_for_another(const Alarm& alarm);
    /// As it is known now, here or at another controller; null when nothing is known of it.
    const Alarm* find(const base::FaultId& alarm) const;
    /// The clock was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// The journal holds more of them since.
    void trim();
    /// About once a second: delivers what waits for a disk that cannot be written.
    void tick();
    bool waits() const { return !waiting_.empty(); }
    /// No sink has been offered it yet.
    bool waits(const base::FaultId& alarm) const { return waiting_.contains(alarm); }
    bool contains(const base::FaultId& alarm) const { return alarms_.contains(alarm); }
    /// A sink has acknowledged something of it.
    void acknowledged(const Notifier& sink, const AckChange& change);

    /// Open ones that this sink has acknowledged.
    std::vector<base::FaultId> acknowledged_open(const Notifier& sink) const;
    bool resend(Notifier& sink, const base::FaultId& alarm);

    const std::map<base::FaultId, Alarm>& all() const { return alarms_; }
    std::function<void(const base::FaultId&)> on_finished = [](const base::FaultId&) {};

private:
    void offer(const base::FaultId& id);
    void settle(const base::FaultId& id);

    AlarmRows& rows_;
    Dispatcher& sinks_;
    Journal& journal_;
    std::map<base::FaultId, Alarm> alarms_;
    std::set<base::FaultId> waiting_;                       ///< for the disk
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< a handler that finds it gone does nothing
};

}  // namespace vitalwire::controller
