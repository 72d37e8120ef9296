#include "controller/alarms/alarm_manager.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "controller/alarms/evidence.hpp"

namespace vitalwire::controller {

using model::Fault;

AlarmManager::AlarmManager(Options options, AlarmRows& rows, Dependencies dependencies)
    : options_(options),
      rows_(rows),
      context_(std::move(dependencies)),
      list_(rows, options.history),
      journal_([this](const base::FaultId& fault, const Journal::Record& record) { rows_.put_journal(fault, record); }),
      sinks_(rows,
             {context_.now, context_.enrich, context_.inventory_known,
              [this](const Alarm& alarm) { return report_of(alarm); }, context_.maintained,
              [this](AlarmEvent& event) { add_others_open(event); }, [this](Notifier& sink) { collect(sink); },
              [this](Notifier& sink) { reconciler_.reconcile(sink); },
              [this](const base::FaultId& fault, JournalEntry entry) { note(fault, std::move(entry)); },
              [this](const base::FaultId& fault) { return journal_.find(fault); }, context_.held, context_.controller}),
      internal_(rows, sinks_, journal_),
      acknowledger_(context_.acknowledge, context_.defer),
      reconciler_(list_, rows, sinks_, internal_,
                  {[this](const TrackedFault& tracked) { return !tracked.withheld && delivers(tracked.host); },
                   [this](const base::FaultId& fault) { settle(fault); }}) {}

void AlarmManager::load(base::TimePoint now) {
    list_.load(context_.now());
    assume_under_way();
    internal_.load();
    load_journal();
    load_acknowledged();
    const auto added = sinks_.added();
    sinks_.erase_unconfigured();
    internal_.resume();
    for (const auto& [sink, receiver] : added)
        receiver_returns(sink, receiver);
    grace_ends_ = now + options_.resume_grace;
}

void AlarmManager::load_journal() {
    for (auto& [fault, record] : rows_.load_journal()) {
        const bool kept = table().find(fault) != nullptr || history().find(fault) != nullptr ||
                          internal_.contains(fault) || alarm_of(record).second != nullptr;
        if (kept) journal_.restore(fault, std::move(record));
        if (!kept) rows_.erase_journal(fault);
    }
}

void AlarmManager::load_acknowledged() {
    const auto rows = rows_.load_acked();
    receivers_went(rows);
    for (const AlarmRows::AckedRow& row : rows) {
        const TrackedFault* tracked = table().find(row.fault);
        Notifier* sink = sinks_.find(row.sink);
        const bool internal = internal_.contains(row.fault);
        const std::string* earlier = sinks_.earlier_receiver(row.sink);
        if (sink == nullptr || (tracked == nullptr && !internal)) {
            rows_.erase_acked(row.sink, row.fault);
        } else if (earlier != nullptr) {
            rows_.erase_acked(row.sink, row.fault);
            note_earlier_receiver(row.fault, row.sink, *earlier);
        } else if (internal) {
            internal_.restore(*sink, row.fault, row.acked);
        } else {
            sinks_.restore(*sink, to_alarm(*tracked), row.acked);
        }
    }
}

/// What was under way before the restart may have arrived: of agents whose primary we were, and of faults that have
/// ended and were still here because we had raised them.
void AlarmManager::assume_under_way() {
    for (const auto& [id, tracked] : table().all()) {
        const Agent* agent = context_.fleet.find(tracked.host);
        const bool ours = !tracked.fault.open() || (agent != nullptr && agent->is_primary);
        if (ours && !tracked.withheld) sinks_.restore(to_alarm(tracked));
    }
}

void AlarmManager::stop() {
    grace_ends_ = may_show_due_ = base::kNever;
    sinks_.stop();
}

void AlarmManager::tick(base::TimePoint now) {
    if (now >= grace_ends_) resume_unseen();
    if (now >= may_show_due_) clear_what_may_show();
}

void AlarmManager::primary_changed(const base::HostId& host) {
    if (!delivers(host)) return hand_over(host);
    // A new primary gets from its agent what is not yet acknowledged, but not what has ended and is erased there.
    for (const TrackedFault& tracked : list_.of_host(host)) {
        if (!tracked.fault.open()) deliver(tracked);
    }
}

void AlarmManager::begin_snapshot(const base::HostId& host) {
    list_.table().begin_snapshot(host);
}

void AlarmManager::end_snapshot(const base::HostId& host, base::WallTime now) {
    const Agent* agent = context_.fleet.find(host);
    for (FaultTable::Entry& entry : list_.table().end_snapshot(host, agent != nullptr && agent->continuous, now)) {
        const base::FaultId id = entry.tracked.fault.id;
        if (!entry.tracked.fault.open()) {
            const Journal::Record* record = journal_.find(id);
            const JournalEntry* seen = record == nullptr ? nullptr : end_seen_elsewhere(*record);
            // Nothing was seen of it here.
            if (entry.change == FaultTable::Change::cleared && seen != nullptr)
                entry.tracked = list_.table().set_end(id, seen->detail, seen->at);
            take(entry);
            continue;
        }
        list_.put(entry.tracked);
        if (entry.tracked.unconfirmed->since == now) note(id, "unconfirmed", entry.tracked.unconfirmed->why, now);
    }
}

void AlarmManager::end(const base::FaultId& fault, std::string_view why, bool for_absent, base::WallTime now) {
    const TrackedFault* tracked = table().find(fault);
    if (tracked == nullptr || !tracked->fault.open()) return;
    const bool others = for_absent && !tracked->withheld && !delivers(tracked->host);
    if (others) {
        sinks_.restore(to_alarm(*tracked));
        trust_peers(*tracked);
    }
    FaultTable::Entry entry = list_.table().clear(fault, why, now);
    entry.dropped = others;
    take(std::move(entry));
}

void AlarmManager::adopt(const base::HostId& host) {
    in_doubt_.erase(host);
    for (const TrackedFault& tracked : list_.of_host(host)) {
        if (tracked.withheld) continue;
        trust_peers(tracked);
        deliver(tracked);
    }
}

/// What another controller has had acknowledged by the sink of that name needs no repetition.
void AlarmManager::trust_peers(const TrackedFault& tracked) {
    const Journal::Record* record = journal_.find(tracked.fault.id);
    if (record == nullptr) return;
    const Alarm alarm = to_alarm(tracked);
    for (const auto& sink : sinks_.sinks()) {
        const JournalEntry* entry = acknowledged_elsewhere(*record, sinks_.address_of(*sink));
        if (entry == nullptr || !sink->takes(alarm)) continue;
        const bool ended = entry->detail.starts_with(to_string(AlarmChange::cleared));
        if (!ended && sink->queue().acknowledged(alarm)) continue;
        const Acked acked{ended ? Acked::Phase::cleared : Acked::Phase::open, entry->revision};
        sinks_.restore(*sink, alarm, acked);
        rows_.put_acked(sink->name(), alarm.id, acked);
    }
}

void AlarmManager::release_withheld() {
    std::vector<TrackedFault> released;
    for (const auto& [id, tracked] : table().all()) {
        if (tracked.withheld && tracked.fault.open() && context_.may_report(tracked.host, tracked.fault.guest, true))
            released.push_back(tracked);
    }
    for (TrackedFault& tracked : released) {
        tracked.withheld = false;
        list_.table().set_withheld(tracked.fault.id, false);
        list_.put(tracked);
        if (delivers(tracked.host)) deliver(tracked);
    }
}

void AlarmManager::take(FaultTable::Entry entry) {
    if (entry.change != FaultTable::Change::none)
        entry.tracked = list_.table().set_changed(entry.tracked.fault.id, context_.now());
    count(entry);
    note(entry);
    if (entry.change != FaultTable::Change::none) name(entry.tracked);
    if (withhold(entry.tracked, entry.change)) {
        if (entry.change == FaultTable::Change::opened)
            note(entry.tracked.fault.id, "withheld", "its host does not own the guest", entry.tracked.received_at);
        list_.put(entry.tracked);
        return settle(entry.tracked.fault.id);
    }
    if (entry.change != FaultTable::Change::none) list_.put(entry.tracked);
    if (delivers(entry.tracked.host)) {
        deliver(entry.tracked);
    } else if (!entry.tracked.fault.open()) {
        finish(entry.tracked, entry.dropped);
    }
}

/// Keeps what the inventory has of it now.
void AlarmManager::name(TrackedFault& tracked) {
    Alarm alarm = to_alarm(tracked);
    context_.enrich(alarm);
    tracked.names = names_of(alarm);
    list_.table().set_names(tracked.fault.id, tracked.names);
}

/// True while the fault is not to be delivered: its host did not own the guest when it opened, and does not now.
bool AlarmManager::withhold(TrackedFault& tracked, FaultTable::Change change) {
    const bool decides = change == FaultTable::Change::opened || (tracked.withheld && tracked.fault.open());
    if (!decides) return tracked.withheld;
    tracked.withheld = !context_.may_report(tracked.host, tracked.fault.guest, tracked.withheld);
    list_.table().set_withheld(tracked.fault.id, tracked.withheld);
    return tracked.withheld;
}

void AlarmManager::count(const FaultTable::Entry& entry) {
    const auto kind = static_cast<std::size_t>(entry.tracked.fault.kind);
    if (entry.change == FaultTable::Change::opened) ++opened_.at(kind);
    if (entry.change == FaultTable::Change::cleared) ++cleared_.at(kind);
}

void AlarmManager::note(const base::FaultId& fault, JournalEntry entry) {
    const TrackedFault* tracked = table().find(fault);
    if (tracked != nullptr) log_.write(*tracked, entry, context_.now().steady);
    journal_.note(fault, std::move(entry));
}

void AlarmManager::note(const FaultTable::Entry& entry) {
    const Fault& fault = entry.tracked.fault;
    const base::WallTime now = context_.now().wall;
    switch (entry.change) {
        case FaultTable::Change::none:
            return;
        case FaultTable::Change::opened:
            return note(fault.id, {now, kOpenedEntry, "", fault.detail});
        case FaultTable::Change::updated:
            return note(fault.id, {now, "updated", "", fault.detail});
        case FaultTable::Change::cleared:
            return note(fault.id, {now, kClearedEntry, "", fault.clear_reason});
    }
}

void AlarmManager::deliver(const TrackedFault& tracked) {
    sinks_.offer(to_alarm(tracked));
    settle(tracked.fault.id);
}

/// Ended, and another primary's to deliver; what was raised from here is cleared from here.
void AlarmManager::finish(const TrackedFault& tracked, bool others_done) {
    sinks_.finish(to_alarm(tracked), others_done);
    settle(tracked.fault.id);
}

void AlarmManager::reconsider(const std::vector<GuestChange>& changes) {
    std::set<base::GuestId> guests;
    for (const GuestChange& change : changes)
        guests.insert(change.after ? change.after->id : change.before->id);
    // A policy may decide otherwise now; or the guest has left what is in maintenance.
    const bool policies = sinks_.asks_inventory();
    offer_again([&](const TrackedFault& tracked) {
        return guests.contains(tracked.fault.guest) && (policies || sinks_.hold(tracked.fault.id));
    });
}

void AlarmManager::reconsider_all() {
    const bool policies = sinks_.asks_inventory();
    offer_again([&](const TrackedFault& tracked) { return policies || sinks_.hold(tracked.fault.id); });
}

void AlarmManager::maintenance_changed() {
    offer_again([](const TrackedFault&) { return true; });
    internal_.resume();
}

void AlarmManager::sinks_changed() {
    offer_again([](const TrackedFault&) { return true; });
    internal_.resume();
    std::vector<base::FaultId> ended;
    for (const auto& [id, tracked] : table().all()) {
        if (!tracked.fault.open()) ended.push_back(id);
    }
    for (const base::FaultId& fault : ended)
        settle(fault);
}

template <class Predicate>
void AlarmManager::offer_again(Predicate concerned) {
    std::vector<TrackedFault> faults;
    for (const auto& [id, tracked] : table().all()) {
        if (!tracked.withheld && concerned(tracked) && delivers(tracked.host)) faults.push_back(tracked);
    }
    for (const TrackedFault& tracked : faults)
        deliver(tracked);
}

void AlarmManager::guests_reported(const base::HostId& host, const std::vector<model::GuestReport>& guests) {
    std::set<base::GuestId> read;
    for (const model::GuestReport& report : guests) {
        if (report.io) read.insert(report.guest);
    }
    if (read.empty() || !delivers(host)) return;
    std::vector<Alarm> alarms;
    for (const TrackedFault* tracked : table().of_host(host)) {
        const Fault& fault = tracked->fault;
        if (fault.open() && !tracked->withheld && model::is_silence(fault.kind) && read.contains(fault.guest))
            alarms.push_back(to_alarm(*tracked));
    }
    for (const Alarm& alarm : alarms)
        sinks_.offer_waiting_for_io(alarm);
}

const model::GuestReport* AlarmManager::report_of(const Alarm& alarm) const {
    return context_.fleet.report_of(alarm.host, alarm.guest);
}

/// Also those that another primary delivers: the clear of an earlier one from here must not end their alarm at a
/// receiver that has one of a kind.
void AlarmManager::add_others_open(AlarmEvent& event) const {
    if (event.change != AlarmChange::cleared) return;
    for (const TrackedFault* other : table().of_host(event.alarm.host)) {
        const bool counts = other->fault.open() && other->fault.guest == event.alarm.guest &&
                            other->fault.id != event.alarm.id && !other->withheld && !delivers(other->host);
        if (counts) event.others_open.emplace_back(model::to_string(other->fault.kind));
    }
}

void AlarmManager::resend(const std::string& name, const base::GuestId& guest) {
    Notifier* sink = sinks_.find(name);
    if (sink == nullptr) return;
    for (const auto& [id, tracked] : table().all()) {
        if (tracked.fault.guest == guest && tracked.fault.open() && !tracked.withheld && delivers(tracked.host))
            sink->queue().resend(to_alarm(tracked));
    }
    sink->pump();
}

void AlarmManager::collect(Notifier& sink) {
    for (IoDecision& decision : sink.queue().take_io_decisions()) {
        if (table().find(decision.fault) == nullptr) continue;
        note(decision.fault,
             {context_.now().wall, decision.held ? "held" : "released", sink.name(), std::move(decision.why)});
    }
    for (const AckChange& change : sink.queue().take_changes()) {
        if (internal_.contains(change.fault)) internal_.acknowledged(sink, change);
        if (table().find(change.fault) == nullptr) continue;
        rows_.put_acked(sink.name(), change.fault, change.acked);
        settle(change.fault);
    }
}

void AlarmManager::settle(const base::FaultId& fault) {
    const TrackedFault* tracked = table().find(fault);
    if (tracked == nullptr) return;
    const Alarm alarm = to_alarm(*tracked);
    const bool ended = !tracked->fault.open();
    if (tracked->withheld) {
        if (!ended) return;
        if (delivers(tracked->host)) acknowledger_.acknowledge(tracked->host, fault, tracked->fault.revision);
        return retire(TrackedFault(*tracked), delivers(tracked->host));
    }
    if (!delivers(tracked->host)) {
        if (!ended || sinks_.busy(alarm)) return;
        if (!sinks_.may_show(alarm)) return retire(TrackedFault(*tracked), false);
        // Its primary clears it, but perhaps before our raise arrives: cleared from here too, somewhat later.
        may_show_.insert(fault);
        may_show_due_ = std::min(may_show_due_, context_.now().steady + options_.resume_grace);
        return;
    }
    if (!sinks_.settled(alarm)) return;
    acknowledger_.acknowledge(tracked->host, fault, tracked->fault.revision, sinks_.delivered_to(alarm));
    if (ended) retire(TrackedFault(*tracked), true);
}

void AlarmManager::retire(const TrackedFault& tracked, bool delivered) {
    sinks_.erase(to_alarm(tracked));
    for (const base::FaultId& dropped : list_.retire(tracked, delivered)) {
        journal_.erase(dropped);
        rows_.erase_journal(dropped);
    }
}

/// What its agent reports of it is still news: another controller was to deliver it.
void AlarmManager::learn_past(const TrackedFault& past) {
    const bool known = table().find(past.fault.id) != nullptr || history().find(past.fault.id) != nullptr;
    if (!known && !past.fault.open() && options_.history > 0) retire(past, false);
}

void AlarmManager::resume_unseen() {
    grace_over_ = true;
    grace_ends_ = base::kNever;
    std::vector<TrackedFault> faults;
    for (const auto& [id, tracked] : table().all()) {
        const Agent* agent = context_.fleet.find(tracked.host);
        const bool unseen = agent == nullptr || !agent->seen_since_start;
        if (unseen && !tracked.withheld && (delivers(tracked.host) || !tracked.fault.open())) faults.push_back(tracked);
    }
    for (const TrackedFault& tracked : faults) {
        // What has ended, of a host that does not come back by that name, no snapshot settles.
        delivers(tracked.host) ? deliver(tracked) : finish(tracked, true);
    }
}

void AlarmManager::clear_what_may_show() {
    may_show_due_ = base::kNever;
    for (const base::FaultId& fault : std::exchange(may_show_, {})) {
        const TrackedFault* tracked = table().find(fault);
        const bool anothers = tracked != nullptr && !tracked->fault.open() && !delivers(tracked->host);
        if (anothers) finish(TrackedFault(*tracked), true);
    }
}

DeliveryView AlarmManager::view(const Notifier& sink, const TrackedFault& tracked) const {
    const Alarm alarm = to_alarm(tracked);
    if (delivers(tracked.host) || sink.queue().busy(alarm)) return sink.queue().view(alarm);
    DeliveryView view;
    bool done = tracked.fault.delivered >= tracked.fault.revision && sinks_.may_have(sink, alarm);
    const Journal::Record* record = journal_.find(tracked.fault.id);
    if (record != nullptr && !done) {
        const auto of_end = end_acknowledged_elsewhere(*record, sinks_.address_of(sink));
        done = of_end && (tracked.fault.open() || *of_end);
    }
    // The agent keeps what all sinks of its primary have acknowledged, and that one may have others.
    if (record != nullptr && is_told_to_others_only(*record, sinks_.address_of(sink))) done = false;
    view.state = done ? DeliveryView::State::acknowledged_by_peer : DeliveryView::State::pending_at_peer;
    view.revision = tracked.fault.delivered;
    return view;
}

}  // namespace vitalwire::controller
