#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controller/delivery/notifier.hpp"
#include "controller/delivery/sink.hpp"
#include "controller/delivery/sink_queue.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

/// One configured sink at work: carries out what its queue decides.
class SinkWorker final : public Notifier {
public:
    struct Shell {
        boost::asio::io_context& io;
        runtime::Metrics& metrics;
        runtime::Problems& problems;
    };

    SinkWorker(std::string name, std::string type, std::unique_ptr<Sink> sink, DeliveryOptions options,
               std::optional<std::vector<Policy>> policies, Shell shell, NotifierContext context);

    const std::string& name() const override { return name_; }
    const std::string& type() const override { return type_; }
    bool takes(const Alarm& alarm) const override;
    SinkQueue& queue() override { return queue_; }
    const SinkQueue& queue() const override { return queue_; }

    void pump() override;
    void list(std::function<void(const std::vector<ShownAlarm>&)> listed) override;
    void note_reconciled(std::size_t raised_again, std::size_t cleared_again) override;
    base::Result<void> start() override { return sink_->start(); }
    /// Whatever is under way is sent again.
    void replace(std::unique_ptr<Sink> sink) override;
    void stop() override;

    std::string address() const override { return sink_->address(); }
    /// It is "down" after kDownAfter.
    std::string_view state() const override;
    std::uint64_t delivered() const override { return delivered_; }
    base::WallTime since() const override { return since_; }

private:
    void add_metrics();
    void add_reconcile_metrics();
    void send(const SinkQueue::Attempt& attempt);
    void note_ended(const AlarmEvent& event, const Outcome& outcome);
    void note_confirmed(const AlarmEvent& event);
    void note_state();
    void note_suppressed();
    void arm_timer();
    void reconcile_if_wanted();
    void arm_reconcile();

    std::string name_;
    std::string type_;
    Shell shell_;
    NotifierContext context_;
    std::unique_ptr<Sink> sink_;
    std::vector<std::unique_ptr<Sink>> replaced_;  ///< their requests may still be answered
    SinkQueue queue_;
    std::set<std::uint64_t> under_way_;  ///< tickets
    runtime::Timer timer_;
    runtime::Timer reconcile_timer_;
    base::TimePoint list_from_{};  ///< as the receiver asked
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
    bool reconciles_ = false;  ///< there are metrics of it
    runtime::Counter raised_again_;
    runtime::Counter cleared_again_;

    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< an answer that finds it gone is nobody's
};

}  // namespace vitalwire::controller
