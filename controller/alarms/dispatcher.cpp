#include "controller/alarms/dispatcher.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

namespace {

/// The default of the guest's side, for a guest whose interval is not known.
constexpr base::Millis kUsualInterval{1000};

/// Before what follows from it is sent.
void note_io(const Dispatcher::Context& context, Notifier& sink) {
    for (IoDecision& decision : sink.queue().take_io_decisions())
        context.note(decision.fault,
                     {context.now().wall, decision.held ? "held" : "released", sink.name(), std::move(decision.why)});
}

}  // namespace

Dispatcher::Dispatcher(AlarmRows& rows, Context context) : rows_(rows), context_(std::move(context)) {
    for (AlarmRows::SinkRow& sink : rows_.load_sinks())
        known_.emplace(sink.name, std::move(sink));
}

NotifierContext Dispatcher::context_of(const std::string& name, const std::string& receiver) {
    const auto before = known_.find(name);
    const bool is_new = before == known_.end();
    const bool is_other = !is_new && !before->second.receiver.empty() && before->second.receiver != receiver;
    receivers_[name] = receiver;
    if (is_other) earlier_receivers_[name] = before->second.receiver;
    // Of one that was never configured before an earlier primary may know more.
    base::WallTime since = is_new ? base::WallTime{} : before->second.since;
    if (is_other || fresh_.contains(name)) since = context_.now().wall;
    rows_.put_sink({name, receiver, since});
    return {is_new || is_other,
            context_.enrich,
            context_.add_others_open,
            [this, name] { context_.progress(*find(name)); },
            [this, name] { context_.reconcile(*find(name)); },
            context_.note,
            receiver,
            since,
            context_.held,
            context_.controller};
}

const std::string* Dispatcher::earlier_receiver(const std::string& name) const {
    const auto at = earlier_receivers_.find(name);
    return at == earlier_receivers_.end() ? nullptr : &at->second;
}

const std::string* Dispatcher::removed_receiver(const std::string& name) const {
    const auto before = known_.find(name);
    return before == known_.end() || find(name) != nullptr ? nullptr : &before->second.receiver;
}

std::vector<std::pair<std::string, std::string>> Dispatcher::added() const {
    std::vector<std::pair<std::string, std::string>> added;
    for (const auto& [name, receiver] : receivers_) {
        if (!known_.contains(name)) added.emplace_back(name, receiver);
    }
    return added;
}

SinkOf Dispatcher::address_of(const Notifier& sink) const {
    const auto at = receivers_.find(sink.name());
    return {sink.name(), at == receivers_.end() ? "" : at->second};
}

void Dispatcher::add_sink(std::unique_ptr<Notifier> sink) {
    sinks_.push_back(std::move(sink));
}

std::unique_ptr<Notifier> Dispatcher::remove_sink(const std::string& name) {
    const auto at = std::find_if(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->name() == name; });
    if (at == sinks_.end()) return nullptr;
    std::unique_ptr<Notifier> removed = std::move(*at);
    removed->stop();
    sinks_.erase(at);
    rows_.erase_sink(name);
    known_.erase(name);
    fresh_.insert(name);
    return removed;
}

void Dispatcher::erase_unconfigured() {
    for (const auto& [name, sink] : known_) {
        if (find(name) == nullptr) rows_.erase_sink(name);
    }
    earlier_receivers_.clear();
}

void Dispatcher::stop() {
    for (const auto& sink : sinks_)
        sink->stop();
}

/// What the inventory has of it, once for all sinks.
AlarmPtr Dispatcher::enriched(const Alarm& alarm) const {
    Alarm enriched = alarm;
    context_.enrich(enriched);
    return std::make_shared<const Alarm>(std::move(enriched));
}

FilterContext Dispatcher::filter_context(const Alarm& alarm) const {
    const model::GuestReport* report = context_.report(alarm);
    const bool declared = report != nullptr && report->interval > base::Millis::zero();
    FilterContext context{context_.inventory_known(alarm.guest), declared ? report->interval : kUsualInterval,
                          context_.now().steady, context_.maintained(alarm)};
    context.guest_reported = report != nullptr || alarm.guest.empty();
    if (report != nullptr) context.io = report->io;
    return context;
}

AlarmPtr Dispatcher::untold(const Alarm& alarm) {
    Alarm copy = alarm;
    copy.delivered = 0;
    return std::make_shared<const Alarm>(std::move(copy));
}

/// Of what was under way before a restart nothing was to a receiver that is another since.
void Dispatcher::restore(const Alarm& alarm) {
    for (const auto& sink : sinks_) {
        if (sink->takes(alarm) && !earlier_receivers_.contains(sink->name())) restore(*sink, alarm, {});
    }
}

void Dispatcher::restore(Notifier& sink, const Alarm& alarm, Acked acked) {
    sink.queue().restore(enriched(alarm), std::move(acked), filter_context(alarm));
}

/// A new primary does not know what the one before has sent: its acknowledgement may not have reached the agent, as
/// when the broker between them was cut in two. Its journal has come another way.
void Dispatcher::skip_ended_by_peer(Notifier& sink, const Alarm& alarm) {
    const std::string& receiver = receivers_[sink.name()];
    const Journal::Record* record = context_.journal(alarm.id);
    if (alarm.open() || receiver.empty() || record == nullptr || sink.queue().busy(alarm)) return;
    if (sink.queue().may_show(alarm) || sink.queue().view(alarm).revision > 0) return;  // raised from here
    const std::string peer = who_ended_at(*record, sink.name(), receiver);
    if (peer.empty()) return;
    restore(sink, alarm, {Acked::Phase::cleared, alarm.revision});
    context_.note(alarm.id, {context_.now().wall, "skipped", sink.name(), "its end was delivered by " + peer});
}

/// Nor does the agent know what an earlier primary has told to some of its sinks only: others hold it back, or are
/// away. Who acts on a fault would act twice.
void Dispatcher::skip_raised_by_peer(Notifier& sink, const Alarm& alarm) {
    const Journal::Record* record = context_.journal(alarm.id);
    if (!alarm.open() || record == nullptr || sink.queue().busy(alarm)) return;
    if (sink.queue().may_show(alarm) || sink.queue().view(alarm).revision > 0) return;  // raised from here
    const auto [peer, revision] = who_raised_at(*record, address_of(sink));
    if (peer.empty()) return;
    const Acked acked{Acked::Phase::open, revision};
    restore(sink, alarm, acked);
    rows_.put_acked(sink.name(), alarm.id, acked);
    context_.note(alarm.id, {context_.now().wall, "skipped", sink.name(), "it was delivered by " + peer});
}

std::vector<std::string> Dispatcher::delivered_to(const Alarm& alarm) const {
    std::vector<std::string> marks;
    for (const auto& sink : sinks_) {
        if (sink->takes(alarm) && sink->queue().view(alarm).revision > 0) marks.push_back(mark_of(address_of(*sink)));
    }
    return marks;
}

bool Dispatcher::may_have(const Notifier& sink, const Alarm& alarm) const {
    if (!alarm.delivered_to) return true;
    const auto& marks = *alarm.delivered_to;
    return std::find(marks.begin(), marks.end(), mark_of(address_of(sink))) != marks.end();
}

/// What the agent keeps as delivered was acknowledged by all sinks that its primary notified then, which may have been
/// others: at another controller, or before a policy was changed. The journal decides, where it is known, and what the
/// agent knows of the receivers, as far as it goes: a fault that is open is sent once more than needed, and of one that
/// is over the end is sent.
bool Dispatcher::delivered_counts(const Notifier& sink, const Alarm& alarm) const {
    if (!alarm.open() || alarm.delivered == 0) return true;
    const SinkOf address = address_of(sink);
    const Journal::Record* record = context_.journal(alarm.id);
    if (!may_have(sink, alarm)) return record != nullptr && acknowledged_elsewhere(*record, address) != nullptr;
    return record == nullptr || sink.queue().view(alarm).revision > 0 || !is_told_to_others_only(*record, address);
}

/// All queues have it before the first answer can come: "settled" is about this state in each of them.
void Dispatcher::offer(const Alarm& alarm) {
    const AlarmPtr shared = enriched(alarm);
    const FilterContext context = filter_context(alarm);
    for (const auto& sink : sinks_) {
        if (!sink->takes(alarm)) continue;
        skip_ended_by_peer(*sink, alarm);
        skip_raised_by_peer(*sink, alarm);
        sink->queue().offer(delivered_counts(*sink, alarm) ? shared : untold(*shared), context);
        note_decision(*sink, alarm.id, context);
        note_io(context_, *sink);
    }
    pump();
}

void Dispatcher::offer_waiting_for_io(const Alarm& alarm) {
    std::vector<Notifier*> waiting;
    for (const auto& sink : sinks_) {
        if (!sink->queue().filter().io_hold(alarm.id).empty()) waiting.push_back(sink.get());
    }
    if (waiting.empty()) return;
    const AlarmPtr shared = enriched(alarm);
    const FilterContext context = filter_context(alarm);
    for (Notifier* sink : waiting) {
        sink->queue().offer(shared, context);
        note_io(context_, *sink);
    }
    pump();
}

void Dispatcher::note_decision(const Notifier& sink, const base::FaultId& fault, const FilterContext& context) {
    const AlarmFilter& filter = sink.queue().filter();
    if (!filter.io_hold(fault).empty()) return;  // the filter tells of that itself
    const char* decision = filter.holds(fault) ? "held" : filter.stops(fault) ? "suppressed" : nullptr;
    if (decision != nullptr)
        context_.note(fault,
                      {context_.now().wall, decision, sink.name(), context.maintained ? "maintenance" : "policy"});
}

void Dispatcher::finish(const Alarm& alarm, bool others_done) {
    const AlarmPtr shared = enriched(alarm);
    for (const auto& sink : sinks_)
        sink->queue().finish(shared, others_done);
    pump();
}

void Dispatcher::withdraw(const Alarm& alarm) {
    for (const auto& sink : sinks_)
        sink->queue().withdraw(alarm);
}

void Dispatcher::erase(const Alarm& alarm) {
    for (const auto& sink : sinks_) {
        sink->queue().erase(alarm);
        rows_.erase_acked(sink->name(), alarm.id);
    }
}

void Dispatcher::pump() {
    for (const auto& sink : sinks_)
        sink->pump();
}

void Dispatcher::clock_was_set(base::WallTime::duration by) {
    for (const auto& sink : sinks_)
        rows_.put_sink({sink->name(), receivers_[sink->name()], sink->queue().clock_was_set(by)});
}

bool Dispatcher::settled(const Alarm& alarm) const {
    return std::all_of(sinks_.begin(), sinks_.end(),
                       [&](const auto& sink) { return !sink->takes(alarm) || sink->queue().settled(alarm); });
}

bool Dispatcher::busy(const Alarm& alarm) const {
    return std::any_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->queue().busy(alarm); });
}

bool Dispatcher::may_show(const Alarm& alarm) const {
    return std::any_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->queue().may_show(alarm); });
}

bool Dispatcher::hold(const base::FaultId& fault) const {
    return std::any_of(sinks_.begin(), sinks_.end(),
                       [&](const auto& sink) { return sink->queue().filter().holds(fault); });
}

bool Dispatcher::asks_inventory() const {
    return std::any_of(sinks_.begin(), sinks_.end(),
                       [](const auto& sink) { return sink->queue().filter().asks_inventory(); });
}

bool Dispatcher::asks_io(const Alarm& alarm) const {
    return std::any_of(sinks_.begin(), sinks_.end(),
                       [&](const auto& sink) { return sink->queue().filter().asks_io(alarm); });
}

Notifier* Dispatcher::find(const std::string& name) const {
    const auto at = std::find_if(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->name() == name; });
    return at == sinks_.end() ? nullptr : at->get();
}

std::vector<std::string> Dispatcher::names() const {
    std::vector<std::string> names;
    for (const auto& sink : sinks_)
        names.push_back(sink->name());
    return names;
}

}  // namespace vitalwire::controller
