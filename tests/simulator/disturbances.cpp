#include <algorithm>
#include <utility>

#include "simulation.hpp"

namespace vitalwire::simulator {

using heartbeat::CrashReason;
using heartbeat::Inhibit;
using heartbeat::StopReason;

namespace {

using Power = Vm::Power;

constexpr Millis kQuickBoot{3000};
constexpr Millis kSlowBoot{15'000};
constexpr seconds kEndlessBoot{45};  // beyond the time a guest has to register
// How long an agent may be away without being taken for gone, less what it takes to connect.
constexpr seconds kShortAbsence{3};

}  // namespace

/// Each part of the cloud fails at its own pace; the more guests, the more of them at once.
void Simulation::schedule_disturbances() {
    const auto guests = static_cast<Duration::rep>(size_.guests);
    schedule(Duration(seconds(40)) / guests, &Simulation::disturb_guest);
    schedule(Duration(seconds(60)) / guests, &Simulation::disturb_vm);
    schedule(seconds(25), &Simulation::disturb_agent);
    schedule(seconds(25), &Simulation::disturb_controller);
    schedule(seconds(20), &Simulation::disturb_network);
    schedule(seconds(30), &Simulation::disturb_broker);
    schedule(seconds(30), &Simulation::disturb_inspector);
    schedule(seconds(40), &Simulation::disturb_inventory);
    schedule(seconds(40), &Simulation::disturb_clock);
    schedule(seconds(40), &Simulation::disturb_releases);
    schedule(seconds(60), &Simulation::evacuate);
    schedule(seconds(60), &Simulation::close_a_fault);
    schedule(seconds(60), &Simulation::clone_a_host);
}

void Simulation::schedule(Duration mean, void (Simulation::*disturb)()) {
    world_.after(world_.exponential(mean), [this, mean, disturb] {
        if (calm_) return;
        ++result_.disturbances;
        (this->*disturb)();
        schedule(mean, disturb);
    });
}

void Simulation::disturb_guest() {
    Vm& vm = *world_.pick(vms_);
    const std::string who = vm.id().str();
    const Duration time = world_.exponential(seconds(8));
    switch (world_.below(5)) {
        case 0:
            world_.log(who + " hangs");
            vm.hang();
            return world_.after(time, [&vm] { vm.wake(); });
        case 1:
            world_.log(who + " is unhealthy");
            vm.set_healthy(false);
            return world_.after(time, [&vm] { vm.set_healthy(true); });
        case 2:
            world_.log(who + " has a bad channel");
            vm.set_noise(0.3, world_.between({}, seconds(2)));
            return world_.after(time, [&vm] { vm.set_noise(0, {}); });
        case 3:
            world_.log(who + ": daemon is killed");
            vm.stop_daemon(false);
            return world_.after(time, [&vm] { vm.start_daemon(); });
        default:
            if (!vm.listens() || vm.power() == Power::paused) return;
            world_.log(who + ": daemon stops in order");
            vm.stop_daemon(true);
            return world_.after(time, [&vm] { vm.start_daemon(); });
    }
}

void Simulation::disturb_vm() {
    Vm& vm = *world_.pick(vms_);
    if (!busy_.insert(&vm).second) return;
    switch (world_.below(8)) {
        case 0:
            return pause(vm);
        case 1:
            return reboot(vm);
        case 2:
            return crash(vm);
        case 3:
            return kill(vm);
        case 4:
        case 5:
            return migrate(vm);
        case 6:
            return stop_and_start(vm);
        default:
            world_.log(vm.id().str() + ": channel breaks");
            vm.host().flap_channel(vm);
            return free_later(vm);
    }
}

void Simulation::free_later(Vm& vm) {
    world_.after(seconds(1), [this, &vm] { busy_.erase(&vm); });
}

void Simulation::start_vm(Vm& vm) {
    world_.log(vm.id().str() + " starts" + std::string(words_of(vm.plan().kind)));
    vm.boot(world_.between(kQuickBoot, kSlowBoot));
    vm.host().hypervisor_event(vm, heartbeat::Started{});
    vm.host().channel_appeared(vm);
}

void Simulation::pause(Vm& vm) {
    static constexpr Inhibit kInhibits[] = {Inhibit::paused, Inhibit::suspended, Inhibit::saving};
    world_.log(vm.id().str() + " is paused");
    vm.set_inhibited(true);
    vm.pause();
    vm.host().hypervisor_event(vm, heartbeat::Inhibited{world_.pick(kInhibits)});
    world_.after(world_.exponential(seconds(10)), [this, &vm] {
        world_.log(vm.id().str() + " goes on");
        vm.unpause();
        vm.set_inhibited(false);
        vm.host().hypervisor_event(vm, heartbeat::Released{});
        free_later(vm);
    });
}

void Simulation::reboot(Vm& vm) {
    world_.log(vm.id().str() + " reboots");
    vm.stop_daemon(false);
    vm.host().hypervisor_event(vm, heartbeat::Rebooted{});
    vm.boot(world_.chance(0.2) ? Duration(kEndlessBoot) : world_.between(kQuickBoot, kSlowBoot));
    free_later(vm);
}

void Simulation::crash(Vm& vm) {
    world_.log(vm.id().str() + " panics");
    vm.power_off(Power::crashed);
    vm.host().hypervisor_event(vm, heartbeat::Crashed{CrashReason::panicked});
    vm.host().channel_closed(vm);
    world_.after(world_.exponential(seconds(20)), [this, &vm] {
        start_vm(vm);
        free_later(vm);
    });
}

void Simulation::kill(Vm& vm) {
    world_.log(vm.id().str() + ": QEMU is killed");
    vm.power_off(Power::crashed);
    vm.host().channel_closed(vm);
    world_.after(world_.between({}, Millis(200)),
                 [&vm] { vm.host().hypervisor_event(vm, heartbeat::Crashed{CrashReason::failed}); });
    world_.after(seconds(1) + world_.exponential(seconds(20)), [this, &vm] {
        start_vm(vm);
        free_later(vm);
    });
}

void Simulation::stop_and_start(Vm& vm) {
    world_.log(vm.id().str() + " is shut down");
    vm.set_inhibited(true);
    vm.host().hypervisor_event(vm, heartbeat::Inhibited{Inhibit::shutting_down});
    world_.after(world_.between(seconds(1), seconds(8)), [this, &vm] {
        vm.power_off(Power::off);
        vm.set_inhibited(false);
        vm.host().channel_closed(vm);
        vm.host().hypervisor_event(vm, heartbeat::Stopped{StopReason::domain_stopped});
        world_.after(world_.exponential(seconds(15)), [this, &vm] {
            start_vm(vm);
            free_later(vm);
        });
    });
}

void Simulation::migrate(Vm& vm) {
    HostNode& source = vm.host();
    HostNode& target = *world_.pick(hosts_);
    if (&source == &target || evacuated_.contains(&target) || vm.power() != Power::running) return free_later(vm);
    world_.log(vm.id().str() + " migrates to " + target.id().str());
    vm.set_inhibited(true);
    source.hypervisor_event(vm, heartbeat::Inhibited{Inhibit::migrating});
    world_.after(world_.between(seconds(1), seconds(10)), [this, &vm, &source, &target] {
        vm.pause();
        vm.host_disconnected();
        source.channel_closed(vm);
        source.hypervisor_gone(vm, StopReason::migrated);
        source.remove(vm);
        target.add(vm);
        moved_.erase({&target, vm.id()});
        world_.after(world_.between(Millis(30), Millis(800)), [this, &vm, &source, &target] {
            world_.log(vm.id().str() + " has arrived");
            vm.unpause();
            vm.set_inhibited(false);
            target.hypervisor_event(vm, heartbeat::Started{});
            target.channel_appeared(vm);
            inventory_changed();
            free_later(vm);
        });
    });
}

void Simulation::disturb_agent() {
    HostNode& host = *world_.pick(hosts_);
    if (world_.chance(0.5)) {
        const Duration time = world_.exponential(seconds(2));
        if (time > kShortAbsence) end_clone_of(host);
        return host.stall_agent(time);
    }
    if (world_.chance(0.2)) host.copy_state();
    if (!evacuated_.contains(&host)) restart_agent(host);
}

/// With its state, as a rule, and by the same name.
void Simulation::restart_agent(HostNode& host) {
    const bool killed = world_.chance(0.5);
    const Duration away = world_.exponential(seconds(3));
    const std::size_t change = world_.below(8);
    // What it may lose makes it as strange as its clone.
    if (killed || away > kShortAbsence || change < 3) end_clone_of(host);
    host.stop_agent(killed);
    world_.after(away, [this, &host, change] {
        if (host.agent_running() || evacuated_.contains(&host)) return;
        switch (change) {
            case 0:
                host.lose_state();
                break;
            case 1:
                host.restore_state();
                break;
            case 2:
                host.rename(host.id().str() == host.name() ? host.name() + kDomain : host.name());
                break;
            default:
                break;
        }
        host.start_agent();
    });
}

/// A machine with a copy of a host's disk claims to be that host, as long as that is there itself.
void Simulation::clone_a_host() {
    const HostNode& host = *world_.pick(hosts_);
    if (cloned_ != nullptr || !host.known_everywhere(seconds(1)) || any_of_release_before()) return;
    world_.log(host.id().str() + ": a clone of it starts");
    cloned_ = &host;
    clone_->clone(host);
    clone_->start_agent();
    world_.after(world_.exponential(seconds(20)), [this] { end_clone(); });
}

void Simulation::end_clone() {
    if (std::exchange(cloned_, nullptr) != nullptr) clone_->stop_agent(true);
}

void Simulation::end_clone_of(const HostNode& host) {
    if (cloned_ == &host) end_clone();
}

/// A host is given up: its guests are started elsewhere, while it is dead, or nobody knows how it is. Then it comes
/// back, without its guests or with them, and has to learn that they are no longer its own.
void Simulation::evacuate() {
    HostNode& host = *world_.pick(hosts_);
    std::vector<Vm*> vms;
    for (const auto& [id, vm] : host.vms())
        vms.push_back(vm);
    const bool busy = std::any_of(vms.begin(), vms.end(), [this](const Vm* vm) { return busy_.contains(vm); });
    const bool may_be = !busy && !vms.empty() && host.release() != Release::other_version;
    if (!may_be || evacuated_.size() + 1 >= hosts_.size() || !evacuated_.insert(&host).second) return;
    busy_.insert(vms.begin(), vms.end());
    end_clone_of(host);
    host.cut_off();
    const bool dead = world_.chance(0.4);
    world_.log(host.id().str() + (dead ? " loses power" : " is cut off"));
    if (dead) {
        host.stop_agent(true);
        for (Vm* vm : vms)
            vm->power_off(Power::off);
    }
    world_.after(world_.between(seconds(3), seconds(20)), [this, &host, vms, dead] {
        rebuild_elsewhere(host, vms);
        if (dead) {
            for (Vm* vm : vms)
                host.remove(*vm);
        }
        world_.after(world_.between(seconds(1), seconds(30)), [this, &host, vms, dead] {
            come_back(host, dead ? std::vector<Vm*>() : vms, world_.chance(0.5));
        });
    });
}

void Simulation::rebuild_elsewhere(HostNode& host, const std::vector<Vm*>& vms) {
    for (Vm* vm : vms) {
        HostNode* target = &host;
        while (evacuated_.contains(target))
            target = world_.pick(hosts_).get();
        const auto at = std::find_if(vms_.begin(), vms_.end(), [&](const auto& each) { return each.get() == vm; });
        copies_.push_back(std::exchange(*at, std::make_unique<Vm>(world_, vm->plan(), groups_)));
        Vm& rebuilt = **at;
        by_id_[rebuilt.id()] = &rebuilt;
        moved_[{&host, rebuilt.id()}] = world_.now();
        moved_.erase({target, rebuilt.id()});
        target->add(rebuilt);
        world_.log(rebuilt.id().str() + " is rebuilt on " + target->id().str());
        start_vm(rebuilt);
    }
    inventory_changed();
}

void Simulation::come_back(HostNode& host, const std::vector<Vm*>& copies, bool still_running) {
    world_.log(host.id().str() + " is back" +
               (copies.empty()  ? ""
                : still_running ? " and runs its old guests"
                                : ", its old guests are dead"));
    for (Vm* copy : copies) {
        if (still_running) continue;
        copy->power_off(Power::crashed);
        host.channel_closed(*copy);
        host.hypervisor_event(*copy, heartbeat::Crashed{CrashReason::failed});
    }
    host.heal();
    host.start_agent();
    // Nova removes what it finds there.
    world_.after(world_.between(seconds(2), seconds(15)), [this, &host, copies] {
        for (Vm* copy : copies) {
            world_.log(copy->id().str() + ": its old copy is removed");
            copy->power_off(Power::off);
            host.channel_closed(*copy);
            host.hypervisor_gone(*copy, StopReason::domain_stopped);
            if (host.vms().contains(copy->id()) && host.vms().at(copy->id()) == copy) host.remove(*copy);
        }
        evacuated_.erase(&host);
    });
}

void Simulation::disturb_controller() {
    ControllerNode& controller = *world_.pick(controllers_);
    if (world_.chance(0.3)) return controller.stall(world_.exponential(seconds(3)));
    controller.stop(world_.chance(0.5));
    world_.after(world_.exponential(seconds(8)), [&controller] { controller.start(); });
}

void Simulation::disturb_network() {
    const Duration time = world_.exponential(seconds(10));
    if (world_.chance(0.3)) {
        ControllerNode& controller = *world_.pick(controllers_);
        world_.log(controller.name() + " cannot reach the inspectors");
        controller.cut_off_inspectors(true);
        return world_.after(time, [&controller] { controller.cut_off_inspectors(false); });
    }
    Cable& cable = *world_.pick(cables_);
    if (cloned_ != nullptr && cable.host() == cloned_->id()) end_clone();
    world_.log("between " + cable.name() + ": cut");
    cable.cut();
    world_.after(time, [this, &cable] {
        world_.log("between " + cable.name() + ": healed");
        cable.heal();
    });
}

void Simulation::disturb_inspector() {
    Inspector& inspector = *world_.pick(inspectors_);
    const Duration time = world_.exponential(seconds(12));
    if (world_.chance(0.5)) {
        world_.log(inspector.name() + " is away");
        inspector.set_away(true);
        return world_.after(time, [&inspector] { inspector.set_away(false); });
    }
    world_.log(inspector.name() + " is unreliable");
    inspector.set_unreliable(true);
    world_.after(time, [&inspector] { inspector.set_unreliable(false); });
}

void Simulation::disturb_inventory() {
    const Duration time = world_.exponential(seconds(12));
    const auto until = [&](auto repair) {
        inventory_changed();
        world_.after(time, [this, repair] {
            repair();
            inventory_changed();
        });
    };
    Vm& vm = *world_.pick(vms_);
    switch (world_.below(5)) {
        case 0: {
            ControllerNode& controller = *world_.pick(controllers_);
            world_.log(controller.name() + ": the inventory is behind");
            controller.set_inventory_behind(true);
            ++behind_;
            return world_.after(time, [this, &controller] {
                controller.set_inventory_behind(false);
                --behind_;
                behind_until_ = world_.now();
            });
        }
        case 1:
            world_.log("the cloud does not name " + vm.id().str());
            unnamed_.insert(vm.id());
            return until([this, guest = vm.id()] {
                unnamed_.erase(guest);
                said_wrongly_[guest] = world_.now();
            });
        case 2:
            misplaced_[vm.id()] = world_.pick(hosts_).get();
            world_.log("the cloud has " + vm.id().str() + " on " + misplaced_[vm.id()]->name());
            return until([this, guest = vm.id()] {
                misplaced_.erase(guest);
                said_wrongly_[guest] = world_.now();
            });
        case 3: {
            if (vm.plan().project != kTenant) return;
            const base::GroupId group = world_.chance(0.3) ? base::GroupId() : world_.pick(vms_)->plan().group;
            world_.log("the cloud has " + vm.id().str() + " in '" + group.str() + "'");
            groups_.joins(vm.id(), group);
            return inventory_changed();
        }
        default:
            world_.log("the cloud names hosts otherwise");
            long_names_ = !long_names_;
            return inventory_changed();
    }
}

void Simulation::close_a_fault() {
    ControllerNode& controller = *world_.pick(controllers_);
    const auto closed = controller.close_a_fault();
    if (!closed) return;
    world_.log("an operator closes " + closed->id.str() + " at " + controller.name());
    // A controller that is cut off closes what has long ended: that says nothing of the next one.
    const auto found = found_.find(closed->id);
    const HostNode* host = found == found_.end() ? nullptr : found->second.first;
    const model::Fault* known =
        host == nullptr || !host->agent_running() ? nullptr : host->monitor().faults().find(closed->id);
    if (host != nullptr && host->agent_running() && (known == nullptr || !known->open())) return;
    closed_[closed->guest][closed->kind] = world_.now();
}

void Simulation::disturb_clock() {
    const Duration step = world_.between(-seconds(3600), seconds(3600));
    if (world_.chance(0.5)) {
        world_.pick(hosts_)->step_wall_clock(step);
    } else {
        world_.pick(controllers_)->step_wall_clock(step);
    }
}

/// An upgrade, or the way back: in turns, so that agents and controllers of different releases meet.
void Simulation::disturb_releases() {
    static constexpr Release kReleases[] = {Release::before, Release::present, Release::after};
    const Release release = world_.pick(kReleases);
    if (world_.chance(0.4)) {
        ControllerNode& controller = *world_.pick(controllers_);
        controller.stop(false);
        controller.set_release(release);
        if (release == Release::before) end_clone();
        world_.log(controller.name() + " is to be " + std::string(to_string(release)));
        return world_.after(world_.between({}, seconds(2)), [&controller] { controller.start(); });
    }
    HostNode& host = *world_.pick(hosts_);
    if (evacuated_.contains(&host) || !host.agent_running()) return;
    if (world_.chance(0.2)) return speak_another_version(host);
    restart_as(host, release);
}

/// Such a one says too little of itself, or takes in too little, to be told from its clone.
bool Simulation::any_of_release_before() const {
    const auto of_before = [](const auto& node) { return node->release() == Release::before; };
    return std::any_of(hosts_.begin(), hosts_.end(), of_before) ||
           std::any_of(controllers_.begin(), controllers_.end(), of_before);
}

/// Nobody takes its agent in until that ends.
void Simulation::speak_another_version(HostNode& host) {
    restart_as(host, Release::other_version);
    world_.after(world_.exponential(seconds(10)), [this, &host] {
        if (host.release() == Release::other_version) restart_as(host, Release::present);
    });
}

void Simulation::restart_as(HostNode& host, Release release) {
    end_clone_of(host);
    host.set_release(release);
    world_.log(host.id().str() + ": its agent is to be " + std::string(to_string(release)));
    if (!host.agent_running()) return;  // from its next start on
    host.stop_agent(false);
    world_.after(world_.between({}, seconds(2)), [this, &host] {
        if (!evacuated_.contains(&host)) host.start_agent();
    });
}

/// All disturbances end; only some guests stay as they are, so that there is something to agree on.
void Simulation::repair_everything() {
    world_.log("calm");
    end_clone();
    for (const base::GuestId& guest : std::exchange(unnamed_, {}))
        said_wrongly_[guest] = world_.now();
    for (const auto& [guest, host] : std::exchange(misplaced_, {}))
        said_wrongly_[guest] = world_.now();
    for (const auto& controller : controllers_) {
        controller->set_inventory_behind(false);
        controller->start();
        controller->cut_off_inspectors(false);
    }
    for (const auto& inspector : inspectors_) {
        inspector->set_away(false);
        inspector->set_unreliable(false);
    }
    for (const auto& host : hosts_) {
        if (host->release() == Release::other_version) restart_as(*host, Release::present);
        if (evacuated_.contains(host.get())) continue;
        host->heal_all();
        host->start_agent();
    }
    for (const auto& vm : vms_)
        vm->set_noise(0, {});
    // Those that recovered by then hang or fall ill for good.
    world_.after(seconds(30), [this] {
        for (const auto& vm : vms_) {
            if (busy_.contains(vm.get()) || !world_.chance(0.2)) continue;
            if (world_.chance(0.5)) {
                vm->hang();
            } else {
                vm->set_healthy(false);
            }
        }
    });
}

}  // namespace vitalwire::simulator
