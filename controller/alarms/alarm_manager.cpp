#include "controller/alarms/alarm_manager.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

using model::Fault;
using model::FaultKind;

namespace {

base::WallTime now() {
    return std::chrono::system_clock::now();
}

/// An agent that was away for long says again what it said before its guest went.
bool was_ended_here(const Fault& past, const Fault& fault) {
    return (past.clear_reason == kGuestMoved || past.clear_reason == kGuestDeleted) && fault.revision < past.revision;
}

/// The default of the guest's side, for a guest whose interval is not known.
constexpr base::Millis kUsualBeat{1000};

/// At most one alarm is open at each.
using AlarmPlace = std::pair<base::GuestId, std::string>;

AlarmPlace place_of(const TrackedFault& booked) {
    return {booked.fault.guest, std::string(model::to_string(booked.fault.kind))};
}

}  // namespace

AlarmManager::AlarmManager(Options options, AlarmStore& store, Dependencies surroundings)
    : options_(options),
      store_(store),
      around_(std::move(surroundings)),
      history_(options.history),
      own_(store, sinks_),
      grace_(around_.io) {
    for (const std::string& name : store_.load_sinks())
        known_sinks_.insert(name);
    runtime::Metrics& metrics = around_.metrics;
    for (const FaultKind kind : model::all_fault_kinds()) {
        const runtime::Labels labels = {{"kind", std::string(model::to_string(kind))}};
        opened_[kind] = metrics.counter("vitalwire_controller_faults_opened_total", "Faults opened.", labels);
        cleared_[kind] = metrics.counter("vitalwire_controller_faults_cleared_total", "Faults cleared.", labels);
        metrics.gauge(
            "vitalwire_controller_faults_open", "Faults open now.",
            [this, kind] { return static_cast<double>(book_.open_of_kind(kind)); }, labels);
    }
}

void AlarmManager::add_sink(const std::string& name, const std::string& type, std::unique_ptr<Sink> sink,
                            DeliveryOptions options, std::optional<std::vector<Policy>> policies) {
    options.fresh = !known_sinks_.contains(name);
    const std::size_t index = sinks_.size();
    SinkWorkerContext context{around_.io,
                              around_.metrics,
                              around_.problems,
                              around_.enrich,
                              around_.inventory_known,
                              [this](const Alarm& alarm) { return beat_of(alarm); },
                              [this](AlarmEvent& event) { add_others_open(event); },
                              [this, index] { collect(*sinks_[index]); },
                              [this, index] { audit(*sinks_[index]); }};
    sinks_.push_back(
        std::make_unique<SinkWorker>(name, type, std::move(sink), options, std::move(policies), std::move(context)));
    store_.put_sink(name);
}

void AlarmManager::load() {
    for (const TrackedFault& booked : store_.load_faults())
        book_.restore(booked);
    for (auto& [number, entry] : store_.load_history())
        history_.restore(number, std::move(entry));
    assume_under_way();
    own_.load();
    for (const AlarmStore::ToldRow& row : store_.load_told()) {
        const TrackedFault* booked = book_.find(row.fault);
        const auto sink = std::find_if(sinks_.begin(), sinks_.end(),
                                       [&](const auto& candidate) { return candidate->name() == row.sink; });
        const bool own = own_.knows(row.fault);
        if (sink == sinks_.end() || (booked == nullptr && !own)) {
            store_.erase_told(row.sink, row.fault);
        } else if (own) {
            own_.restore(**sink, row.fault, row.told);
        } else {
            (*sink)->restore(to_alarm(booked->fault, booked->host), row.told);
        }
    }
    for (const std::string& name : known_sinks_) {
        const bool configured =
            std::any_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return sink->name() == name; });
        if (!configured) store_.erase_sink(name);
    }
    own_.resume();
    grace_.expires_after(options_.resume_grace);
    grace_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
        if (!error && !alive.expired()) resume_unheard();
    });
}

/// What was under way before the restart may have arrived: of agents that we led for, and of faults that are over and
/// were still here because we had raised them.
void AlarmManager::assume_under_way() {
    for (const auto& [id, booked] : book_.all()) {
        const Agent* agent = around_.fleet.find(booked.host);
        const bool told_from_here = !booked.fault.open() || (agent != nullptr && agent->lead);
        if (!told_from_here) continue;
        for (const auto& sink : sinks_)
            sink->restore(to_alarm(booked.fault, booked.host), {});
    }
}

void AlarmManager::stop() {
    grace_.cancel();
    for (const auto& sink : sinks_)
        sink->stop();
}

void AlarmManager::agent_up(const base::HostId& host) {
    if (!delivers(host)) withdraw(host);  // the state that follows says what of it is over
}

void AlarmManager::agent_down(const base::HostId& host) {
    book_.abandon_snapshot(host);
}

void AlarmManager::lead_changed(const base::HostId& host) {
    if (!delivers(host)) {
        withdraw(host);
        for (const TrackedFault& booked : faults_of(host)) {
            if (!booked.fault.open()) finish(booked, false);
        }
        return;
    }
    // A new lead is told by its agent what is not yet confirmed, but not what is over and forgotten there.
    for (const TrackedFault& booked : faults_of(host)) {
        if (!booked.fault.open()) tell(booked);
    }
}

void AlarmManager::begin_snapshot(const base::HostId& host) {
    book_.begin_snapshot(host);
}

void AlarmManager::end_snapshot(const base::HostId& host) {
    for (const FaultTable::Entry& entry : book_.end_snapshot(host, now()))
        take(entry);
}

std::vector<base::Error> AlarmManager::report(const base::HostId& host, const std::vector<Fault>& faults) {
    std::vector<base::Error> refused;
    for (const Fault& fault : faults) {
        if (known_as_over(host, fault)) continue;
        if (const auto done = report_one(host, fault); !done) refused.push_back(done.error());
    }
    return refused;
}

std::vector<base::Error> AlarmManager::report_left(const base::HostId& host, const std::vector<Fault>& faults) {
    std::vector<Fault> news;
    std::copy_if(faults.begin(), faults.end(), std::back_inserter(news),
                 [this](const Fault& fault) { return is_newer(fault); });
    return report(host, news);
}

bool AlarmManager::is_newer(const Fault& fault) const {
    if (const TrackedFault* booked = book_.find(fault.id)) return fault.revision > booked->fault.revision;
    const FaultHistory::Entry* past = history_.find(fault.id);
    return past == nullptr || fault.revision > past->booked.fault.revision;
}

base::Result<void> AlarmManager::report_one(const base::HostId& host, const Fault& fault) {
    const auto entries = book_.report(host, fault, now());
    if (!entries) return tl::make_unexpected(entries.error());
    for (const FaultTable::Entry& entry : *entries)
        take(entry);
    return {};
}

void AlarmManager::end(const base::FaultId& fault, std::string_view why) {
    take(book_.clear(fault, why, now()));
}

bool AlarmManager::known_as_over(const base::HostId& host, const Fault& fault) {
    const FaultHistory::Entry* past = history_.find(fault.id);
    if (past == nullptr || past->booked.host != host) return false;
    if (fault.open() && was_ended_here(past->booked.fault, fault)) return true;
    const bool same = !fault.open() && past->booked.fault.revision == fault.revision;
    if (same && past->delivered) confirm(host, fault);
    if (same && (past->delivered || !delivers(host))) return true;
    if (const auto number = history_.erase(fault.id)) store_.erase_history(*number);
    return false;
}

void AlarmManager::take(const FaultTable::Entry& entry) {
    count(entry);
    if (entry.change != FaultTable::Change::none) store_.put_fault(entry.booked);
    if (delivers(entry.booked.host)) {
        tell(entry.booked);
    } else if (!entry.booked.fault.open()) {
        finish(entry.booked, entry.forgotten);
    }
}

void AlarmManager::count(const FaultTable::Entry& entry) {
    const FaultKind kind = entry.booked.fault.kind;
    if (entry.change == FaultTable::Change::opened) opened_.at(kind).add();
    if (entry.change == FaultTable::Change::cleared) cleared_.at(kind).add();
}

void AlarmManager::tell(const TrackedFault& booked) {
    const Alarm alarm = to_alarm(booked.fault, booked.host);
    // All queues know it before the first answer can come: "settled" speaks of this state in each of them.
    for (const auto& sink : sinks_)
        sink->offer(alarm);
    for (const auto& sink : sinks_)
        sink->pump();
    settle(alarm.id);
}

/// Over, and another lead's to tell; what was raised from here is cleared from here.
void AlarmManager::finish(const TrackedFault& booked, bool others_done) {
    const Alarm alarm = to_alarm(booked.fault, booked.host);
    for (const auto& sink : sinks_)
        sink->finish(alarm, others_done);
    for (const auto& sink : sinks_)
        sink->pump();
    settle(alarm.id);
}

void AlarmManager::reconsider(const std::vector<GuestChange>& changes) {
    std::set<base::GuestId> guests;
    for (const GuestChange& change : changes)
        guests.insert(change.after ? change.after->id : change.before->id);
    tell_again([&](const TrackedFault& booked) { return guests.contains(booked.fault.guest); });
}

void AlarmManager::reconsider_all() {
    tell_again([](const TrackedFault&) { return true; });
}

template <class Predicate>
void AlarmManager::tell_again(Predicate concerned) {
    const bool matters =
        std::any_of(sinks_.begin(), sinks_.end(), [](const auto& sink) { return sink->gate().asks_inventory(); });
    if (!matters) return;
    std::vector<TrackedFault> faults;
    for (const auto& [id, booked] : book_.all()) {
        if (concerned(booked) && delivers(booked.host)) faults.push_back(booked);
    }
    for (const TrackedFault& booked : faults)
        tell(booked);
}

base::Millis AlarmManager::beat_of(const Alarm& alarm) const {
    const Agent* agent = around_.fleet.find(alarm.host);
    if (agent == nullptr) return kUsualBeat;
    const auto guest = agent->guests.find(alarm.guest);
    const bool known = guest != agent->guests.end() && guest->second.interval > base::Millis::zero();
    return known ? guest->second.interval : kUsualBeat;
}

/// Also those that another lead tells: the clear of an earlier one from here must not end their alarm at a receiver
/// that knows one of a kind.
void AlarmManager::add_others_open(AlarmEvent& event) const {
    if (event.change != AlarmChange::cleared) return;
    for (const TrackedFault* other : book_.of_host(event.alarm.host)) {
        const bool counts = other->fault.open() && other->fault.guest == event.alarm.guest &&
                            other->fault.id != event.alarm.id && !delivers(other->host);
        if (counts) event.others_open.emplace_back(model::to_string(other->fault.kind));
    }
}

void AlarmManager::retell(const std::string& sink, const base::GuestId& guest) {
    const auto runner =
        std::find_if(sinks_.begin(), sinks_.end(), [&](const auto& candidate) { return candidate->name() == sink; });
    if (runner == sinks_.end()) return;
    for (const auto& [id, booked] : book_.all()) {
        if (booked.fault.guest == guest && booked.fault.open() && delivers(booked.host))
            (*runner)->retell(to_alarm(booked.fault, booked.host));
    }
    (*runner)->pump();
}

void AlarmManager::collect(SinkWorker& runner) {
    for (const AckChange& change : runner.take_changes()) {
        if (own_.knows(change.fault)) own_.told(runner, change);
        if (book_.find(change.fault) == nullptr) continue;
        store_.put_told(runner.name(), change.fault, change.told);
        settle(change.fault);
    }
}

/// A receiver can lose what it confirmed, and show what was cleared. Only what was so before it is asked is compared:
/// what changes meanwhile may or may not be in its answer.
void AlarmManager::audit(SinkWorker& runner) {
    runner.list([this, &runner, confirmed = confirmed_open(runner), own = own_.confirmed_open(runner),
                 newest = history_.newest()](const std::vector<ShownAlarm>& shown) {
        const std::size_t raised = raise_again(runner, confirmed, shown) + raise_own_again(runner, own, shown);
        runner.note_audited(raised, clear_again(runner, newest, shown));
        runner.pump();
    });
}

std::vector<base::FaultId> AlarmManager::confirmed_open(const SinkWorker& runner) const {
    std::vector<base::FaultId> confirmed;
    for (const auto& [id, booked] : book_.all()) {
        const bool ours = booked.fault.open() && delivers(booked.host);
        if (ours && runner.confirmed(to_alarm(booked.fault, booked.host))) confirmed.push_back(id);
    }
    return confirmed;
}

std::size_t AlarmManager::raise_again(SinkWorker& runner, const std::vector<base::FaultId>& confirmed,
                                      const std::vector<ShownAlarm>& shown) {
    std::set<AlarmPlace> there;
    for (const ShownAlarm& alarm : shown)
        there.emplace(alarm.guest, alarm.kind);
    std::size_t count = 0;
    for (const base::FaultId& id : confirmed) {
        const TrackedFault* booked = book_.find(id);
        if (booked == nullptr || there.contains(place_of(*booked)) || !delivers(booked->host)) continue;
        if (runner.retell(to_alarm(booked->fault, booked->host))) ++count;
    }
    return count;
}

std::size_t AlarmManager::raise_own_again(SinkWorker& runner, const std::vector<base::FaultId>& confirmed,
                                          const std::vector<ShownAlarm>& shown) {
    std::set<base::FaultId> there;
    for (const ShownAlarm& alarm : shown)
        there.insert(alarm.fault);
    return static_cast<std::size_t>(std::count_if(confirmed.begin(), confirmed.end(), [&](const base::FaultId& id) {
        return !there.contains(id) && own_.retell(runner, id);
    }));
}

/// Whatever is in the book is told of in its own time, and what is not in the history may be another controller's.
std::size_t AlarmManager::clear_again(SinkWorker& runner, FaultHistory::Number newest,
                                      const std::vector<ShownAlarm>& shown) {
    std::set<AlarmPlace> booked;
    for (const auto& [id, fault] : book_.all())
        booked.insert(place_of(fault));
    std::vector<TrackedFault> over;
    for (const ShownAlarm& alarm : shown) {
        const auto number = history_.number_of(alarm.fault);
        const bool known = number && *number <= newest && !booked.contains({alarm.guest, alarm.kind});
        if (known) over.push_back(history_.find(alarm.fault)->booked);
    }
    for (const TrackedFault& fault : over)
        clear_again(runner, fault);
    return over.size();
}

/// Back into the book as a fault whose clear this sink alone has yet to hear.
void AlarmManager::clear_again(SinkWorker& runner, TrackedFault booked) {
    const auto number = history_.erase(booked.fault.id);
    if (!number) return;
    store_.erase_history(*number);
    booked.fault.delivered = 0;
    book_.restore(booked);
    store_.put_fault(booked);
    const Alarm alarm = to_alarm(booked.fault, booked.host);
    for (const auto& sink : sinks_) {
        const Acked told{sink.get() == &runner ? Acked::Phase::open : Acked::Phase::cleared, alarm.revision};
        sink->restore(alarm, told);
        store_.put_told(sink->name(), alarm.id, told);
    }
    finish(booked, true);
}

void AlarmManager::settle(const base::FaultId& fault) {
    const TrackedFault* booked = book_.find(fault);
    if (booked == nullptr) return;
    const Alarm alarm = to_alarm(booked->fault, booked->host);
    const bool over = !booked->fault.open();
    if (!delivers(booked->host)) {
        const bool quiet = at_every_sink([&](const SinkWorker& sink) { return !sink.busy(alarm); });
        if (over && quiet) leave(TrackedFault(*booked), false);
        return;
    }
    if (!at_every_sink([&](const SinkWorker& sink) { return sink.settled(alarm); })) return;
    confirm(booked->host, booked->fault);
    if (over) leave(TrackedFault(*booked), true);
}

template <class Predicate>
bool AlarmManager::at_every_sink(Predicate holds) const {
    return std::all_of(sinks_.begin(), sinks_.end(), [&](const auto& sink) { return holds(*sink); });
}

/// The fault is over and nothing more is to be told of it here.
void AlarmManager::leave(const TrackedFault& booked, bool delivered) {
    const base::FaultId fault = booked.fault.id;
    const Alarm alarm = to_alarm(booked.fault, booked.host);
    for (const auto& sink : sinks_) {
        sink->forget(alarm);
        store_.erase_told(sink->name(), fault);
    }
    const FaultHistory::Entry entry{booked, delivered};
    const FaultHistory::Added added = history_.add(entry);
    store_.put_history(added.number, entry);
    for (const FaultHistory::Number number : added.dropped)
        store_.erase_history(number);
    book_.erase(fault);
    store_.erase_fault(fault);
}

/// Copies: they may leave the book while one goes through them.
std::vector<TrackedFault> AlarmManager::faults_of(const base::HostId& host) const {
    std::vector<TrackedFault> faults;
    for (const TrackedFault* booked : book_.of_host(host))
        faults.push_back(*booked);
    return faults;
}

void AlarmManager::withdraw(const base::HostId& host) {
    for (const TrackedFault& booked : faults_of(host)) {
        const Alarm alarm = to_alarm(booked.fault, booked.host);
        for (const auto& sink : sinks_)
            sink->withdraw(alarm);
    }
}

bool AlarmManager::delivers(const base::HostId& host) const {
    const Agent* agent = around_.fleet.find(host);
    if (agent == nullptr) return grace_over_;
    if (agent->connected) return agent->lead;
    return agent->lead && (agent->heard_since_start || grace_over_);
}

void AlarmManager::resume_unheard() {
    grace_over_ = true;
    std::vector<TrackedFault> faults;
    for (const auto& [id, booked] : book_.all()) {
        const Agent* agent = around_.fleet.find(booked.host);
        const bool unheard = agent == nullptr || !agent->heard_since_start;
        if (unheard && delivers(booked.host)) faults.push_back(booked);
    }
    for (const TrackedFault& booked : faults)
        tell(booked);
}

void AlarmManager::confirm(const base::HostId& host, const Fault& fault) {
    confirmations_[host][fault.id] = fault.revision;
    if (std::exchange(flush_posted_, true)) return;
    boost::asio::post(around_.io, [this, alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) flush_confirmations();
    });
}

void AlarmManager::flush_confirmations() {
    flush_posted_ = false;
    for (const auto& [host, revisions] : std::exchange(confirmations_, {})) {
        bus::FaultsDelivered delivered;
        for (const auto& [fault, revision] : revisions)
            delivered.items.push_back({fault, revision});
        around_.confirm(host, delivered);
    }
}

}  // namespace vitalwire::controller
