#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cable.hpp"
#include "controller_node.hpp"
#include "group_rules.hpp"
#include "host_node.hpp"
#include "inspector.hpp"
#include "result.hpp"
#include "vm.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

struct Size {
    std::size_t guests = 6;
    std::size_t hosts = 2;
    std::size_t controllers = 2;
    std::size_t inspectors = 2;
    seconds disturbed{120};  ///< for how long things go wrong
};

/// How many alarms about one guest wait for an inspector though they are over; of more, the oldest are only counted.
inline constexpr int kShortBacklog = 5;
inline constexpr int kEndlessBacklog = 1'000'000;

/// A cloud in which everything goes wrong that may, and the invariants that hold all the same:
///   - a guest that answers in time is never reported, one that does not always is, within the bound;
///   - an inspector receives an alarm's raise before its clear;
///   - it is told nothing that a host finds out about copies of guests that live elsewhere;
///   - one that is told only of what lasts is told nothing earlier;
///   - while nothing else is wrong, a fault is told at once, and once;
///   - server groups keep what is promised of them (GroupRules);
///   - what is acknowledged to an agent was delivered to every inspector, and so was what is shown as acknowledged;
///   - the journal of a fault names each delivery that an inspector has confirmed;
///   - a guest that is silent or ill has not ended that by itself;
///   - nobody is told what a clone of a host reports;
///   - a fault that an operator has closed does not return unless the guest was well in between;
///   - when the disturbances end, every inspector, controller, agent and member of a group agrees with the truth.
class Simulation final : private FaultObserver {
public:
    Simulation(std::uint64_t seed, const Size& size, Detail detail);
    ~Simulation() override;

    /// Throws Violation.
    void run();
    Result result() const;

private:
    // What goes wrong (disturbances.cpp, broker.cpp). Each schedules its own end.
    void schedule_disturbances();
    void schedule(Duration mean, void (Simulation::*disturb)());
    void disturb_guest();
    void disturb_vm();
    void disturb_agent();
    void disturb_controller();
    void disturb_network();
    void disturb_broker();
    void delete_queue(const HostNode& host);
    void delete_queue(const ControllerNode& controller);
    void unbind(const ControllerNode& controller, TimePoint until);
    void disturb_inspector();
    void disturb_inventory();
    void disturb_clock();
    void disturb_releases();
    bool any_of_release_before() const;
    void speak_another_version(HostNode& host);
    void restart_as(HostNode& host, Release release);
    void restart_agent(HostNode& host);
    void clone_a_host();
    void end_clone();
    void end_clone_of(const HostNode& host);
    void close_a_fault();
    void evacuate();
    void rebuild_elsewhere(HostNode& host, const std::vector<Vm*>& vms);
    void come_back(HostNode& host, const std::vector<Vm*>& copies, bool still_running);

    void pause(Vm& vm);
    void reboot(Vm& vm);
    void crash(Vm& vm);
    void kill(Vm& vm);
    void migrate(Vm& vm);
    void stop_and_start(Vm& vm);
    void start_vm(Vm& vm);
    void free_later(Vm& vm);
    void repair_everything();

    // What is tried when nothing else is wrong (calm.cpp).
    void blip();
    void blip(Vm& vm);
    void check_told(const Inspector& inspector) const;
    void note_told(const Inspector& inspector, const controller::AlarmEvent& event);

    // What must hold (invariants.cpp).
    void watch();
    void check_detection(const Vm& vm) const;
    void check_agreement() const;
    void fault_changed(const HostNode& host, const model::Fault& fault) override;
    void fault_delivered(const model::Fault& fault, std::uint64_t revision) override;
    void check_not_false(const Vm& vm, const model::Fault& fault) const;
    void check_stays_closed(const HostNode& host, const model::Fault& fault) const;
    void note_end(const HostNode& host, const model::Fault& fault);
    void check_by_evidence(const HostNode& host, const model::Fault& fault) const;
    bool closed_since(const base::GuestId& guest, TimePoint time) const;
    void check_not_superseded(const Inspector& inspector, const controller::AlarmEvent& event) const;
    void check_owner(const Inspector& inspector, const controller::AlarmEvent& event) const;
    std::multiset<std::string> truth() const;

    void check_states() const;
    void check_not_silent(const GroupMember& member, const wire::MemberState& state) const;
    void check_states(const Vm& vm) const;
    std::string state_as_it_is(const Vm& vm) const;

    /// The cloud has named it, and where it is, to all controllers.
    bool named_since(const base::GuestId& guest, TimePoint time) const;
    /// The cloud had the guest on that host ever since the fault was found.
    bool owned_since(const model::Fault& fault) const;
    controller::InventorySnapshot cloud() const;
    void inventory_changed();

    /// A guest that hangs for a moment, and who was told of it.
    struct Blip {
        struct Told {
            TimePoint at;
            controller::AlarmChange change;
        };
        base::GuestId guest;
        std::optional<TimePoint> found;
        std::optional<TimePoint> over;
        std::map<const Inspector*, std::vector<Told>> told;
    };

    World world_;
    Size size_;
    int backlog_;  ///< controller::DeliveryOptions
    bool keep_alive_;
    GroupRules groups_;
    std::vector<std::unique_ptr<Inspector>> inspectors_;
    HoldingPolicy holding_;
    std::optional<Blip> blip_;
    std::vector<std::unique_ptr<Vm>> vms_;
    std::vector<std::unique_ptr<Cable>> cables_;
    std::vector<std::unique_ptr<HostNode>> hosts_;
    std::vector<std::unique_ptr<Cable>> clones_cables_;
    std::unique_ptr<HostNode> clone_;  ///< of any host, one at a time
    const HostNode* cloned_ = nullptr;
    std::set<base::FaultId> said_by_clone_;
    std::vector<std::unique_ptr<ControllerNode>> controllers_;
    std::vector<std::unique_ptr<Vm>> copies_;                               ///< that an evacuation left behind
    std::map<base::GuestId, Vm*> by_id_;                                    ///< the one that counts
    std::set<const Vm*> busy_;                                              ///< something happens to the vm as a whole
    std::set<const HostNode*> evacuated_;                                   ///< until they are back, and without copies
    std::map<std::pair<const HostNode*, base::GuestId>, TimePoint> moved_;  ///< from there, when the cloud said so
    std::map<base::FaultId, std::pair<const HostNode*, TimePoint>> found_;  ///< by whom, and when
    std::map<base::GuestId, std::map<model::FaultKind, TimePoint>> closed_;  ///< by an operator, and when last

    std::set<base::FaultId> over_;

    // What the cloud says wrongly at present.
    std::set<base::GuestId> unnamed_;
    std::map<base::GuestId, const HostNode*> misplaced_;
    std::map<base::GuestId, TimePoint> said_wrongly_;  ///< until when, of what is right again
    bool long_names_ = false;
    int behind_ = 0;  ///< inventories of controllers
    TimePoint behind_until_{};

    bool calm_ = false;  ///< the disturbances are over
    TimePoint calm_since_{};
    Result result_;
};

}  // namespace vitalwire::simulator
