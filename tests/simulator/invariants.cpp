#include <algorithm>

#include "controller/alarms/evidence.hpp"
#include "simulation.hpp"

namespace vitalwire::simulator {

using model::FaultKind;

namespace {

constexpr Millis kWatch{250};
// The agent's grace after its start, a settled inhibition, and messages under way.
constexpr seconds kGrace{6};
constexpr Millis kSlack{300};
// What the slowest guest needs to find out that its session is gone, and to register again.
constexpr seconds kRegisterAgain{20};
// How long nothing is heard of a host until nobody is told that its guests are well; and how long both it and others
// have been seen until then.
constexpr Millis kSilent{1500};
constexpr seconds kWitness{15};
// How far an inventory may be behind.
constexpr seconds kInventoryLag{60};

std::string listed(const std::multiset<std::string>& items) {
    std::string text;
    for (const std::string& item : items)
        text += "\n    " + item;
    return text.empty() ? " nothing" : text;
}

}  // namespace

void Simulation::watch() {
    for (const auto& vm : vms_)
        check_detection(*vm);
    for (const auto& controller : controllers_)
        controller->check_acknowledged();
    world_.after(kWatch, [this] { watch(); });
}

/// A registered guest that cannot answer is reported in time, one that answers is not any longer; its health likewise.
void Simulation::check_detection(const Vm& vm) const {
    const HostNode& host = vm.host();
    const TimePoint now = world_.now();
    const Vm::Plan& plan = vm.plan();
    const Duration bound = plan.detection_time() + kSlack;
    const auto longer_than = [&](TimePoint since, Duration time) { return now > since + time; };
    // Only what has been as it is for long enough counts.
    if (!host.agent_running() || !longer_than(host.agent_undisturbed_since(), bound + kGrace)) return;
    if (!longer_than(vm.last_inhibited(), bound + kGrace)) return;
    const auto report = host.monitor().report(vm.id());
    if (!report) return;

    const std::string who = vm.id().str() + " on " + host.id().str() + " is " + report->state + " and ";
    const bool beating = report->state == "registered" || report->state == "unhealthy";
    if (vm.mute()) {
        if (!vm.excused()) return;  // it is known to be away
        // A new connection gives it one more deadline, and so does what is still on its way through a bad channel.
        if (beating && longer_than(std::max({vm.mute_since(), vm.last_connected(), vm.last_arrival_at_host()}), bound))
            world_.violated(who + "has been silent for too long");
        return;
    }
    if (!longer_than(vm.last_excused(), kRegisterAgain) || !longer_than(vm.last_mute(), kRegisterAgain)) return;
    // Nobody asks a QEMU guest agent but for the policy of a guest that the cloud names.
    const bool has_policy = named_since(vm.id(), now - kRegisterAgain) && host.known_everywhere(kRegisterAgain);
    if (plan.kind == GuestKind::guest_agent && !has_policy) return;
    if (!beating) world_.violated(who + "answers");
    if (!longer_than(vm.health_changed(), plan.interval() + kSlack)) return;
    if ((report->state == "registered") != vm.healthy()) world_.violated(who + "answers otherwise");
}

void Simulation::fault_changed(const HostNode& host, const model::Fault& fault) {
    if (&host == clone_.get()) {
        if (!found_.contains(fault.id)) said_by_clone_.insert(fault.id);
        return;
    }
    // One that is handed back was opened before.
    const bool opened = fault.open() && fault.revision == 1 && !found_.contains(fault.id);
    world_.log(host.id().str() + ": " + fault.guest.str() + " " + std::string(to_string(fault.kind)) + " " +
               fault.detail +
               (opened         ? " opened "
                : fault.open() ? " updated "
                               : " cleared (" + fault.clear_reason + ") ") +
               fault.id.str());
    if (blip_ && fault.guest == blip_->guest) (fault.open() ? blip_->found : blip_->over) = world_.now();
    if (!fault.open()) note_end(host, fault);
    if (!opened) return;
    ++result_.faults.at(static_cast<std::size_t>(fault.kind));
    found_[fault.id] = {&host, world_.now()};
    for (const auto& inspector : inspectors_)
        inspector->fault_opened(fault.id);
    check_stays_closed(host, fault);
    // What it finds out about a copy may be right.
    if (!moved_.contains({&host, fault.guest})) check_not_false(*by_id_.at(fault.guest), fault);
}

/// The first one counts: an agent may be handed the end later, or once more.
void Simulation::note_end(const HostNode& host, const model::Fault& fault) {
    if (over_.insert(fault.id).second) check_by_evidence(host, fault);
}

/// A guest that is silent, or says that it is ill, has not ended that: only what is done to its machine, or an
/// operator.
void Simulation::check_by_evidence(const HostNode& host, const model::Fault& fault) const {
    const Vm& vm = *by_id_.at(fault.guest);
    const auto found = found_.find(fault.id);
    // A controller without the agent, nor peers to ask, believes the cloud.
    const bool misled = fault.clear_reason == controller::kGuestMoved && found != found_.end() &&
                        !named_since(fault.guest, found->second.second);
    const bool decided = misled || fault.clear_reason == "disabled" || fault.clear_reason == controller::kByOperator;
    if (!vm.listens() || &vm.host() != &host || moved_.contains({&host, vm.id()}) || decided) return;
    // An agent that stood still learns of the stop when the machine runs again.
    const bool says_stopped = fault.clear_reason == to_string(heartbeat::StopReason::domain_stopped);
    if (says_stopped && found != found_.end() && found->second.second < vm.last_off()) return;
    // What it sent before may still be on its way.
    const auto for_long = [&](TimePoint since) { return since + kGrace < world_.now(); };
    const bool silent = fault.kind == FaultKind::heartbeat_lost && vm.mute() && for_long(vm.mute_since());
    // One that was ill before it was stopped, and is again, has ended it by the stop.
    const bool ill =
        fault.kind == FaultKind::unhealthy && !vm.healthy() && for_long(std::max(vm.health_changed(), vm.last_mute()));
    if (silent || ill)
        world_.violated(vm.id().str() + ": " + std::string(to_string(fault.kind)) + " ends (" + fault.clear_reason +
                        ") without evidence");
}

/// What its agent has not ended is not over because that agent, which has lost its state, has found it once more.
void Simulation::check_not_superseded(const Inspector& inspector, const controller::AlarmEvent& event) const {
    const bool superseded = event.alarm.clear_reason == controller::kSuperseded;
    if (!superseded || over_.contains(event.alarm.id) || any_of_release_before()) return;
    world_.violated(inspector.name() + " is told that " + event.alarm.guest.str() + " " + event.alarm.kind +
                    " is superseded, which is open");
}

/// A host that no longer has the guest, and reports about its copy, is not listened to.
void Simulation::check_owner(const Inspector& inspector, const controller::AlarmEvent& event) const {
    const auto found = found_.find(event.alarm.id);
    if (event.change == controller::AlarmChange::cleared || found == found_.end()) return;
    const auto& [host, time] = found->second;
    const auto moved = moved_.find({host, event.alarm.guest});
    if (moved == moved_.end() || time < moved->second + kInventoryLag) return;
    world_.violated(inspector.name() + " is told what " + host->id().str() + " finds out about its old copy of " +
                    event.alarm.guest.str());
}

/// No false alarm: the guest did what it is reported for, lately.
void Simulation::check_not_false(const Vm& vm, const model::Fault& fault) const {
    const Vm::Plan& plan = vm.plan();
    const Duration window = plan.detection_time() + kGrace;
    const auto lately = [&](TimePoint time) { return time + window >= world_.now(); };
    const auto within = [&](TimePoint time, Duration span) { return time + span >= world_.now(); };
    bool right = false;
    switch (fault.kind) {
        case FaultKind::heartbeat_lost:
            // An exit that was on its way when the agent restarted has not arrived.
            right = lately(vm.last_excused()) ||
                    (lately(vm.last_mute()) && vm.host().agent_undisturbed_since() > vm.mute_since());
            break;
        case FaultKind::unhealthy:
            right = lately(vm.last_unhealthy());
            break;
        case FaultKind::not_established:
            right = within(std::max(vm.last_mute(), vm.last_excused()), kRegisterAgain);
            break;
        case FaultKind::vm_crashed:
            right = vm.last_crash() + kGrace >= vm.host().agent_knew_until() || vm.power() == Vm::Power::crashed;
            break;
        case FaultKind::stopped_by_host:
        case FaultKind::watchdog_fired:
            break;  // no VM here does that
    }
    if (!right)
        world_.violated("false alarm: " + vm.id().str() + " " + std::string(to_string(fault.kind)) + " " +
                        fault.detail);
}

/// Of a guest that has been silent ever since, at the agent that was told and has kept its state.
void Simulation::check_stays_closed(const HostNode& host, const model::Fault& fault) const {
    const auto guest = closed_.find(fault.guest);
    if (guest == closed_.end() || fault.kind != FaultKind::heartbeat_lost) return;
    const auto closed = guest->second.find(fault.kind);
    const Vm& vm = *by_id_.at(fault.guest);
    if (closed == guest->second.end() || &vm.host() != &host || moved_.contains({&host, fault.guest})) return;
    const bool silent_since = vm.mute() && vm.mute_since() < closed->second;
    if (silent_since && host.state_in_doubt() < closed->second)
        world_.violated(vm.id().str() + ": heartbeat_lost returns though an operator has closed it");
}

bool Simulation::closed_since(const base::GuestId& guest, TimePoint time) const {
    const auto closed = closed_.find(guest);
    return closed != closed_.end() && std::any_of(closed->second.begin(), closed->second.end(),
                                                  [&](const auto& item) { return item.second >= time; });
}

bool Simulation::named_since(const base::GuestId& guest, TimePoint time) const {
    const auto wrong = said_wrongly_.find(guest);
    const bool lately = wrong != said_wrongly_.end() && wrong->second + seconds(1) >= time;
    const bool behind = behind_ > 0 || behind_until_ + seconds(1) >= time;
    return !lately && !behind && !misplaced_.contains(guest) && !unnamed_.contains(guest);
}

bool Simulation::owned_since(const model::Fault& fault) const {
    const auto found = found_.find(fault.id);
    if (found == found_.end()) return false;
    const auto& [host, time] = found->second;
    return named_since(fault.guest, time) && !moved_.contains({host, fault.guest});
}

/// What is acknowledged to an agent has arrived at every inspector, unless it was over and no longer worth it.
void Simulation::fault_delivered(const model::Fault& fault, std::uint64_t revision) {
    const bool clear_too = !fault.open() && revision == fault.revision;
    if (clear_too && backlog_ == kShortBacklog) return;
    // A host that no longer owns the guest when its report arrives is not listened to.
    if (clear_too && (fault.clear_reason == "migrated" || !owned_since(fault))) return;
    for (const auto& inspector : inspectors_) {
        if (inspector.get() == holding_.inspector) continue;  // of what was over before its hold-off it is told nothing
        const auto found = inspector->received().find(fault.id);
        const bool received = found != inspector->received().end() && (!clear_too || found->second.cleared);
        if (!received)
            world_.violated(inspector->name() + " never received " + fault.id.str() + ", which is acknowledged");
    }
}

/// The alarms that are right now: what the agents report, who are checked against the VMs.
std::multiset<std::string> Simulation::truth() const {
    std::multiset<std::string> open;
    for (const auto& host : hosts_) {
        host->monitor().faults().for_each([&](const model::Fault& fault) {
            const std::string name = fault.guest.str() + " " + std::string(to_string(fault.kind));
            if (!fault.open()) world_.violated(host->id().str() + " still keeps " + name + ", which is over");
            if (fault.delivered < fault.revision) world_.violated(name + " is not confirmed");
            open.insert(name);
        });
    }
    for (const auto& vm : vms_) {
        const std::string name = vm->id().str();
        const bool reported = open.contains(name + " heartbeat_lost") || open.contains(name + " not_established") ||
                              open.contains(name + " vm_crashed");
        const bool monitored = vm->plan().policy.heartbeat;
        if (vm->mute() && vm->listens() && monitored && !reported && !closed_since(vm->id(), vm->mute_since()))
            world_.violated(name + " hangs unnoticed");
        if (vm->power() == Vm::Power::crashed && monitored && !open.contains(name + " vm_crashed") &&
            !closed_since(vm->id(), vm->last_crash()))
            world_.violated(name + " crashed unnoticed");
        if (!vm->mute() && reported) world_.violated(name + " is still reported");
    }
    return open;
}

void Simulation::check_agreement() const {
    const auto open = truth();
    for (const auto& inspector : inspectors_) {
        const auto seen = inspector->open_alarms();
        if (seen != open)
            world_.violated(inspector->name() + " shows" + listed(seen) + "\n  instead of" + listed(open));
    }
    for (const auto& controller : controllers_) {
        std::multiset<std::string> tracked;
        for (const auto& [id, entry] : controller->fault_table().all()) {
            const std::string name = entry.fault.guest.str() + " " + std::string(to_string(entry.fault.kind));
            tracked.insert(entry.fault.open() ? name : name + ", which is over (" + id.str() + ")");
        }
        if (tracked != open)
            world_.violated(controller->name() + " has tracked" + listed(tracked) + "\n  instead of" + listed(open));
    }
}

std::string Simulation::state_as_it_is(const Vm& vm) const {
    const auto report = vm.host().monitor().report(vm.id());
    const std::string state = report ? report->state : "";
    const std::string heartbeat = state == "registered"                   ? "healthy"
                                  : state == "unhealthy"                  ? "unhealthy"
                                  : state == "lost" || state == "crashed" ? "lost"
                                                                          : "unmonitored";
    return vm.id().str() + " on " + vm.host().name() + (long_names_ ? kDomain : "") + " active " + heartbeat;
}

/// A member that reads knows its peers as they are. Nobody tells it who left while no controller was there, or when it
/// is in another group itself: that it learns when it asks.
void Simulation::check_states(const Vm& vm) const {
    const GroupMember* member = vm.member();
    const base::GroupId group = groups_.group_of(vm.id());
    if (member == nullptr || vm.mute() || !vm.plan().policy.messaging || group.empty()) return;
    if (!member->knows()) world_.violated(vm.id().str() + " has no answer about its group");
    if (!member->settled()) return;
    const bool asked = calm_ && member->asked_at() > calm_since_ + kGrace;
    std::multiset<std::string> right;
    for (const auto& peer : vms_) {
        if (groups_.group_of(peer->id()) == group && peer->id() != vm.id()) right.insert(state_as_it_is(*peer));
    }
    std::multiset<std::string> known;
    for (const auto& [id, state] : member->states()) {
        const bool left = groups_.group_of(base::GuestId(id)) != group;
        if (id == vm.id().str() || (left && !asked)) continue;
        known.insert(id + " on " + state.host.value_or("nowhere") + " " + state.state + " " +
                     state.heartbeat.value_or("unknown"));
    }
    if (known != right)
        world_.violated(vm.id().str() + " knows of its group" + listed(known) + "\n  instead of" + listed(right));
}

/// A guest is not called healthy when nothing has been heard of its host for a while, and of others has.
void Simulation::check_not_silent(const GroupMember& member, const wire::MemberState& state) const {
    const TimePoint now = world_.now();
    const HostNode& host = by_id_.at(base::GuestId(state.instance_id))->host();
    const HostNode& asker = by_id_.at(member.guest())->host();
    if (!keep_alive_ || state.heartbeat != "healthy" || &host == &asker || host.cut_off_since() + kSilent > now) return;
    // Who came back lately is no witness, nor does a controller judge that has itself just come back.
    const TimePoint settled = now - kWitness;
    const bool watched = std::all_of(controllers_.begin(), controllers_.end(),
                                     [&](const auto& controller) { return controller->undisturbed_since() < settled; });
    if (!watched || asker.connected_since() > settled || host.disturbed_before_cut(kWitness)) return;
    if (state.host != host.name() && state.host != host.name() + kDomain) return;  // rebuilt elsewhere by now
    world_.violated(member.guest().str() + " is answered that " + state.instance_id + " on " + host.name() +
                    ", which is silent, is healthy");
}

void Simulation::check_states() const {
    for (const auto& vm : vms_)
        check_states(*vm);
}

}  // namespace vitalwire::simulator
