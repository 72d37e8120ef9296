#include "simulation.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::simulator {

namespace {

constexpr Millis kIntervals[] = {Millis(500), Millis(1000), Millis(2000)};
constexpr Millis kDetectionTimes[] = {Millis(500), Millis(900), Millis(1000), Millis(3000)};
constexpr seconds kEstablishTimeout{20};
// Longest back-off of a delivery, and the agent's repetition of what is not confirmed, twice.
constexpr seconds kCalm{150};
constexpr seconds kSettles{90};

constexpr seconds kWorstClock{30};
constexpr seconds kShortestHoldOff{4};
constexpr seconds kLongestHoldOff{8};
constexpr std::size_t kGroupSize = 4;

Vm::Plan plan_of(World& world, std::size_t number) {
    Vm::Plan plan;
    plan.id = base::GuestId("guest-" + std::to_string(number));
    plan.settings.name = plan.id.str();
    constexpr GuestKind kKinds[] = {GuestKind::revision_0, GuestKind::cgcs, GuestKind::guest_agent};
    if (world.chance(0.4)) plan.kind = world.pick(kKinds);
    plan.by_call = plan.kind == GuestKind::guest_agent && world.chance(0.5);
    if (plan.kind == GuestKind::current && world.chance(0.6)) {
        if (world.chance(0.7)) plan.settings.detection_time = world.pick(kDetectionTimes);
    } else {
        plan.settings.interval = world.pick(kIntervals);
        if (plan.kind != GuestKind::cgcs && world.chance(0.5)) plan.settings.response_deadline = Millis(300);
    }
    plan.policy.guest = plan.id;
    plan.policy.heartbeat = world.chance(0.7);
    // Of a cgcs guest that no policy names two misses count.
    plan.policy.detect_multiplier = plan.kind == GuestKind::cgcs || world.chance(0.3) ? 2 : 1;
    plan.policy.establish_timeout = kEstablishTimeout;
    plan.policy.guest_agent = plan.kind == GuestKind::guest_agent;
    plan.policy.messaging = channel_of(plan.kind) == wire::ChannelKind::native && world.chance(0.9);
    if (world.chance(0.9)) plan.group = base::GroupId("group-" + std::to_string(number / kGroupSize));
    plan.project = world.chance(0.95) ? kTenant : "stranger";
    return plan;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed, const Size& size, Detail detail)
    : world_(seed, detail),
      size_(size),
      backlog_(world_.chance(0.5) ? kShortBacklog : kEndlessBacklog),
      keep_alive_(world_.chance(0.25)),
      groups_(
          world_,
          [this] {
              TimePoint oldest = world_.now();
              for (const auto& controller : controllers_)
                  oldest = std::min(oldest, controller->inventory_from());
              return oldest;
          },
          keep_alive_) {
    std::vector<Inspector*> inspectors;
    for (std::size_t i = 0; i < size.inspectors; ++i) {
        inspectors_.push_back(std::make_unique<Inspector>(world_, "inspector-" + std::to_string(i)));
        inspectors.push_back(inspectors_.back().get());
    }
    if (world_.chance(0.5) && inspectors.size() > 1)
        holding_ = {inspectors.back(), world_.between(kShortestHoldOff, kLongestHoldOff)};
    for (const auto& inspector : inspectors_) {
        inspector->on_received = [this, &receiver = *inspector](const controller::AlarmEvent& event) {
            check_owner(receiver, event);
            check_not_superseded(receiver, event);
            if (said_by_clone_.contains(event.alarm.id))
                world_.violated(receiver.name() + " is told what a clone of a host reports");
            note_told(receiver, event);
        };
    }
    groups_.host_of = [this](const base::GuestId& guest) -> const HostNode& { return by_id_.at(guest)->host(); };
    groups_.counts = [this](const GroupMember& member) { return by_id_.at(member.guest())->member() == &member; };
    groups_.on_answer = [this](const GroupMember& member, const wire::MemberState& state) {
        check_not_silent(member, state);
    };
    const bool names_all = world_.chance(0.5);
    for (std::size_t i = 0; i < size.controllers; ++i) {
        const ControllerNode::Plan plan{backlog_, names_all, world_.between(-kWorstClock, kWorstClock), holding_};
        controllers_.push_back(std::make_unique<ControllerNode>(world_, "controller-" + std::to_string(i), inspectors,
                                                                plan, [this] { return cloud(); }));
    }
    FaultObserver& observer = *this;
    for (std::size_t i = 0; i < size.hosts; ++i) {
        HostNode& host =
            *hosts_.emplace_back(std::make_unique<HostNode>(world_, "host-" + std::to_string(i), observer));
        for (const auto& controller : controllers_) {
            cables_.push_back(std::make_unique<Cable>(world_, host.id(), controller->name(), keep_alive_));
            host.plug_in(*cables_.back());
            controller->plug_in(*cables_.back());
        }
        host.step_wall_clock(world_.between(-kWorstClock, kWorstClock));
    }
    clone_ = std::make_unique<HostNode>(world_, "clone", observer);
    for (const auto& controller : controllers_) {
        clones_cables_.push_back(std::make_unique<Cable>(world_, clone_->id(), controller->name(), keep_alive_));
        clone_->plug_in(*clones_cables_.back());
        controller->plug_in(*clones_cables_.back());
    }
    for (std::size_t i = 0; i < size.guests; ++i) {
        Vm& vm = *vms_.emplace_back(std::make_unique<Vm>(world_, plan_of(world_, i), groups_));
        by_id_[vm.id()] = &vm;
        // Of another project it takes no part, whatever the cloud says.
        groups_.joins(vm.id(), vm.plan().project == kTenant ? vm.plan().group : base::GroupId());
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
    calm_since_ = world_.now();
    repair_everything();
    world_.run_for(kSettles);
    groups_.settle([this] {
        std::vector<const Vm*> vms;
        for (const auto& vm : vms_)
            vms.push_back(vm.get());
        return vms;
    });
    world_.run_for(kCalm - kSettles);
    blip();
    check_agreement();
    check_states();
}

Result Simulation::result() const {
    Result result = result_;
    result.events = world_.events();
    result.guest_hours =
        std::chrono::duration<double, std::ratio<3600>>(world_.elapsed()).count() * static_cast<double>(size_.guests);
    result.broadcasts = groups_.broadcasts();
    result.broadcasts_received = groups_.deliveries();
    for (const auto& inspector : inspectors_)
        result.delivered += inspector->events();
    return result;
}

controller::InventorySnapshot Simulation::cloud() const {
    controller::InventorySnapshot snapshot;
    std::set<base::GroupId> groups;
    for (const auto& vm : vms_) {
        if (unnamed_.contains(vm->id())) continue;
        const auto misplaced = misplaced_.find(vm->id());
        const HostNode& host = misplaced == misplaced_.end() ? vm->host() : *misplaced->second;
        controller::InventoryGuest guest;
        guest.id = vm->id();
        guest.host = base::HostId(long_names_ ? host.name() + kDomain : host.name());
        guest.policy = vm->plan().policy;
        guest.project = vm->plan().project;
        const bool stranger = guest.project != kTenant;
        guest.group = stranger ? vm->plan().group : groups_.group_of(vm->id());
        if (!guest.group.empty()) groups.insert(guest.group);
        snapshot.guests.push_back(std::move(guest));
    }
    for (const base::GroupId& group : groups)
        snapshot.groups.push_back({group, "name of " + group.str(), kTenant});
    return snapshot;
}

void Simulation::inventory_changed() {
    for (const auto& controller : controllers_)
        controller->update_inventory();
}

}  // namespace vitalwire::simulator
