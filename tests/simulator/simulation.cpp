#include "simulation.hpp"

#include <utility>

namespace vitalwire::simulator {

namespace {

constexpr Millis kIntervals[] = {Millis(500), Millis(1000), Millis(2000)};
constexpr Millis kDetectionTimes[] = {Millis(500), Millis(900), Millis(1000), Millis(3000)};
constexpr seconds kEstablishTimeout{20};
// Longest back-off of a delivery, and the agent's repetition of what is not confirmed, twice.
constexpr seconds kCalm{150};

constexpr seconds kWorstClock{30};

Vm::Plan plan_of(World& world, std::size_t number) {
    Vm::Plan plan;
    plan.id = base::GuestId("guest-" + std::to_string(number));
    plan.settings.name = plan.id.str();
    if (world.chance(0.6)) {
        if (world.chance(0.7)) plan.settings.detection_time = world.pick(kDetectionTimes);
    } else {
        plan.settings.interval = world.pick(kIntervals);
        if (world.chance(0.5)) plan.settings.response_deadline = Millis(300);
    }
    plan.policy.guest = plan.id;
    plan.policy.heartbeat = world.chance(0.7);
    plan.policy.detect_multiplier = world.chance(0.3) ? 2 : 1;
    plan.policy.establish_timeout = kEstablishTimeout;
    return plan;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, const Size& size, bool verbose)
    : world_(seed, verbose), size_(size), backlog_(world_.chance(0.5) ? kShortBacklog : kEndlessBacklog) {
    std::vector<Inspector*> inspectors;
    for (std::size_t i = 0; i < size.inspectors; ++i) {
        inspectors_.push_back(std::make_unique<Inspector>(world_, "inspector-" + std::to_string(i)));
        inspectors.push_back(inspectors_.back().get());
    }
    for (const auto& inspector : inspectors_) {
        inspector->on_received = [this, &receiver = *inspector](const controller::AlarmEvent& event) {
            check_owner(receiver, event);
        };
    }
    const bool names_all = world_.chance(0.5);
    for (std::size_t i = 0; i < size.controllers; ++i) {
        const ControllerNode::Plan plan{backlog_, names_all, world_.between(-kWorstClock, kWorstClock)};
        controllers_.push_back(std::make_unique<ControllerNode>(world_, "controller-" + std::to_string(i), inspectors,
                                                                plan, [this] { return cloud(); }));
    }
    FaultObserver& observer = *this;
    for (std::size_t i = 0; i < size.hosts; ++i) {
        HostNode& host =
            *hosts_.emplace_back(std::make_unique<HostNode>(world_, "host-" + std::to_string(i), observer));
        for (const auto& controller : controllers_) {
            cables_.push_back(std::make_unique<Cable>(world_, host.id(), controller->name()));
            host.plug_in(*cables_.back());
            controller->plug_in(*cables_.back());
        }
        host.step_wall_clock(world_.between(-kWorstClock, kWorstClock));
    }
    for (std::size_t i = 0; i < size.guests; ++i) {
        Vm& vm = *vms_.emplace_back(std::make_unique<Vm>(world_, plan_of(world_, i)));
        by_id_[vm.id()] = &vm;
        hosts_[i % hosts_.size()]->add(vm);
    }
}

Simulation::~Simulation() = default;

void Simulation::run() {
    for (const auto& controller : controllers_)
        controller->start();
    for (const auto& host : hosts_)
        host->start_agent();
    for (const auto& vm : vms_)
        world_.after(world_.between({}, seconds(3)), [this, &vm = *vm] { start_vm(vm); });
    watch();
    world_.run_for(seconds(10));
    schedule_disturbances();
    world_.run_for(size_.disturbed);
    calm_ = true;
    repair_everything();
    world_.run_for(kCalm);
    check_agreement();
}

std::string Simulation::summary() const {
    std::string text =
        std::to_string(disturbances_) + " disturbances, " + std::to_string(world_.events()) + " events, faults:";
    for (const auto& [kind, count] : opened_)
        text += " " + kind + " " + std::to_string(count);
    std::uint64_t delivered = 0;
    for (const auto& inspector : inspectors_)
        delivered += inspector->events();
    return text + ", delivered " + std::to_string(delivered);
}

controller::InventorySnapshot Simulation::cloud() const {
    controller::InventorySnapshot snapshot;
    for (const auto& vm : vms_) {
        if (unnamed_.contains(vm->id())) continue;
        const auto misplaced = misplaced_.find(vm->id());
        const HostNode& host = misplaced == misplaced_.end() ? vm->host() : *misplaced->second;
        controller::InventoryGuest guest;
        guest.id = vm->id();
        guest.host = base::HostId(long_names_ ? host.name() + kDomain : host.name());
        guest.policy = vm->plan().policy;
        snapshot.guests.push_back(std::move(guest));
    }
    return snapshot;
}

void Simulation::inventory_changed() {
    for (const auto& controller : controllers_)
        controller->update_inventory();
}

}  // namespace vitalwire::simulator
