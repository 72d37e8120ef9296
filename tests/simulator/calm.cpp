#include <algorithm>
#include <vector>

#include "controller/alarms/evidence.hpp"
#include "simulation.hpp"

namespace vitalwire::simulator {

namespace {

// Of a guest with the longest times; the fault is over well within the shortest hold-off then.
constexpr seconds kFound{10};
constexpr seconds kOver{3};
// Two ways of a message, and a turn of each loop.
constexpr Millis kTold{100};
constexpr std::size_t kBlips = 2;
// Of a fault that ends just before its hold-off does, a new primary does not know whether the old one has sent it.
constexpr seconds kReceivedApart{1};

model::Fault as_fault(const controller::Alarm& alarm) {
    model::Fault fault;
    fault.id = alarm.id;
    fault.guest = alarm.guest;
    fault.kind = model::parse_fault_kind(alarm.kind).value_or(fault.kind);
    fault.clear_reason = alarm.clear_reason;
    return fault;
}

}  // namespace

/// While nothing is wrong with anybody else, a guest hangs and goes on: every inspector is notified of that at once,
/// and once; who is told only of what lasts is not.
void Simulation::blip() {
    std::vector<Vm*> answering;
    for (const auto& vm : vms_) {
        const auto report = vm->host().monitor().report(vm->id());
        // A QEMU guest agent is found out after longer than what a hold-off is to hide.
        const bool quick = vm->plan().kind != GuestKind::guest_agent;
        if (quick && report && report->state == "registered" && !busy_.contains(vm.get()))
            answering.push_back(vm.get());
    }
    for (std::size_t i = 0; i < kBlips && !answering.empty(); ++i)
        blip(*world_.pick(answering));
}

void Simulation::blip(Vm& vm) {
    blip_ = Blip{vm.id(), {}, {}, {}};
    world_.log(vm.id().str() + " hangs for a moment");
    vm.hang();
    for (const TimePoint end = world_.now() + kFound; !blip_->found && world_.now() < end;)
        world_.run_for(Millis(10));
    if (!blip_->found) world_.violated(vm.id().str() + " hangs for a moment, which nobody finds");
    vm.wake();
    world_.run_for(kOver);
    if (!blip_->over) world_.violated(vm.id().str() + " goes on, and is still reported");
    world_.run_for(holding_.hold_off);
    for (const auto& inspector : inspectors_)
        check_told(*inspector);
    blip_.reset();
}

void Simulation::check_told(const Inspector& inspector) const {
    const auto all = blip_->told.find(&inspector);
    const std::vector<Blip::Told> told = all == blip_->told.end() ? std::vector<Blip::Told>() : all->second;
    const std::string who = inspector.name() + ", of " + blip_->guest.str() + ", which hung for a moment, ";
    if (&inspector == holding_.inspector) {
        if (!told.empty()) world_.violated(who + "is told before its hold-off is over");
        return;
    }
    if (told.size() != 2 || told[0].change != controller::AlarmChange::opened ||
        told[1].change != controller::AlarmChange::cleared)
        world_.violated(who + "is sent " + std::to_string(told.size()) + " events instead of a raise and a clear");
    if (told[0].at > *blip_->found + kTold || told[1].at > *blip_->over + kTold)
        world_.violated(who + "is told too late");
}

void Simulation::note_told(const Inspector& inspector, const controller::AlarmEvent& event) {
    const auto found = found_.find(event.alarm.id);
    // Nobody knows how long a fault lasted that is over, and during which its agent's clock was set; nor does a
    // controller, after a restart, when its own was set since it received the fault.
    const auto unknown = [&] {
        const TimePoint since = found->second.second;
        const bool agents = over_.contains(event.alarm.id) && found->second.first->clock_set_at() > since;
        return agents || std::any_of(controllers_.begin(), controllers_.end(), [&](const auto& controller) {
                   return controller->clock_set_before_start() > since;
               });
    };
    const bool held = &inspector == holding_.inspector && event.change != controller::AlarmChange::cleared;
    if (held && found != found_.end() && world_.now() + kReceivedApart < found->second.second + holding_.hold_off &&
        !unknown())
        world_.violated(inspector.name() + " is told of " + event.alarm.guest.str() + " before its hold-off is over");
    // What the cloud says is believed by a controller without the agent.
    const std::string& why = event.alarm.clear_reason;
    const bool ends = event.change == controller::AlarmChange::cleared && why != controller::kSuperseded &&
                      !controller::is_evidence(why);
    if (ends && found != found_.end()) note_end(*found->second.first, as_fault(event.alarm));
    const bool known_already = event.change == controller::AlarmChange::updated;
    if (blip_ && event.alarm.guest == blip_->guest && !known_already)
        blip_->told[&inspector].push_back({world_.now(), event.change});
}

}  // namespace vitalwire::simulator
