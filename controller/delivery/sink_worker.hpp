#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controller/delivery/alarm_filter.hpp"
#include "controller/delivery/delivery.hpp"
#include "controller/sinks/sink.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

/// What a runner needs of its surroundings.
struct SinkWorkerContext {
    boost::asio::io_context& io;
    runtime::Metrics& metrics;
    runtime::Problems& problems;
    /// Fills in what the inventory knows, just before an event is sent.
    std::function<void(Alarm&)> enrich;
    std::function<bool()> inventory_known;
    /// The heartbeat interval of an alarm's guest.
    std::function<base::Millis(const Alarm&)> beat;
    /// Adds to an event what is open of the same guest and not told from here.
    std::function<void(AlarmEvent&)> add_others_open;
    /// Called after every pump: `delivery().take_changes()` may have something.
    std::function<void()> told;
    /// Called as often as the sink wants its receiver compared with what it has confirmed.
    std::function<void()> audit;
};

/// One configured sink at work: carries out what its Delivery decides about the alarms that its policies let through.
class SinkWorker {
public:
    SinkWorker(std::string name, std::string type, std::unique_ptr<Sink> sink, DeliveryOptions options,
               std::optional<std::vector<Policy>> policies, SinkWorkerContext context);

    const std::string& name() const { return name_; }
    const std::string& type() const { return type_; }
    /// Of the controller's own alarms those that this sink can be told: of its own failure it cannot.
    bool takes(const Alarm& alarm) const;
    const Delivery& delivery() const { return delivery_; }
    const AlarmFilter& gate() const { return rate_limiter_; }

    // As Delivery's, for what the policies let through; what they do not needs nothing.
    void restore(const Alarm& alarm, Acked told);
    void offer(Alarm alarm);
    void withdraw(const Alarm& alarm);
    void finish(const Alarm& alarm, bool others_done);
    void forget(const Alarm& alarm);
    bool retell(const Alarm& alarm);
    /// Nothing is left to tell: also of what no policy sends here.
    bool settled(const Alarm& alarm) const;
    /// The sink has confirmed the newest state.
    bool confirmed(const Alarm& alarm) const { return delivery_.settled(alarm); }
    bool busy(const Alarm& alarm) const;
    DeliveryView view(const Alarm& alarm) const;
    std::vector<AckChange> take_changes() { return delivery_.take_changes(); }

    /// Sends what may be sent now; to be called after every change.
    void pump();
    /// What the receiver shows (Sink::list); `listed` is not called when that cannot be known.
    void list(std::function<void(const std::vector<ShownAlarm>&)> listed);
    /// What such an answer led to.
    void note_audited(std::size_t raised_again, std::size_t cleared_again);
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
    AlarmFilter::Verdict ask_gate(Alarm alarm);
    void send(const Delivery::Attempt& attempt);
    void ended(const Delivery::Attempt& attempt, const Outcome& outcome);
    void note_confirmed(const AlarmEvent& event);
    void note_state();
    void arm_timer();
    void arm_audit();

    std::string name_;
    std::string type_;
    SinkWorkerContext context_;
    AlarmFilter rate_limiter_;
    Delivery delivery_;
    boost::asio::steady_timer timer_;
    std::uint64_t timer_generation_ = 0;
    bool pumping_ = false;
    bool stopped_ = false;
    std::uint64_t delivered_ = 0;
    bool was_ok_ = true;
    base::WallTime since_;

    std::vector<runtime::Counter> delivered_by_change_;
    runtime::Counter retries_;
    runtime::Counter refusals_;
    runtime::Counter collapsed_;
    runtime::Counter spared_;
    std::function<void(double)> delivery_seconds_;
    runtime::Counter raised_again_;
    runtime::Counter cleared_again_;
    runtime::Timer audit_timer_;

    std::shared_ptr<int> alive_ = std::make_shared<int>();
    std::unique_ptr<Sink> sink_;  ///< goes first: it may still hold answers
};

}  // namespace vitalwire::controller
