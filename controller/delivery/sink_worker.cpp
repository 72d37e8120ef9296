#include "controller/delivery/sink_worker.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

namespace {
/// An operator is to look at a receiver that is away this long.
constexpr base::Millis kDownAfter{30'000};

DeliveryOptions with_receiver(DeliveryOptions options, const NotifierContext& context) {
    options.fresh = context.fresh;
    options.receiver_since = context.since;
    return options;
}
}  // namespace

SinkWorker::SinkWorker(std::string name, std::string type, std::unique_ptr<Sink> sink, DeliveryOptions options,
                       std::optional<std::vector<Policy>> policies, Shell shell, NotifierContext context)
    : name_(std::move(name)),
      type_(std::move(type)),
      shell_(shell),
      context_(std::move(context)),
      sink_(std::move(sink)),
      queue_(
          with_receiver(options, context_), std::move(policies),
          [this](const Alarm& alarm) { return sink_->route(alarm); }, std::random_device{}()),
      timer_(shell_.io),
      reconcile_timer_(shell_.io),
      since_(std::chrono::system_clock::now()) {
    add_metrics();
    reconcile_if_wanted();
}

void SinkWorker::reconcile_if_wanted() {
    reconcile_timer_.cancel();
    if (!sink_->reconcile_interval()) return;
    if (!std::exchange(reconciles_, true)) add_reconcile_metrics();
    arm_reconcile();
}

void SinkWorker::add_metrics() {
    runtime::Metrics& metrics = shell_.metrics;
    const runtime::Labels labels = {{"sink", name_}};
    for (const AlarmChange change : {AlarmChange::opened, AlarmChange::updated, AlarmChange::cleared}) {
        delivered_by_change_.push_back(metrics.counter("vitalwire_controller_sink_delivered_total",
                                                       "Fault events that the receiver has acknowledged.",
                                                       {{"sink", name_}, {"event", std::string(to_string(change))}}));
    }
    const auto outcome = [&](const char* what) {
        return metrics.counter("vitalwire_controller_sink_failures_total",
                               "Attempts that were not acknowledged, by what is done about it.",
                               {{"sink", name_}, {"outcome", what}});
    };
    retries_ = outcome("retry");
    refusals_ = outcome("refused");
    skipped_ = metrics.counter("vitalwire_controller_sink_skipped_total",
                               "Fault events that the receiver has no use for, and was not sent.", labels);
    collapsed_ =
        metrics.counter("vitalwire_controller_sink_collapsed_total",
                        "Faults that came and went while the sink was behind and were not sent one by one.", labels);
    suppressed_ = metrics.counter("vitalwire_controller_sink_suppressed_total",
                                  "Faults that were over before their hold-off was, and were not sent.", labels);
    const auto gauge = [&](const std::string& what, const char* help, std::function<double()> value) {
        metrics.gauge("vitalwire_controller_sink_" + what, help, std::move(value), labels);
    };
    gauge("held", "Faults whose hold-off for this sink lasts.",
          [this] { return static_cast<double>(queue_.filter().held()); });
    gauge("queued", "Fault events that wait for this sink or are under way.",
          [this] { return static_cast<double>(queue_.queued()); });
    gauge("retrying", "1 while the receiver does not take what it is sent.",
          [this] { return state() == "ok" ? 0.0 : 1.0; });
    delivery_seconds_ =
        metrics.histogram("vitalwire_controller_sink_delivery_seconds",
                          "From the opening of a fault to its acknowledgement by the receiver.", labels);
}

void SinkWorker::add_reconcile_metrics() {
    const auto resent = [&](const char* event) {
        return shell_.metrics.counter(
            "vitalwire_controller_sink_resent_total",
            "Faults sent again because the receiver no longer showed what it had acknowledged.",
            {{"sink", name_}, {"event", event}});
    };
    raised_again_ = resent("opened");
    cleared_again_ = resent("cleared");
}

void SinkWorker::arm_reconcile() {
    reconcile_timer_.after(*sink_->reconcile_interval(), [this] {
        arm_reconcile();
        const base::TimePoint now = base::Clock::now();
        if (now >= list_from_ && !queue_.asked_to_wait(now)) context_.reconcile();
    });
}

void SinkWorker::list(std::function<void(const std::vector<ShownAlarm>&)> listed) {
    sink_->list([this, listed = std::move(listed), alive = std::weak_ptr(alive_)](const Sink::Shown& shown) {
        if (alive.expired() || stopped_) return;
        shell_.problems.set("sink " + name_ + " cannot be compared with its receiver", shown ? "" : shown.error().why);
        if (!shown) list_from_ = base::Clock::now() + shown.error().delay;
        if (shown) listed(*shown);
    });
}

void SinkWorker::note_reconciled(std::size_t raised_again, std::size_t cleared_again) {
    if (raised_again + cleared_again == 0) return;
    raised_again_.add(static_cast<double>(raised_again));
    cleared_again_.add(static_cast<double>(cleared_again));
    log::warning("the receiver no longer showed what it had acknowledged, sending it again",
                 {{"sink", name_}, {"raised", raised_again}, {"cleared", cleared_again}});
}

bool SinkWorker::takes(const Alarm& alarm) const {
    // A sink that acts on single guests must not act on one of two copies.
    if (!alarm.guest.empty() && alarm.kind != kRunningTwice) return true;
    const bool its_own_failure = alarm.kind == kSinkFailing && alarm.detail == name_ &&
                                 (context_.controller.empty() || alarm.host == context_.controller);
    return sink_->takes_hosts() && !its_own_failure;
}

void SinkWorker::pump() {
    if (pumping_ || stopped_) return;  // an answer within `deliver` is taken up by the loop below
    pumping_ = true;
    const bool held = context_.held();
    while (const auto attempt = held ? std::nullopt : queue_.next(base::Clock::now()))
        send(*attempt);
    pumping_ = false;
    held ? timer_.cancel() : arm_timer();
    note_state();
    note_suppressed();
    context_.progress();
}

void SinkWorker::send(const SinkQueue::Attempt& attempt) {
    under_way_.insert(attempt.ticket);
    SinkQueue::Attempt enriched = attempt;
    context_.enrich(enriched.event.alarm);
    context_.add_others_open(enriched.event);
    sink_->deliver(enriched.event, [this, enriched, alive = std::weak_ptr(alive_)](const Outcome& outcome) {
        if (alive.expired() || stopped_) return;
        under_way_.erase(enriched.ticket);
        note_ended(enriched.event, outcome);
        queue_.ended(enriched.ticket, outcome, base::Clock::now());
        pump();
    });
}

void SinkWorker::note_ended(const AlarmEvent& event, const Outcome& outcome) {
    JournalEntry entry{std::chrono::system_clock::now(), "", name_, std::string(to_string(event.change))};
    switch (outcome.kind) {
        case Outcome::Kind::confirmed:
            entry.what = kAcknowledgedEntry;
            entry.revision = event.alarm.revision;
            if (!context_.receiver.empty()) entry.detail += kAtReceiver + context_.receiver;
            note_confirmed(event);
            break;
        case Outcome::Kind::skipped:
            entry.what = "skipped";
            skipped_.add();
            break;
        case Outcome::Kind::later:
            entry.what = "postponed";
            break;
        case Outcome::Kind::retry:
            entry.what = "failed";
            retries_.add();
            break;
        case Outcome::Kind::refused:
            entry.what = "refused";
            refusals_.add();
            break;
    }
    if (!outcome.why.empty()) entry.detail += ": " + outcome.why;
    context_.note(event.alarm.id, std::move(entry));
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
    const base::TimePoint due = queue_.next_due();
    if (due == base::kNever) return timer_.cancel();
    timer_.after(std::max(due - base::Clock::now(), base::Duration::zero()), [this] { pump(); });
}

/// One condition whichever way the receiver does not take what it is sent: it begins once and ends once.
void SinkWorker::note_state() {
    const std::size_t stuck = queue_.stuck_subjects();
    const bool away = queue_.away_since().has_value();
    const bool ok = !away && stuck == 0;
    std::string detail;
    if (!ok) detail = (away ? "" : std::to_string(stuck) + " guests or hosts wait: ") + queue_.last_error();
    shell_.problems.set("sink " + name_ + " cannot deliver", detail);
    if (std::exchange(was_ok_, ok) != ok) since_ = std::chrono::system_clock::now();
}

void SinkWorker::note_suppressed() {
    const std::uint64_t suppressed = queue_.filter().suppressed();
    suppressed_.add(static_cast<double>(suppressed - std::exchange(suppressed_seen_, suppressed)));
}

std::string_view SinkWorker::state() const {
    const auto away = queue_.away_since();
    if (away) return base::Clock::now() - *away >= kDownAfter ? "down" : "retrying";
    return queue_.stuck_subjects() > 0 ? "retrying" : "ok";
}

void SinkWorker::replace(std::unique_ptr<Sink> sink) {
    alive_ = std::make_shared<int>();  // what the one before answers is nobody's
    sink_->stop();
    replaced_.push_back(std::exchange(sink_, std::move(sink)));
    for (const std::uint64_t ticket : std::exchange(under_way_, {}))
        queue_.ended(ticket, Outcome::later("its sink was configured again", base::Millis(0)), base::Clock::now());
    queue_.receiver_changed();
    reconcile_if_wanted();
    pump();
}

void SinkWorker::stop() {
    stopped_ = true;
    sink_->stop();
    timer_.cancel();
    reconcile_timer_.cancel();
}

}  // namespace vitalwire::controller
