#include "controller/delivery/sink_worker.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

namespace {
/// An operator is to look at a receiver that is away this long.
constexpr base::Millis kDownAfter{30'000};
}  // namespace

SinkWorker::SinkWorker(std::string name, std::string type, std::unique_ptr<Sink> sink, DeliveryOptions options,
                       std::optional<std::vector<Policy>> policies, SinkWorkerContext context)
    : name_(std::move(name)),
      type_(std::move(type)),
      context_(std::move(context)),
      rate_limiter_(std::move(policies)),
      delivery_(options, std::random_device{}()),
      timer_(context_.io),
      since_(std::chrono::system_clock::now()),
      audit_timer_(context_.io),
      sink_(std::move(sink)) {
    runtime::Metrics& metrics = context_.metrics;
    const runtime::Labels labels = {{"sink", name_}};
    for (const AlarmChange change : {AlarmChange::opened, AlarmChange::updated, AlarmChange::cleared}) {
        delivered_by_change_.push_back(metrics.counter("vitalwire_controller_sink_delivered_total",
                                                       "Fault events that the receiver has confirmed.",
                                                       {{"sink", name_}, {"event", std::string(to_string(change))}}));
    }
    const char* failures_help = "Attempts that were not confirmed, by what is done about it.";
    retries_ = metrics.counter("vitalwire_controller_sink_failures_total", failures_help,
                               {{"sink", name_}, {"outcome", "retry"}});
    refusals_ = metrics.counter("vitalwire_controller_sink_failures_total", failures_help,
                                {{"sink", name_}, {"outcome", "refused"}});
    collapsed_ =
        metrics.counter("vitalwire_controller_sink_collapsed_total",
                        "Faults that came and went while the sink was behind and were not told one by one.", labels);
    spared_ = metrics.counter("vitalwire_controller_sink_spared_total",
                              "Faults that were over before their hold-off was, and were not told.", labels);
    metrics.gauge(
        "vitalwire_controller_sink_held", "Faults whose hold-off for this sink lasts.",
        [this] { return static_cast<double>(rate_limiter_.held()); }, labels);
    delivery_seconds_ = metrics.histogram("vitalwire_controller_sink_delivery_seconds",
                                          "From the opening of a fault to its confirmation by the receiver.", labels);
    metrics.gauge(
        "vitalwire_controller_sink_queued", "Fault events that wait for this sink or are under way.",
        [this] { return static_cast<double>(delivery_.queued()); }, labels);
    metrics.gauge(
        "vitalwire_controller_sink_retrying", "1 while the receiver does not take what it is told.",
        [this] { return state() == "ok" ? 0.0 : 1.0; }, labels);
    if (!sink_->audit_interval()) return;
    const char* again_help = "Faults told again because the receiver no longer showed what it had confirmed.";
    raised_again_ = metrics.counter("vitalwire_controller_sink_told_again_total", again_help,
                                    {{"sink", name_}, {"event", "opened"}});
    cleared_again_ = metrics.counter("vitalwire_controller_sink_told_again_total", again_help,
                                     {{"sink", name_}, {"event", "cleared"}});
    arm_audit();
}

void SinkWorker::arm_audit() {
    audit_timer_.after(*sink_->audit_interval(), [this] {
        arm_audit();
        context_.audit();
    });
}

void SinkWorker::list(std::function<void(const std::vector<ShownAlarm>&)> listed) {
    sink_->list([this, listed = std::move(listed), alive = std::weak_ptr(alive_)](const auto& shown) {
        if (alive.expired() || stopped_) return;
        context_.problems.set("sink " + name_ + " does not say what it shows", shown ? "" : shown.error().message);
        if (shown) listed(*shown);
    });
}

void SinkWorker::note_audited(std::size_t raised_again, std::size_t cleared_again) {
    if (raised_again + cleared_again == 0) return;
    raised_again_.add(static_cast<double>(raised_again));
    cleared_again_.add(static_cast<double>(cleared_again));
    log::warning("the receiver no longer showed what it had confirmed, telling it again",
                 {{"sink", name_}, {"raised", raised_again}, {"cleared", cleared_again}});
}

bool SinkWorker::takes(const Alarm& alarm) const {
    const bool its_own_failure = alarm.kind == kSinkFailing && alarm.detail == name_;
    return sink_->takes_hosts() && !its_own_failure;
}

AlarmFilter::Verdict SinkWorker::ask_gate(Alarm alarm) {
    if (rate_limiter_.lets_all_through()) return AlarmFilter::Verdict::pass;
    context_.enrich(alarm);
    const auto spared = rate_limiter_.spared();
    const auto verdict = rate_limiter_.offer(alarm, context_.inventory_known(), context_.beat(alarm),
                                             {base::Clock::now(), std::chrono::system_clock::now()});
    spared_.add(static_cast<double>(rate_limiter_.spared() - spared));
    return verdict;
}

/// Nothing told: it may have arrived all the same, if the gate lets it through.
void SinkWorker::restore(const Alarm& alarm, Acked told) {
    if (told.phase != Acked::Phase::nothing) rate_limiter_.note_passed(alarm.id);
    if (ask_gate(alarm) == AlarmFilter::Verdict::pass) delivery_.restore(alarm, told);
}

void SinkWorker::offer(Alarm alarm) {
    // What was stopped here was confirmed without being told: that does not count now.
    if (rate_limiter_.stops(alarm.id)) alarm.delivered = 0;
    if (ask_gate(alarm) == AlarmFilter::Verdict::pass) delivery_.offer(alarm);
}

void SinkWorker::withdraw(const Alarm& alarm) {
    rate_limiter_.drop(alarm.id);
    if (rate_limiter_.has_passed(alarm.id)) delivery_.withdraw(alarm);
}

void SinkWorker::finish(const Alarm& alarm, bool others_done) {
    rate_limiter_.drop(alarm.id);
    if (rate_limiter_.has_passed(alarm.id)) delivery_.finish(alarm, others_done);
}

void SinkWorker::forget(const Alarm& alarm) {
    if (rate_limiter_.has_passed(alarm.id)) delivery_.forget(alarm);
    rate_limiter_.forget(alarm.id);
}

bool SinkWorker::retell(const Alarm& alarm) {
    return rate_limiter_.has_passed(alarm.id) && delivery_.retell(alarm);
}

bool SinkWorker::settled(const Alarm& alarm) const {
    return rate_limiter_.has_passed(alarm.id) ? delivery_.settled(alarm) : !rate_limiter_.holds(alarm.id);
}

bool SinkWorker::busy(const Alarm& alarm) const {
    return rate_limiter_.has_passed(alarm.id) && delivery_.busy(alarm);
}

DeliveryView SinkWorker::view(const Alarm& alarm) const {
    if (rate_limiter_.has_passed(alarm.id)) return delivery_.view(alarm);
    DeliveryView view;
    view.state = rate_limiter_.holds(alarm.id) ? DeliveryView::State::held : DeliveryView::State::untold;
    return view;
}

void SinkWorker::pump() {
    if (pumping_ || stopped_) return;  // an answer within `deliver` is taken up by the loop below
    pumping_ = true;
    for (const Alarm& alarm : rate_limiter_.take_due(base::Clock::now()))
        delivery_.offer(alarm);
    while (const auto attempt = delivery_.next(base::Clock::now()))
        send(*attempt);
    pumping_ = false;
    arm_timer();
    note_state();
    context_.told();
}

void SinkWorker::send(const Delivery::Attempt& attempt) {
    Delivery::Attempt enriched = attempt;
    context_.enrich(enriched.event.alarm);
    context_.add_others_open(enriched.event);
    sink_->deliver(enriched.event, [this, enriched, alive = std::weak_ptr(alive_)](const Outcome& outcome) {
        if (alive.expired() || stopped_) return;
        ended(enriched, outcome);
        pump();
    });
}

void SinkWorker::ended(const Delivery::Attempt& attempt, const Outcome& outcome) {
    const base::TimePoint now = base::Clock::now();
    switch (outcome.kind) {
        case Outcome::Kind::confirmed:
            note_confirmed(attempt.event);
            return delivery_.confirmed(attempt.ticket, now);
        case Outcome::Kind::skipped:
            return delivery_.confirmed(attempt.ticket, now);
        case Outcome::Kind::later:
            return delivery_.refused(attempt.ticket, outcome.why, now);
        case Outcome::Kind::retry:
            retries_.add();
            return delivery_.failed(attempt.ticket, outcome.why, now);
        case Outcome::Kind::refused:
            refusals_.add();
            return delivery_.refused(attempt.ticket, outcome.why, now);
    }
}

void SinkWorker::note_confirmed(const AlarmEvent& event) {
    ++delivered_;
    delivered_by_change_.at(static_cast<std::size_t>(event.change)).add();
    if (event.collapsed > 0) collapsed_.add(static_cast<double>(event.collapsed));
    if (event.change != AlarmChange::opened) return;
    const std::chrono::duration<double> taken = std::chrono::system_clock::now() - event.alarm.opened_at;
    delivery_seconds_(std::max(taken.count(), 0.0));  // two hosts' clocks need not agree
}

void SinkWorker::arm_timer() {
    const base::TimePoint due = std::min(delivery_.next_due(), rate_limiter_.next_due());
    const std::uint64_t generation = ++timer_generation_;
    if (due == base::kNever) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(due);
    timer_.async_wait([this, generation, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
        if (error || alive.expired() || generation != timer_generation_) return;
        pump();
    });
}

void SinkWorker::note_state() {
    const std::size_t stuck = delivery_.stuck_subjects();
    const bool away = delivery_.away_since().has_value();
    context_.problems.set("sink " + name_ + " cannot deliver", away ? delivery_.last_error() : "");
    context_.problems.set("sink " + name_ + " does not take some faults",
                          !away && stuck > 0 ? std::to_string(stuck) + " guests wait: " + delivery_.last_error() : "");
    const bool ok = !away && stuck == 0;
    if (std::exchange(was_ok_, ok) != ok) since_ = std::chrono::system_clock::now();
}

std::string_view SinkWorker::state() const {
    const auto& away = delivery_.away_since();
    if (away) return base::Clock::now() - *away >= kDownAfter ? "down" : "retrying";
    return delivery_.stuck_subjects() > 0 ? "retrying" : "ok";
}

void SinkWorker::stop() {
    stopped_ = true;
    sink_->stop();
    ++timer_generation_;
    timer_.cancel();
    audit_timer_.cancel();
}

}  // namespace vitalwire::controller
