#include <utility>

#include "simulation.hpp"

namespace vitalwire::simulator {

using heartbeat::CrashReason;
using heartbeat::Inhibit;
using heartbeat::StopReason;

namespace {

using Power = GuestMachine::Power;

constexpr Millis kQuickBoot{3000};
constexpr Millis kSlowBoot{15'000};
constexpr seconds kEndlessBoot{45};  // beyond the time a guest has to register

}  // namespace

/// Each part of the cloud fails at its own pace; the more guests, the more of them at once.
void Simulation::schedule_troubles() {
    const auto guests = static_cast<Duration::rep>(size_.guests);
    schedule(Duration(seconds(40)) / guests, &Simulation::trouble_in_guest);
    schedule(Duration(seconds(60)) / guests, &Simulation::trouble_with_machine);
    schedule(seconds(25), &Simulation::trouble_with_agent);
    schedule(seconds(25), &Simulation::trouble_with_controller);
    schedule(seconds(20), &Simulation::trouble_on_network);
    schedule(seconds(30), &Simulation::trouble_with_inspector);
}

void Simulation::schedule(Duration mean, void (Simulation::*trouble)()) {
    world_.after(world_.exponential(mean), [this, mean, trouble] {
        if (calm_) return;
        ++troubles_;
        (this->*trouble)();
        schedule(mean, trouble);
    });
}

void Simulation::trouble_in_guest() {
    GuestMachine& machine = *world_.pick(machines_);
    const std::string who = machine.id().str();
    const Duration time = world_.exponential(seconds(8));
    switch (world_.below(5)) {
        case 0:
            world_.tell(who + " hangs");
            machine.hang();
            return world_.after(time, [&machine] { machine.wake(); });
        case 1:
            world_.tell(who + " is unhealthy");
            machine.set_healthy(false);
            return world_.after(time, [&machine] { machine.set_healthy(true); });
        case 2:
            world_.tell(who + " has a bad channel");
            machine.set_noise(0.3, world_.between({}, seconds(2)));
            return world_.after(time, [&machine] { machine.set_noise(0, {}); });
        case 3:
            world_.tell(who + ": daemon is killed");
            machine.stop_daemon(false);
            return world_.after(time, [&machine] { machine.start_daemon(); });
        default:
            if (!machine.listens() || machine.power() == Power::paused) return;
            world_.tell(who + ": daemon stops in order");
            machine.stop_daemon(true);
            return world_.after(time, [&machine] { machine.start_daemon(); });
    }
}

void Simulation::trouble_with_machine() {
    GuestMachine& machine = *world_.pick(machines_);
    if (!busy_.insert(&machine).second) return;
    switch (world_.below(8)) {
        case 0:
            return pause(machine);
        case 1:
            return reboot(machine);
        case 2:
            return crash(machine);
        case 3:
            return kill(machine);
        case 4:
        case 5:
            return migrate(machine);
        case 6:
            return stop_and_start(machine);
        default:
            world_.tell(machine.id().str() + ": channel breaks");
            machine.host().flap_channel(machine);
            return free_later(machine);
    }
}

void Simulation::free_later(GuestMachine& machine) {
    world_.after(seconds(1), [this, &machine] { busy_.erase(&machine); });
}

void Simulation::start_machine(GuestMachine& machine) {
    world_.tell(machine.id().str() + " starts");
    machine.boot(world_.between(kQuickBoot, kSlowBoot));
    machine.host().tell_machine(machine, heartbeat::Started{});
    machine.host().channel_appeared(machine);
}

void Simulation::pause(GuestMachine& machine) {
    static constexpr Inhibit kHolds[] = {Inhibit::paused, Inhibit::suspended, Inhibit::saving};
    world_.tell(machine.id().str() + " is paused");
    machine.set_held(true);
    machine.pause();
    machine.host().tell_machine(machine, heartbeat::Inhibited{world_.pick(kHolds)});
    world_.after(world_.exponential(seconds(10)), [this, &machine] {
        world_.tell(machine.id().str() + " goes on");
        machine.unpause();
        machine.set_held(false);
        machine.host().tell_machine(machine, heartbeat::Released{});
        free_later(machine);
    });
}

void Simulation::reboot(GuestMachine& machine) {
    world_.tell(machine.id().str() + " reboots");
    machine.stop_daemon(false);
    machine.host().tell_machine(machine, heartbeat::Rebooted{});
    machine.boot(world_.chance(0.2) ? Duration(kEndlessBoot) : world_.between(kQuickBoot, kSlowBoot));
    free_later(machine);
}

void Simulation::crash(GuestMachine& machine) {
    world_.tell(machine.id().str() + " panics");
    machine.power_off(Power::crashed);
    machine.host().tell_machine(machine, heartbeat::Crashed{CrashReason::panicked});
    machine.host().channel_closed(machine);
    world_.after(world_.exponential(seconds(20)), [this, &machine] {
        start_machine(machine);
        free_later(machine);
    });
}

void Simulation::kill(GuestMachine& machine) {
    world_.tell(machine.id().str() + ": QEMU is killed");
    machine.power_off(Power::crashed);
    machine.host().channel_closed(machine);
    world_.after(world_.between({}, Millis(200)),
                 [&machine] { machine.host().tell_machine(machine, heartbeat::Crashed{CrashReason::failed}); });
    world_.after(seconds(1) + world_.exponential(seconds(20)), [this, &machine] {
        start_machine(machine);
        free_later(machine);
    });
}

void Simulation::stop_and_start(GuestMachine& machine) {
    world_.tell(machine.id().str() + " is shut down");
    machine.set_held(true);
    machine.host().tell_machine(machine, heartbeat::Inhibited{Inhibit::shutting_down});
    world_.after(world_.between(seconds(1), seconds(8)), [this, &machine] {
        machine.power_off(Power::off);
        machine.set_held(false);
        machine.host().channel_closed(machine);
        machine.host().tell_machine(machine, heartbeat::Stopped{StopReason::domain_stopped});
        world_.after(world_.exponential(seconds(15)), [this, &machine] {
            start_machine(machine);
            free_later(machine);
        });
    });
}

void Simulation::migrate(GuestMachine& machine) {
    HostNode& source = machine.host();
    HostNode& target = *world_.pick(hosts_);
    if (&source == &target || machine.power() != Power::running) return free_later(machine);
    world_.tell(machine.id().str() + " migrates to " + target.id().str());
    machine.set_held(true);
    source.tell_machine(machine, heartbeat::Inhibited{Inhibit::migrating});
    world_.after(world_.between(seconds(1), seconds(10)), [this, &machine, &source, &target] {
        machine.pause();
        machine.host_disconnected();
        source.channel_closed(machine);
        source.tell_gone(machine, StopReason::migrated);
        source.remove(machine);
        target.add(machine);
        world_.after(world_.between(Millis(30), Millis(800)), [this, &machine, &source, &target] {
            world_.tell(machine.id().str() + " has arrived");
            machine.unpause();
            machine.set_held(false);
            target.tell_machine(machine, heartbeat::Started{});
            target.channel_appeared(machine);
            inventory_changed();
            free_later(machine);
        });
    });
}

void Simulation::trouble_with_agent() {
    HostNode& host = *world_.pick(hosts_);
    if (world_.chance(0.5)) return host.stall_agent(world_.exponential(seconds(2)));
    host.stop_agent(world_.chance(0.5));
    world_.after(world_.exponential(seconds(3)), [&host] { host.start_agent(); });
}

void Simulation::trouble_with_controller() {
    ControllerNode& controller = *world_.pick(controllers_);
    if (world_.chance(0.3)) return controller.stall(world_.exponential(seconds(3)));
    controller.stop(world_.chance(0.5));
    world_.after(world_.exponential(seconds(8)), [&controller] { controller.start(); });
}

void Simulation::trouble_on_network() {
    const Duration time = world_.exponential(seconds(10));
    if (world_.chance(0.3)) {
        ControllerNode& controller = *world_.pick(controllers_);
        world_.tell(controller.name() + " cannot reach the inspectors");
        controller.cut_off_inspectors(true);
        return world_.after(time, [&controller] { controller.cut_off_inspectors(false); });
    }
    Cable& cable = *world_.pick(cables_);
    world_.tell("between " + cable.name() + ": cut");
    cable.cut();
    world_.after(time, [this, &cable] {
        world_.tell("between " + cable.name() + ": healed");
        cable.heal();
    });
}

void Simulation::trouble_with_inspector() {
    Inspector& inspector = *world_.pick(inspectors_);
    const Duration time = world_.exponential(seconds(12));
    if (world_.chance(0.5)) {
        world_.tell(inspector.name() + " is away");
        inspector.set_away(true);
        return world_.after(time, [&inspector] { inspector.set_away(false); });
    }
    world_.tell(inspector.name() + " is unreliable");
    inspector.set_unreliable(true);
    world_.after(time, [&inspector] { inspector.set_unreliable(false); });
}

/// All troubles end; only some guests stay as they are, so that there is something to agree on.
void Simulation::repair_everything() {
    world_.tell("calm");
    for (const auto& cable : cables_)
        cable->heal();
    for (const auto& controller : controllers_) {
        controller->start();
        controller->cut_off_inspectors(false);
    }
    for (const auto& inspector : inspectors_) {
        inspector->set_away(false);
        inspector->set_unreliable(false);
    }
    for (const auto& host : hosts_)
        host->start_agent();
    for (const auto& machine : machines_)
        machine->set_noise(0, {});
    // Those that recovered by then hang or fall ill for good.
    world_.after(seconds(30), [this] {
        for (const auto& machine : machines_) {
            if (busy_.contains(machine.get()) || !world_.chance(0.2)) continue;
            if (world_.chance(0.5)) {
                machine->hang();
            } else {
                machine->set_healthy(false);
            }
        }
    });
}

}  // namespace vitalwire::simulator
