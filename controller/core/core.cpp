#include "controller/core/core.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/log.hpp"

namespace vitalwire::controller {

using base::HostId;
using base::Moment;

namespace {

/// A thousand agents come back one after the other, within this altogether.
constexpr base::Millis kSyncPause{100};
constexpr base::Millis kLongestSyncPause{3000};
constexpr std::size_t kFewAgents = 5;
/// The inventory is asked again for the sake of one report at most that often.
constexpr base::Millis kRefreshPause{5000};
/// Between two writes of what is known of guests: neither the loop nor the disk has to do it at once.
constexpr base::Millis kRowsPause{50};
/// A fault for each of its guests in most kinds, and room for those that nothing is known of.
constexpr std::size_t kFaultsPerGuest = 4;
/// Of one message of a hand-back.
constexpr std::size_t kHandBackChunk = bus::kStateChunk;

constexpr std::string_view kMigrating = "migrating";

void add_registered(const Agent& agent, std::vector<model::GuestReport>& guests) {
    for (const auto& [id, report] : agent.guests) {
        if (report.state != "unregistered") guests.push_back(report);
    }
}

}  // namespace

Core::Core(Options options, Context context)
    : options_(std::move(options)),
      context_(context),
      names_(context.inventory, fleet_),
      succession_(fleet_, names_),
      authority_(context.inventory, fleet_, names_),
      silence_(options_.host_unreachable_after),
      alarms_(options_.alarms, context.rows, alarm_dependencies()),
      evidence_(context.inventory, fleet_, names_),
      groups_(
          context.inventory, fleet_, names_,
          options_.monitoring.controller.str() + "@" + base::to_iso8601(options_.started_at),
          [this](const HostId& host, const bus::ToAgent& message) { send(host, message); },
          [this](const base::GuestId& guest) { return authority_.moving(guest); }),
      policies_(
          names_, [this](const HostId& host, const bus::ToAgent& message) { send(host, message); },
          [this](const InventoryGuest& guest) { return asks_io(guest); }),
      self_monitoring_(options_.monitoring),
      orphans_(options_.alarms.resume_grace,
               {[this](const HostId& host) { return sessions_.find(host) != nullptr; },
                [this] { return context_.output.reachable(); },
                [this](const HostId& host, const OrphanedReports::Faults& faults, Moment moment) {
                    fleet_.adopt(host, moment);
                    put_agent(host);
                    rejected_.add(host, alarms_.report_orphaned(host, faults, moment.wall), {}, moment.steady);
                },
                [this](std::function<void()> done) { context_.rows.when_durable(std::move(done)); },
                [this](const HostId& host, const model::Fault& fault) { context_.rows.put_orphan(host, fault); },
                [this](const HostId& host, const base::FaultId& fault) { context_.rows.erase_orphan(host, fault); }}),
      maintenance_sync_(
          maintenance_, fleet_, context.inventory,
          [this](const base::GuestId& guest, const HostId& host) { return maintenance_subject(guest, host); },
          [this](const HostId& host, const bus::ToAgent& message) { send(host, message); }),
      coverage_(
          context.inventory, fleet_, names_, alarms_.table(),
          [this](const HostId& host) { return policies_.sent(host); },
          [this](const base::GuestId& guest, const HostId& host) {
              const Maintenance* window = maintenance_of(guest, host);
              return window == nullptr ? std::string() : window->reason;
          }),
      known_guests_(context.inventory, fleet_, context.rows) {}

AlarmManager::Dependencies Core::alarm_dependencies() {
    return {fleet_,
            [this] { return context_.output.now(); },
            [this](Alarm& alarm) { enrich(alarm); },
            [this](const HostId& host, const bus::FaultsDelivered& delivered) { send(host, delivered); },
            [this](std::function<void()> call) { context_.output.defer(std::move(call)); },
            [this](const base::GuestId& guest) { return inventory_knows(guest); },
            [this](const HostId& host, const base::GuestId& guest, bool withheld) {
                return may_report(host, guest, withheld);
            },
            [this](const HostId& host, const HostId& left, const base::GuestId& guest) {
                return takes_over(host, left, guest);
            },
            [this](const TrackedFault& tracked, const HostId& host, const model::Fault& reported) {
                return evidence_.doubts_end(tracked, host, reported, context_.output.inventory_source());
            },
            [this](const HostId& host) { return max_faults(host); },
            [this](const Alarm& alarm) { return maintained(alarm); },
            [this] { return stall_guard_.holds(context_.output.now(), probe_due()); },
            options_.monitoring.controller};
}

void Core::set_limits(const Options& options) {
    options_.remove_agent_after = options.remove_agent_after;
    self_monitoring_.set_patience(options.monitoring.agent_lost_after, options.monitoring.sink_failing_after);
    alarms_.set_history(options.alarms.history);
}

void Core::load(Moment moment) {
    clock_.follow(moment);
    for (auto& [host, agent] : context_.rows.load_agents()) {
        agent.away_since = moment.steady;
        fleet_.restore(host, std::move(agent));
    }
    known_guests_.load();
    for (auto& [host, faults] : context_.rows.load_orphans())
        orphans_.restore(host, std::move(faults), moment.steady);
    if (context_.output.inventory_source().loaded) known_guests_.inventory_read();
    self_monitoring_.last_revision = [this](const base::FaultId& id) {
        const Journal::Record* record = alarms_.journal().find(id);
        const Alarm* last = record == nullptr ? nullptr : alarm_of(*record).second;
        return last == nullptr ? std::uint64_t{0} : last->revision;
    };
    alarms_.internal().on_finished = [this](const base::FaultId& alarm) { self_monitoring_.erase(alarm); };
    for (const Maintenance& window : context_.rows.load_maintenance())
        static_cast<void>(maintenance_.merge(window, moment.wall));
    alarms_.load(moment.steady);
    for (const auto& [id, alarm] : alarms_.internal().all()) {
        const Journal::Record* record = alarms_.journal().find(id);
        const bool is_peers = record != nullptr && alarm_elsewhere(*record).second != nullptr;
        if (!is_peers || !is_of_peers_sink(alarm)) self_monitoring_.restore(alarm);
    }
    for (const Alarm& alarm : context_.rows.load_closed_alarms())
        self_monitoring_.restore_closed(alarm);
    housekeeping_due_ = moment.steady;
    names_from_ = moment.steady + options_.alarms.resume_grace;
}

void Core::stop() {
    housekeeping_due_ = sync_due_ = silence_due_ = peers_due_ = known_guests_from_ = base::kNever;
    while (known_guests_.pending())
        known_guests_.write_some();
    alarms_.stop();
    orphans_.stop();
}

base::TimePoint Core::next_due() const {
    // What is to be sent to agents does not wait.
    if (syncs_maintenance()) return now_;
    const base::TimePoint known_guests_due = known_guests_.pending() ? known_guests_from_ : base::kNever;
    return std::min({housekeeping_due_, sync_due_, silence_due_, peers_due_, known_guests_due, alarms_.next_due(),
                     orphans_.next_due(), stall_guard_.next_due()});
}

void Core::tick(Moment moment) {
    enter(moment);
    alarms_.tick(moment.steady);
    orphans_.tick(moment);
    if (syncs_maintenance()) maintenance_sync_.sync_next(moment.wall);
    if (moment.steady >= silence_due_) check_silence(moment);
    if (moment.steady >= peers_due_) monitor(moment);
    if (moment.steady >= sync_due_) sync_next(moment);
    if (known_guests_.pending() && moment.steady >= known_guests_from_) {
        known_guests_.write_some();
        known_guests_from_ = moment.steady + kRowsPause;
    }
    if (moment.steady >= housekeeping_due_) housekeeping(moment);
    if (stall_guard_.ends(moment.steady)) alarms_.pump();
}

void Core::send(const HostId& host, const bus::ToAgent& message) {
    if (const Session* session = sessions_.find(host)) context_.output.send(*session, message);
}

bool Core::known_session(std::size_t port, const HostId& host) const {
    const Session* session = sessions_.find(host);
    return session != nullptr && session->port == port;
}

void Core::message(std::size_t port, const HostId& name, const bus::ToController& message, Moment moment) {
    const HostId host = canonical(name);
    if (!known_session(port, host)) return;
    enter(moment);
    ++counters_.messages;
    stall_guard_.heard(host, moment.steady);
    succession_.heard(host);
    fleet_.seen(host, moment);
    std::visit([&](const auto& content) { on(host, content, moment); }, message);
}

/// Sent again on a connection that is up: only who is primary can have changed.
void Core::on(const HostId& host, const bus::Hello& hello, Moment moment) {
    on(host, bus::PrimaryChanged{hello.is_primary, hello.primary, hello.controllers}, moment);
}

void Core::on(const HostId& host, const bus::PrimaryChanged& changed, Moment moment) {
    const bool differs = fleet_.find(host)->is_primary != changed.is_primary;
    if (differs && !take_round(host, moment)) return;
    fleet_.set_primary(host, changed);
    if (!differs) return;
    put_agent(host);
    alarms_.primary_changed(host);
    groups_.drop_kept_of(host);
    ++counters_.primary_changes;
    maintenance_sync_.mark(host);
    initial_sync(host, moment);
}

void Core::on(const HostId& host, const bus::SnapshotBegin&, Moment moment) {
    if (!take_round(host, moment)) return;
    fleet_.begin_snapshot(host);
    alarms_.begin_snapshot(host);
}

void Core::on(const HostId& host, const bus::SnapshotEnd&, Moment moment) {
    for (const base::GuestId& guest : fleet_.end_snapshot(host))
        known_guests_.changed(host, guest);
    alarms_.end_snapshot(host, moment.wall);
    hand_back(host);
    maintenance_sync_.mark(host);
    initial_sync(host, moment);
}

void Core::on(const HostId& host, const bus::Guests& guests, Moment moment) {
    std::vector<base::Error> errors = guests.skipped;
    std::vector<model::GuestReport> arriving;
    for (const model::GuestReport& report : guests.guests) {
        const bool is_news = KnownGuests::is_news(fleet_.report_of(host, report.guest), report);
        const auto taken = fleet_.report(host, report);
        if (taken) {
            if (is_news) known_guests_.changed(host, report.guest);
            if (const auto* there = registered_where_it_comes_from(host, report)) arriving.push_back(*there);
            groups_.heartbeat_changed(report.guest, moment.wall);
        } else {
            errors.push_back(taken.error());
        }
    }
    if (!arriving.empty()) send(host, bus::HandBack{std::move(arriving), {}, true, {}, false, true});
    counters_.refused += errors.size();
    rejected_.add(host, {}, errors, moment.steady);
    alarms_.guests_reported(host, guests.guests);
    state_changed(host, guests.state_changes);
    groups_.deliver_kept(moment.steady);
    maintenance_sync_.guests_changed(host);
}

/// A guest that hangs while it migrates does not register at its destination, which knows nothing of it.
const model::GuestReport* Core::registered_where_it_comes_from(const HostId& host,
                                                               const model::GuestReport& report) const {
    if (report.registered_since != base::WallTime{}) return nullptr;
    for (const HostId& other : fleet_.holders(report.guest)) {
        const model::GuestReport& there = *fleet_.report_of(other, report.guest);
        if (other == host || there.registered_since == base::WallTime{}) continue;
        if (report.hold == kMigrating || there.hold == kMigrating) return &there;
    }
    return nullptr;
}

void Core::state_changed(const HostId& host, std::uint64_t changes) {
    if (fleet_.changed(host, changes)) put_agent(host);
}

/// To an agent with an old copy of its state, or one whose fault an operator has closed.
void Core::send_newer(const HostId& host) {
    std::vector<model::Fault> newer = alarms_.take_outdated(host);
    if (newer.empty()) return;
    log::warning("the agent reports faults as they were before; it is sent what is known since",
                 {{"host", host}, {"faults", newer.size()}});
    send(host, bus::HandBack{{}, std::move(newer), true, {}});
}

void Core::on(const HostId& host, const bus::GuestGone& gone, Moment moment) {
    if (fleet_.report_of(host, gone.guest) != nullptr) known_guests_.changed(host, gone.guest);
    fleet_.gone(host, gone.guest);
    groups_.heartbeat_changed(gone.guest, moment.wall);
    maintenance_sync_.guest_gone(host, gone.guest);
}

void Core::on(const HostId& host, const bus::Faults& faults, Moment moment) {
    for (const model::Fault& fault : faults.faults)
        rejected_.drop(host, fault.id);
    const auto rejected = report(host, faults.faults, moment, faults.unconfirmed);
    counters_.refused += rejected.size() + faults.skipped.size();
    rejected_.add(host, rejected, faults.skipped, moment.steady);
    state_changed(host, faults.state_changes);
    send_newer(host);
    const bool conflict = std::any_of(faults.faults.begin(), faults.faults.end(), [&](const model::Fault& fault) {
        const TrackedFault* tracked = alarms_.table().find(fault.id);
        if (tracked == nullptr) return false;
        return tracked->withheld || (tracked->fault.open() && !fault.open());
    });
    if (!conflict || moment.steady < refresh_from_) return;
    refresh_from_ = moment.steady + kRefreshPause;
    context_.output.refresh_inventory();
}

/// One host must not fill the disk, nor the history of ended faults, by opening and ending its own.
std::vector<AlarmManager::Rejected> Core::report(const HostId& host, const std::vector<model::Fault>& faults,
                                                 Moment moment, bool unconfirmed) {
    std::vector<model::Fault> taken;
    std::vector<AlarmManager::Rejected> later;
    const std::size_t limit = max_faults(host);
    for (const model::Fault& fault : faults) {
        const TrackedFault* known = alarms_.table().find(fault.id);
        const bool is_news = known == nullptr || known->fault.revision != fault.revision;
        if (is_news && !pacing_.take_fault(host, limit, moment.steady)) {
            later.push_back({fault, base::Error{base::Errc::rate_limited, "its faults change too often"}});
        } else {
            taken.push_back(fault);
        }
    }
    auto rejected = alarms_.report(host, taken, moment.wall, unconfirmed);
    rejected.insert(rejected.end(), later.begin(), later.end());
    return rejected;
}

void Core::on(const HostId& host, const bus::AgentProblems& message, Moment) {
    fleet_.set_problems(host, message.problems);
}

void Core::on(const HostId& host, const bus::GroupSend& message, Moment moment) {
    groups_.on(host, message, moment.steady);
}

void Core::on(const HostId& host, const bus::GroupQuery& message, Moment) {
    groups_.on(host, message);
}

void Core::orphaned(const HostId& host, const bus::Faults& faults, std::function<void()> done, Moment moment) {
    enter(moment);
    counters_.refused += orphans_.take(canonical(host), faults.faults, std::move(done), moment.steady);
}

/// The registrations that an agent may have lost with its state; its snapshot replaces them here.
void Core::remember_for_hand_back(const HostId& host, const bus::Hello& hello) {
    to_hand_back_.erase(host);
    if (hello.state.empty()) return;
    auto& remembered = to_hand_back_[host];
    remembered.reset();
    if (const Agent* known = fleet_.find(host)) {
        remembered.emplace().boot = known->boot;
        add_registered(*known, remembered->guests);
    }
}

void Core::hand_back(const HostId& host) {
    auto remembered = to_hand_back_.extract(host);
    if (remembered.empty() || fleet_.find(host)->continuous) return;
    std::vector<HostId> names{host};
    for (const HostId& earlier : succession_.predecessors(host)) {
        const Agent& agent = *fleet_.find(earlier);
        if (agent.state == fleet_.find(host)->state) continue;  // it knows itself
        names.push_back(earlier);
        if (!remembered.mapped()) remembered.mapped().emplace().boot = agent.boot;
        if (remembered.mapped()->boot != agent.boot) remembered.mapped()->boot.clear();
        add_registered(agent, remembered.mapped()->guests);
    }
    if (!remembered.mapped()) return;
    bus::HandBack message;
    const auto flush = [&](bool last) {
        message.last = last;
        message.state_lost = true;
        message.boot = remembered.mapped()->boot;
        send(host, std::exchange(message, {}));
    };
    for (const model::GuestReport& report : remembered.mapped()->guests) {
        // That it sees the guest's channel is no knowledge of its registration.
        const model::GuestReport* seen = fleet_.report_of(host, report.guest);
        const bool knows = seen != nullptr && seen->state != "unregistered";
        if (knows || left(host, report.guest)) continue;
        message.guests.push_back(report);
        if (message.guests.size() >= kHandBackChunk) flush(false);
    }
    for (const HostId& name : names) {
        for (const TrackedFault* tracked : alarms_.table().of_host(name)) {
            const bool confirmed = name == host && !tracked->unconfirmed;
            if (!tracked->fault.open() || tracked->withheld || confirmed) continue;
            message.faults.push_back(tracked->fault);
            if (message.faults.size() >= kHandBackChunk) flush(false);
        }
    }
    flush(true);
}

/// As the inventory has it, the guest is no longer on that host.
bool Core::left(const HostId& host, const base::GuestId& guest) const {
    const Evidence::Source source = context_.output.inventory_source();
    if (!source.loaded) return false;
    const InventoryGuest* known = context_.inventory.guest(guest);
    if (known == nullptr) return source.names_all && removed_.contains(guest);
    return !known->host.empty() && names_.differ(host, known->host);
}

bool Core::asks_io(const InventoryGuest& guest) const {
    Alarm alarm;
    alarm.guest = guest.id;
    enrich(alarm);
    return alarms_.asks_io(alarm);
}

void Core::sinks_changed() {
    alarms_.sinks_changed();
    for (const auto& [host, session] : sessions_.all())
        sync_policies(host);
}

void Core::sync_policies(const HostId& host) {
    // An inventory that is not known yet must not switch anything off.
    if (context_.output.inventory_source().loaded && sessions_.find(host) != nullptr) policies_.sync(host);
}

/// One in each turn of the loop: of a large cloud there is much to send. When many come, after the last of them.
void Core::initial_sync(const HostId& host, Moment moment) {
    groups_.expect(host);
    if (to_sync_.empty()) sync_by_ = moment.steady + kLongestSyncPause;
    to_sync_.insert(host);
    const base::Duration settle = to_sync_.size() > kFewAgents ? kSyncPause : base::Millis::zero();
    sync_due_ = std::min(moment.steady + settle, sync_by_);
}

void Core::sync_next(Moment moment) {
    const HostId host = to_sync_.extract(to_sync_.begin()).value();
    // Without an inventory there is nothing to send; when it is there, all agents are synchronised.
    if (sessions_.find(host) != nullptr && context_.output.inventory_source().loaded) {
        groups_.initial_sync(host, moment.wall);
        policies_.sync(host);
    }
    sync_due_ = to_sync_.empty() ? base::kNever : moment.steady;
}

void Core::inventory_changed(const std::vector<GuestChange>& changes, Moment moment) {
    enter(moment);
    known_guests_.inventory_changed(changes);
    for (const GuestChange& change : changes) {
        if (change.before && !change.after) removed_.insert_or_assign(change.before->id, moment.wall);
        if (change.after) removed_.erase(change.after->id);
    }
    if (!inventory_seen_) {
        // A cloud keeps what it has not listed: what is not there was deleted while this one was away.
        if (context_.output.inventory_source().names_all) {
            for (const auto& [id, place] : context_.inventory.restored()) {
                if (context_.inventory.guest(id) == nullptr) removed_.insert_or_assign(id, moment.wall);
            }
        }
        known_guests_.inventory_read();
    }
    list_members(moment);
    if (!std::exchange(inventory_seen_, true)) {
        alarms_.reconsider_all();
        alarms_.release_withheld();
        for (const auto& [host, session] : sessions_.all())
            initial_sync(host, moment);
        return;
    }
    std::set<HostId> hosts;
    for (const GuestChange& change : changes) {
        if (change.before) hosts.insert(names_.agent_of(change.before->host));
        if (change.after) hosts.insert(names_.agent_of(change.after->host));
    }
    groups_.inventory_changed(changes, moment.wall);
    alarms_.reconsider(changes);
    alarms_.release_withheld();
    for (const HostId& host : hosts)
        sync_policies(host);
    groups_.deliver_kept(moment.steady);
}

/// Its agent closes it too, and so at every controller. One of them notifies the sinks: the primary, or any when the
/// agent is away with its primary.
void Core::end(const TrackedFault& tracked, std::string_view why, Moment moment) {
    const HostId host = tracked.host;
    const Agent* agent = fleet_.find(host);
    const bool for_absent = agent == nullptr || (!agent->connected && !peer_is_primary(host, *agent));
    model::Fault closed = tracked.fault;
    ++closed.revision;
    closed.cleared_at = closed.updated_at = moment.wall;
    closed.clear_reason = why;
    alarms_.end(closed.id, why, for_absent, moment.wall);
    send(host, bus::HandBack{{}, {std::move(closed)}, true, {}});
}

/// Of a guest that the cloud has deleted nobody is notified: a host that was away may have a copy of it still.
bool Core::may_report(const HostId& host, const base::GuestId& guest, bool withheld) const {
    const bool unnamed = context_.output.inventory_source().names_all && context_.inventory.guest(guest) == nullptr;
    if (unnamed && (withheld || removed_.contains(guest))) return false;
    return authority_.may_report(host, guest);
}

/// A cloud may not have listed the guest, or no more than was known of it before a restart.
bool Core::inventory_knows(const base::GuestId& guest) const {
    const Evidence::Source source = context_.output.inventory_source();
    if (!source.loaded || !source.names_all || guest.empty() || removed_.contains(guest)) return source.loaded;
    const InventoryGuest* known = context_.inventory.guest(guest);
    return known != nullptr && known->listed;
}

void Core::enrich(Alarm& alarm) const {
    // Receivers know the host by the cloud's spelling; in here the canonical form counts.
    if (!alarm.first_host.empty()) alarm.host = alarm.first_host;
    const InventoryGuest* guest = context_.inventory.guest(alarm.guest);
    if (guest == nullptr) return;
    if (alarm.first_host.empty() && !guest->host.empty() && names_.same(alarm.host, guest->host))
        alarm.host = alarm.first_host = guest->host;
    alarm.display_name = guest->display_name;
    alarm.group = guest->group;
    alarm.project = guest->project;
    alarm.flavor = guest->flavor;
    if (const InventoryGroup* group = context_.inventory.group(guest->group)) alarm.group_name = group->name;
}

std::size_t Core::max_faults(const HostId& host) const {
    const Agent* agent = fleet_.find(host);
    const std::size_t guests = std::max(agent == nullptr ? 0 : agent->guests.size(), names_.guests_of(host).size());
    return kMaxFaultsPerHost + kFaultsPerGuest * guests;
}

}  // namespace vitalwire::controller
