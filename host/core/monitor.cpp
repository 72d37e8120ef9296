#include "host/core/monitor.hpp"

#include <algorithm>
#include <utility>

#include "base/overloaded.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using base::WallTime;
using heartbeat::HostEvent;
using heartbeat::HostPolicy;
using heartbeat::HostSession;
using heartbeat::HostSessionCounters;
using model::Fault;
using model::FaultKind;
using wire::Dialect;

namespace {

/// A guest that gives another reason with each answer must not make a message of each.
constexpr base::Millis kUpdateSpacing{1000};

/// How long a flapping guest has to be well before its fault is cleared.
constexpr base::Millis kWellFor{5000};
constexpr std::string_view kRecovered = "recovered";

void add(HostSessionCounters& sum, const HostSessionCounters& counters) {
    sum.challenges += counters.challenges;
    sum.responses += counters.responses;
    sum.late += counters.late;
    sum.stale += counters.stale;
    sum.misses += counters.misses;
}

}  // namespace

Monitor::Monitor(Settings settings, IdGenerator& ids, Output& output)
    : settings_(settings), ids_(ids), output_(output) {}

void Monitor::found(const GuestId& id, TimePoint now) {
    show(guest_for(id, now), false);
}

void Monitor::messaging_channel(const GuestId& id, bool connected, TimePoint now) {
    Guest& guest = guest_for(id, now);
    guest.messaging = connected;
    show(guest, false);
    if (guest.session.stopped() && !has_channel(guest)) erase(guest);
}

void Monitor::step(const GuestId& id, const HostEvent& event, TimePoint now, WallTime wall) {
    step_or_forget(guest_for(id, now), event, now, wall);
}

void Monitor::step(const GuestKey& key, const HostEvent& event, TimePoint now, WallTime wall) {
    Guest* known = guests_.find(key);
    step_or_forget(known == nullptr ? guest_for(key.id(), now) : *known, event, now, wall);
}

void Monitor::step_or_forget(Guest& guest, const HostEvent& event, TimePoint now, WallTime wall) {
    step(guest, event, now, wall);
    // A machine that is off and has no channel open is no guest of this host until it starts again.
    if (guest.session.stopped() && !has_channel(guest)) erase(guest);
}

bool Monitor::has_channel(const Guest& guest) {
    return guest.session.connected(Dialect::native) || guest.session.connected(Dialect::cgcs) || guest.messaging ||
           has_guest_agent(guest);
}

/// Most machines have a port for one; it is a channel where its guest is watched by it.
bool Monitor::has_guest_agent(const Guest& guest) {
    return guest.session.connected(Dialect::guest_agent) && guest.session.wants_guest_agent();
}

void Monitor::gone(const GuestId& id, heartbeat::StopReason why, TimePoint now, WallTime wall) {
    // Of a fault that was told to nobody only the end is news.
    if (const auto restored = restored_.find(id); restored != restored_.end()) restore_handed(restored->second);
    Guest& guest = guest_for(id, now);
    step(guest, heartbeat::Stopped{why}, now, wall);
    erase(guest);
}

void Monitor::count_refused(const GuestId& guest, std::uint64_t messages) {
    if (Guest* known = guests_.find(guest)) known->refused += messages;
}

void Monitor::set_policies(const bus::Policies& policies, TimePoint now, WallTime wall) {
    if (policies.complete) policies_.clear();
    if (policies.complete) std::erase_if(kept_on_, [this](const GuestId& id) { return !faulty(id); });
    for (const model::GuestPolicy& policy : policies.policies)
        policies_.insert_or_assign(policy.guest, policy);
    for (auto& [id, guest] : guests_)
        apply_policy(guest, now, wall);
}

void Monitor::erase_policy(const GuestId& id, TimePoint now, WallTime wall) {
    policies_.erase(id);
    if (Guest* guest = guests_.find(id)) apply_policy(*guest, now, wall);
}

bool Monitor::faulty(const GuestId& id) const {
    const auto restored = restored_.find(id);
    if (restored != restored_.end()) return !restored->second.open.empty();
    const Guest* guest = guests_.find(id);
    return guest != nullptr && guest->session.any_fault_open();
}

void Monitor::configure(Settings settings, TimePoint now, WallTime wall) {
    settings_ = settings;
    for (auto& [id, guest] : guests_)
        apply_policy(guest, now, wall);
}

void Monitor::delivered(const base::FaultId& fault, std::uint64_t revision,
                        const std::optional<std::vector<std::string>>& to) {
    if (faults_.delivered(fault, revision, to)) return output_.fault_forgotten(fault, false);
    if (const Fault* known = faults_.find(fault)) output_.fault_delivered(*known);
}

void Monitor::tick(TimePoint now, WallTime wall) {
    while (!due_.empty() && due_.begin()->at <= now) {
        Guest& guest = *due_.begin()->guest;
        if (guest.session.miss_due(now)) {
            output_.final_drain(guest.key, guest.session.registration()->dialect);
            if (guest.due > now) continue;
        }
        step(guest, heartbeat::Tick{}, now, wall);
    }
}

Monitor::Guest& Monitor::guest_for(const GuestId& id, TimePoint now) {
    if (Guest* known = guests_.find(id)) return *known;
    Guest& guest = guests_.emplace(id, id, HostSession(policy_for(id), ids_), next_ordinal_++);
    if (const auto waited = waited_.extract(id); !waited.empty()) guest.session.resume_waiting(waited.mapped());
    if (const auto restored = restored_.find(id); restored != restored_.end()) {
        for (const base::FaultId& fault : restore_handed(restored->second))
            output_.fault_changed(*faults_.find(fault));
        if (const auto& registration = restored->second.saved.registration) guest.name = registration->name;
        guest.session.resume(std::move(restored->second.saved), restored->second.open, now);
        restored_.erase(restored);
        missing_.erase(id);
        reschedule(guest);
    }
    resume_standing(guest, now);
    return guest;
}

HostPolicy Monitor::policy_for(const GuestId& id) const {
    HostPolicy policy = settings_.defaults;
    policy.guest_agent = settings_.guest_agents == GuestAgents::all;
    const auto found = policies_.find(id);
    const bool asked_for = found != policies_.end() && found->second.heartbeat;
    const bool unsaid = found == policies_.end() && kept_on_.contains(id);
    policy.enabled = policy.enabled && (asked_for || unsaid || !settings_.only_enabled);
    policy.required = policy.enabled && asked_for;
    if (found == policies_.end()) return policy;
    const model::GuestPolicy& wish = found->second;
    policy.machine_faults = policy.machine_faults || wish.machine_faults;
    policy.guest_agent = settings_.guest_agents == GuestAgents::all ||
                         (settings_.guest_agents == GuestAgents::flavor && wish.guest_agent);
    if (wish.detect_multiplier > 0) {
        policy.native_detect_multiplier = policy.cgcs_detect_multiplier = wish.detect_multiplier;
        policy.guest_agent_detect_multiplier = wish.detect_multiplier;
    }
    policy.guest_agent_interval = std::max(policy.guest_agent_interval, wish.min_interval);
    policy.native_min_interval = std::max(policy.native_min_interval, wish.min_interval);
    policy.cgcs_min_interval = std::max(policy.cgcs_min_interval, wish.min_interval);
    if (wish.detection_time.count() > 0) policy.detection_time = wish.detection_time;
    if (wish.establish_timeout.count() > 0) policy.establish_timeout = wish.establish_timeout;
    return policy;
}

void Monitor::step(Guest& guest, const HostEvent& event, TimePoint now, WallTime wall) {
    // An answer is late once its deadline was judged, not when we came late to read it.
    const bool heard = std::holds_alternative<heartbeat::Received>(event);
    if (const auto& registration = guest.session.registration())
        guest.corrective_action = registration->corrective_action;
    actions_.clear();
    guest.session.step(event, heard ? std::min(now, guest.due) : now, wall, actions_);
    bool changed = false;
    for (const heartbeat::HostAction& action : actions_) {
        std::visit(
            base::overloaded{
                [&](const heartbeat::Send& send) { output_.send(guest.key, send.dialect, send.pdu); },
                [&](const heartbeat::OpenFault& open) { open_fault(guest, open, now, wall); },
                [&](const heartbeat::UpdateFault& update) { update_fault(guest, update, now, wall); },
                [&](const heartbeat::ClearFault& clear) { clear_fault(guest, clear, now, wall); },
                [&](const heartbeat::SaveRegistration& saved) {
                    changed = true;
                    if (saved.registration) guest.name = saved.registration->name;
                    output_.save(guest.key.id(), saved);
                },
                [&](const heartbeat::SaveWaited& saved) { output_.waited_changed(guest.key.id(), saved.waited); }},
            action);
    }
    if (!guest.untold.empty()) tell_waiting_updates(guest, now, wall);
    if (!guest.withheld.empty()) clear_withheld(guest, guest.session.stopped() ? base::kNever : now, wall);
    keep_standing(guest);
    reschedule(guest);
    changed = tell_warning(guest, now) || changed;
    show(guest, changed);
}

void Monitor::erase(Guest& guest) {
    if (guest.due != base::kNever) due_.erase(guest.place);
    if (guest.shown) output_.guest_gone(guest.key.id());
    if (!guest.session.waited().empty()) output_.waited_changed(guest.key.id(), {});
    add(counters_of_gone_, guest.session.counters());
    round_trips_of_gone_.add(guest.session.round_trips());
    guests_.erase(GuestId(guest.key.id()));  // not the guest's own, which goes with it
}

void Monitor::reschedule(Guest& guest) {
    TimePoint due = guest.session.next_deadline();
    for (const WithheldClear& withheld : guest.withheld)
        due = std::min(due, withheld.due);
    if (!guest.untold.empty()) due = std::min(due, guest.update_allowed_at);
    if (due == guest.due) return;
    if (guest.due == base::kNever) {
        guest.place = due_.insert({due, guest.ordinal, &guest}).first;
    } else if (due == base::kNever) {
        due_.erase(guest.place);
    } else {
        // The node is moved, not made again: a challenge costs no allocation. Mostly it is due last from now on.
        auto node = due_.extract(guest.place);
        node.value().at = due;
        guest.place = due_.insert(due_.end(), std::move(node));
    }
    guest.due = due;
}

void Monitor::show(Guest& guest, bool changed) {
    const std::optional<Shown> shown = shown_of(guest);
    if (shown == guest.shown && !(changed && shown)) return;
    const bool was_shown = guest.shown.has_value();
    guest.shown = shown;
    if (shown) return output_.guest_changed(guest.key.id());
    if (was_shown) output_.guest_gone(guest.key.id());
}

/// True when there was another one to tell.
bool Monitor::tell_warning(Guest& guest, TimePoint now) {
    const std::string& warning = guest.session.warning();
    if (warning == guest.warning || !guest.warnings.take(now)) return false;
    guest.warning = warning;
    output_.guest_warned(guest.key.id(), guest.name, warning);
    return true;
}

void Monitor::apply_policy(Guest& guest, TimePoint now, WallTime wall) {
    step(guest, heartbeat::PolicyChanged{policy_for(guest.key.id())}, now, wall);
}

void Monitor::open_fault(Guest& guest, const heartbeat::OpenFault& action, TimePoint now, WallTime wall) {
    // A fault whose clear is withheld is open still.
    const auto again = [&](const WithheldClear& withheld) { return withheld.clear.kind == action.kind; };
    // Unless an operator has closed it: since then the guest was well.
    if (std::erase_if(guest.withheld, again) > 0 && faults_.find_open(guest.key.id(), action.kind) != nullptr)
        return update_fault(guest, {action.kind, action.detail, action.reason, action.corrective_action}, now, wall);
    Fault fault;
    fault.id = ids_.fault_id();
    fault.guest = guest.key.id();
    fault.kind = action.kind;
    fault.detail = action.detail;
    fault.reason = action.reason;
    fault.revision = 0;
    fault.opened_at = wall;
    fault.guest_name = guest.name;
    fault.corrective_action = action.corrective_action.value_or(corrective_action_for(guest));
    publish(faults_.open(std::move(fault)), wall);
}

/// The guest's own word goes before its flavor's.
model::CorrectiveAction Monitor::corrective_action_for(const Guest& guest) const {
    const auto& registration = guest.session.registration();
    const auto named = registration ? registration->corrective_action : guest.corrective_action;
    const auto policy = policies_.find(guest.key.id());
    const bool unnamed = named == model::CorrectiveAction::none && policy != policies_.end();
    return unnamed ? policy->second.corrective_action : named;
}

void Monitor::update_fault(Guest& guest, const heartbeat::UpdateFault& action, TimePoint now, WallTime wall) {
    Fault* fault = faults_.find_open(guest.key.id(), action.kind);
    if (fault == nullptr && happened_since_it_was_closed(guest, action.kind)) {
        end_closed(guest.key.id(), action.kind);
        return open_fault(guest, {action.kind, action.detail, action.reason, action.corrective_action}, now, wall);
    }
    if (fault == nullptr) return;
    const bool new_detail = fault->detail != action.detail;
    auto corrective_action = action.corrective_action.value_or(fault->corrective_action);
    if (action.corrective_action == model::CorrectiveAction::none) corrective_action = corrective_action_for(guest);
    const bool same_action = corrective_action == fault->corrective_action;
    if (!new_detail && same_action && fault->reason == action.reason) return;
    fault->detail = action.detail;
    fault->corrective_action = corrective_action;
    fault->reason = action.reason;
    if (!new_detail && now < guest.update_allowed_at) {
        guest.untold.insert(action.kind);
        return;
    }
    guest.update_allowed_at = now + kUpdateSpacing;
    publish(*fault, wall);
}

/// What an operator has closed is a state until the guest was well; a watchdog that fires is something new.
bool Monitor::happened_since_it_was_closed(const Guest& guest, FaultKind kind) const {
    return kind == FaultKind::watchdog_fired && closed_.contains({guest.key.id(), kind});
}

void Monitor::tell_waiting_updates(Guest& guest, TimePoint now, WallTime wall) {
    if (now < guest.update_allowed_at) return;
    guest.update_allowed_at = now + kUpdateSpacing;
    for (const FaultKind kind : std::exchange(guest.untold, {})) {
        if (Fault* fault = faults_.find_open(guest.key.id(), kind)) publish(*fault, wall);
    }
}

void Monitor::clear_fault(Guest& guest, const heartbeat::ClearFault& action, TimePoint now, WallTime wall) {
    // What ends the guest's stay here, or its session, is no flapping.
    if (action.reason != kRecovered || guest.clears.take(now)) return clear_now(guest, action, wall);
    guest.withheld.push_back({action, now + kWellFor});
}

void Monitor::clear_withheld(Guest& guest, TimePoint now, WallTime wall) {
    for (const WithheldClear& withheld : guest.withheld) {
        if (now >= withheld.due) clear_now(guest, withheld.clear, wall);
    }
    std::erase_if(guest.withheld, [&](const WithheldClear& withheld) { return now >= withheld.due; });
}

void Monitor::clear_now(const Guest& guest, const heartbeat::ClearFault& action, WallTime wall) {
    end_closed(guest.key.id(), action.kind);
    Fault* fault = faults_.find_open(guest.key.id(), action.kind);
    if (fault == nullptr) return;
    gave_way_.erase(fault->id);
    fault->cleared_at = wall;
    fault->clear_reason = action.reason;
    publish(*fault, wall);
    for (const base::FaultId& dropped : faults_.trim(guest.key.id()))
        output_.fault_forgotten(dropped, true);
}

void Monitor::publish(Fault& fault, WallTime wall) {
    ++fault.revision;
    fault.updated_at = wall;
    output_.fault_changed(fault);
}

Monitor::State Monitor::state_of(const HostSession& session) {
    if (session.fault_open(FaultKind::vm_crashed)) return State::crashed;
    if (session.inhibited() || session.barred()) return State::held;
    if (session.fault_open(FaultKind::heartbeat_lost)) return State::lost;
    if (!session.registration()) return State::unregistered;
    return session.fault_open(FaultKind::unhealthy) ? State::unhealthy : State::registered;
}

std::optional<Monitor::Shown> Monitor::shown_of(const Guest& guest) const {
    const HostSession& session = guest.session;
    const Shown shown{
        state_of(session), session.inhibited(),    session.connected(Dialect::native), session.connected(Dialect::cgcs),
        guest.messaging,   has_guest_agent(guest), session.counters().responses > 0};
    const bool something_to_tell =
        has_channel(guest) || session.registration() || session.any_fault_open() || policies_.contains(guest.key.id());
    return something_to_tell ? std::optional<Shown>(shown) : std::nullopt;
}

std::string Monitor::to_string(State state) {
    switch (state) {
        case State::unregistered:
            return "unregistered";
        case State::registered:
            return "registered";
        case State::lost:
            return "lost";
        case State::unhealthy:
            return "unhealthy";
        case State::held:
            return "held";
        case State::crashed:
            return "crashed";
    }
    return "unregistered";
}

std::optional<model::GuestReport> Monitor::report(const GuestId& guest) const {
    const Guest* known = guests_.find(guest);
    if (known == nullptr || !known->shown) return std::nullopt;
    return make_report(*known);
}

model::GuestReport Monitor::make_report(const Guest& guest) const {
    const HostSession& session = guest.session;
    model::GuestReport report;
    report.guest = guest.key.id();
    report.name = guest.name;
    report.state = to_string(state_of(session));
    if (session.inhibited())
        report.hold = heartbeat::to_string(*session.inhibited());
    else if (session.barred())
        report.hold = "channel_not_connected";
    report.warning = session.warning();
    if (session.connected(Dialect::native)) report.channels.emplace_back(wire::kNativeChannel);
    if (session.connected(Dialect::cgcs)) report.channels.emplace_back(wire::kCgcsHeartbeatChannel);
    if (guest.messaging) report.channels.emplace_back(wire::kCgcsMessagingChannel);
    if (has_guest_agent(guest)) report.channels.emplace_back(wire::kGuestAgentChannel);
    if (const auto& registration = session.registration()) {
        report.interval = registration->interval;
        report.response_deadline = registration->response_deadline;
        report.registered_since = registration->since;
    }
    report.challenges = session.counters().challenges;
    report.responses = session.counters().responses;
    report.late = session.counters().late;
    report.misses = session.counters().misses;
    report.refused = guest.refused;
    report.io = guest.io;
    if (session.counters().responses > 0) {
        const auto micros = [](base::Duration time) {
            return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
        };
        report.last_round_trip_us = micros(session.round_trips().last());
        report.longest_round_trip_us = micros(session.round_trips().longest_of_the_hour(session.now()));
        const auto& counts = session.round_trips().counts();
        report.round_trips.assign(counts.begin(), counts.end());
        while (!report.round_trips.empty() && report.round_trips.back() == 0)
            report.round_trips.pop_back();
    }
    return report;
}

void Monitor::set_io(const GuestId& id, const std::optional<model::GuestIo>& io) {
    Guest* guest = guests_.find(id);
    if (guest == nullptr) return;
    // That it can be read is told before it matters: a controller does not wait for what it takes for unknown.
    const bool is_news = guest->io.has_value() != io.has_value();
    guest->io = io;
    const bool matters =
        guest->session.fault_open(FaultKind::heartbeat_lost) || guest->session.fault_open(FaultKind::not_established);
    if ((is_news || matters) && guest->shown) output_.guest_changed(id);
}

GuestActions::Standing Monitor::standing(const GuestId& guest) const {
    GuestActions::Standing standing;
    const Guest* known = guests_.find(guest);
    if (known == nullptr || !known->session.acknowledged()) return standing;
    const HostSession& session = known->session;
    const auto inhibited = session.inhibited();
    standing.registration = &*session.registration();
    standing.connected = session.connected(standing.registration->dialect);
    standing.lost = session.fault_open(FaultKind::heartbeat_lost);
    standing.runs = !inhibited || heartbeat::copies_memory(inhibited) ||
                    inhibited == heartbeat::Inhibit::shutting_down || inhibited == heartbeat::Inhibit::not_listed;
    return standing;
}

std::optional<heartbeat::Inhibit> Monitor::inhibited(const GuestId& guest) const {
    const Guest* known = guests_.find(guest);
    return known == nullptr ? std::nullopt : known->session.inhibited();
}

std::optional<base::Millis> Monitor::guest_agent_interval(const GuestId& id) const {
    const Guest* guest = guests_.find(id);
    if (guest == nullptr || !guest->session.guest_agent_due()) return std::nullopt;
    return guest->session.guest_agent_interval();
}

bool Monitor::guest_agent_in_doubt(const GuestId& id) const {
    const Guest* guest = guests_.find(id);
    return guest != nullptr && guest->session.guest_agent_in_doubt();
}

Monitor::Totals Monitor::totals() const {
    Totals totals;
    totals.unwatched = unwatched();
    for (const auto& [id, guest] : guests_) {
        if (!guest.shown) continue;
        ++totals.total;
        switch (guest.shown->state) {
            case State::unregistered:
                ++totals.unregistered;
                break;
            case State::registered:
                ++totals.registered;
                break;
            case State::lost:
                ++totals.lost;
                break;
            case State::unhealthy:
                ++totals.unhealthy;
                break;
            case State::held:
                ++totals.held;
                break;
            case State::crashed:
                ++totals.crashed;
                break;
        }
    }
    faults_.for_each([&](const Fault& fault) {
        if (!fault.open()) return;
        const std::string_view severity = model::severity(fault.kind);
        ++(severity == "critical" ? totals.critical : severity == "major" ? totals.major : totals.warning);
    });
    return totals;
}

HostSessionCounters Monitor::counters() const {
    HostSessionCounters sum = counters_of_gone_;
    for (const auto& [id, guest] : guests_)
        add(sum, guest.session.counters());
    return sum;
}

heartbeat::RoundTrips Monitor::round_trips() const {
    heartbeat::RoundTrips sum = round_trips_of_gone_;
    for (const auto& [id, guest] : guests_)
        sum.add(guest.session.round_trips());
    return sum;
}

}  // namespace vitalwire::host
