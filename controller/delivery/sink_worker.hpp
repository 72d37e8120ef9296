#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controller/delivery/journal.hpp"
#include "controller/delivery/sink.hpp"
#include "controller/delivery/sink_queue.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

/// What a worker needs of the rest of the controller.
struct SinkWorkerContext {
    boost::asio::io_context& io;
    runtime::Metrics& metrics;
    runtime::Problems& problems;
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
};

/// One configured sink at work: carries out what its queue decides.
class SinkWorker {
public:
    SinkWorker(std::string name, std::string type, std::unique_ptr<Sink> sink, DeliveryOptions options,
               std::optional<std::vector<Policy>> policies, SinkWorkerContext context);

    const std::string& name() const { return name_; }
    const std::string& type() const { return type_; }
    /// False for alarms of hosts that the sink has no use for, and for its own failure.
    bool takes(const Alarm& alarm) const;
    SinkQueue& queue() { return queue_; }
    const SinkQueue& queue() const { return queue_; }

    /// Sends what may be sent now; to be called after every change of the queue.
    void pump();
    /// What the receiver shows (Sink::list); `listed` is not called when that cannot be known.
    void list(std::function<void(const std::vector<ShownAlarm>&)> listed);
    /// What such an answer led to.
    void note_reconciled(std::size_t raised_again, std::size_t cleared_again);
    base::Result<void> start() { return sink_->start(); }
    /// Where the sink itself listens, if it does.
    std::string address() const { return sink_->address(); }
    /// No attempt begins after it.
    void stop();

    /// "ok", "retrying", or "down" when the receiver is away for kDownAfter.
    std::string_view state() const;
    std::uint64_t delivered() const { return delivered_; }
    /// When `state` last changed between ok and not ok.
    base::WallTime since() const { return since_; }

private:
    void add_metrics();
    void add_reconcile_metrics();
    void send(const SinkQueue::Attempt& attempt);
    void note_ended(const AlarmEvent& event, const Outcome& outcome);
    void note_confirmed(const AlarmEvent& event);
    void note_state();
    void note_suppressed();
    void arm_timer();
    void arm_reconcile();

    std::string name_;
    std::string type_;
    SinkWorkerContext context_;
    std::unique_ptr<Sink> sink_;
    SinkQueue queue_;
    runtime::Timer timer_;
    runtime::Timer reconcile_timer_;
    bool pumping_ = false;
    bool stopped_ = false;
    std::uint64_t delivered_ = 0;
    std::uint64_t suppressed_seen_ = 0;
    bool was_ok_ = true;
    base::WallTime since_;

    std::vector<runtime::Counter> delivered_by_change_;
    runtime::Counter retries_;
    runtime::Counter refusals_;
    runtime::Counter skipped_;
    runtime::Counter collapsed_;
    runtime::Counter suppressed_;
    std::function<void(double)> delivery_seconds_;
    runtime::Counter raised_again_;
    runtime::Counter cleared_again_;

    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace vitalwire::controller
