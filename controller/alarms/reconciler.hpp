#pragma once

#include <functional>
#include <vector>

#include "controller/alarms/alarm_list.hpp"
#include "controller/alarms/dispatcher.hpp"
#include "controller/alarms/internal_alarms.hpp"

namespace vitalwire::controller {

/// Compares what a receiver shows with what it has acknowledged: a receiver can lose what it acknowledged, and show
/// what was cleared. Only what was so before it is asked is compared: what changes while it answers may or may not be
/// in its answer.
class Reconciler {
public:
    struct Context {
        /// True if this controller delivers the fault.
        std::function<bool(const TrackedFault&)> delivers;
        /// The fault's deliveries may have come to their end.
        std::function<void(const base::FaultId&)> settle;
    };

    Reconciler(AlarmList& list, AlarmRows& rows, Dispatcher& sinks, InternalAlarms& internal, Context context)
        : list_(list), rows_(rows), sinks_(sinks), internal_(internal), context_(std::move(context)) {}

    void reconcile(Notifier& sink);
    /// The fault is over, and the receiver of this sink alone shows it still.
    void clear_alone(const Notifier& sink, const base::FaultId& fault);

private:
    using Shown = std::vector<ShownAlarm>;

    std::vector<base::FaultId> acknowledged_open(const Notifier& sink) const;
    std::size_t raise_lost(Notifier& sink, const std::vector<base::FaultId>& acknowledged, const Shown& shown);
    std::size_t raise_lost_internal(Notifier& sink, const std::vector<base::FaultId>& acknowledged, const Shown& shown);
    std::size_t clear_stale(Notifier& sink, FaultHistory::Number newest, const Shown& shown);

    AlarmList& list_;
    AlarmRows& rows_;
    Dispatcher& sinks_;
    InternalAlarms& internal_;
    Context context_;
};

}  // namespace vitalwire::controller
