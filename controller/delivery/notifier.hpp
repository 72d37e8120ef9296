#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "controller/delivery/journal.hpp"
#include "controller/delivery/sink.hpp"
#include "controller/delivery/sink_queue.hpp"

namespace vitalwire::controller {

/// One configured sink as the alarms know it: its queue, and something that carries out what the queue decides. The
/// daemon's is SinkWorker, which has timers and sockets; what works with a Notifier needs neither.
class Notifier {
public:
    virtual ~Notifier() = default;

    virtual const std::string& name() const = 0;
    virtual const std::string& type() const = 0;
    /// False for alarms of hosts that the sink has no use for, and for its own failure.
    virtual bool takes(const Alarm& alarm) const = 0;
    virtual SinkQueue& queue() = 0;
    virtual const SinkQueue& queue() const = 0;

    /// Sends what may be sent now; to be called after every change of the queue.
    virtual void pump() = 0;
    /// What the receiver shows (Sink::list); `listed` is not called when that cannot be known.
    virtual void list(std::function<void(const std::vector<ShownAlarm>&)> listed) = 0;
    /// What such an answer led to.
    virtual void note_reconciled(std::size_t raised_again, std::size_t cleared_again) = 0;
    virtual base::Result<void> start() = 0;
    /// Another sink of the same type from now on: a changed configuration.
    virtual void replace(std::unique_ptr<Sink> sink) = 0;
    /// No attempt begins after it.
    virtual void stop() = 0;

    /// Where the sink itself listens, if it does.
    virtual std::string address() const = 0;
    /// "ok", "retrying", or "down" when the receiver is away for long.
    virtual std::string_view state() const = 0;
    virtual std::uint64_t delivered() const = 0;
    /// When `state` last changed between ok and not ok.
    virtual base::WallTime since() const = 0;
};

/// What a notifier calls.
struct NotifierContext {
    /// The sink is new to this controller: what an earlier primary delivered does not count for it.
    bool fresh = false;
    /// Fills in what the inventory has, just before an event is sent.
    std::function<void(Alarm&)> enrich;
    /// Adds to an event what is open of the same guest and not delivered from here.
    std::function<void(AlarmEvent&)> add_others_open;
    /// Called after every pump: `queue().take_changes()` may have something.
    std::function<void()> progress;
    /// Called as often as the sink wants its receiver compared with what it has acknowledged.
    std::function<void()> reconcile;
    /// For the fault's journal.
    std::function<void(const base::FaultId&, JournalEntry)> note;
    /// Who is notified, for the journal and to be compared after a restart; empty: not known.
    std::string receiver = {};
    /// Since when this receiver is: of faults from before, nobody has delivered to it what is not acknowledged here.
    base::WallTime since{};
    /// No attempt is to begin now; it is pumped when that is over.
    std::function<bool()> held = [] { return false; };
    /// The host of this controller: a failure of a sink there is not told by that sink. Empty: any is this one's.
    base::HostId controller{};
};

}  // namespace vitalwire::controller
