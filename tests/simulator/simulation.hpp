#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cable.hpp"
#include "controller_node.hpp"
#include "host_node.hpp"
#include "inspector.hpp"
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
///   - what is acknowledged to an agent was delivered to every inspector;
///   - when the disturbances end, every inspector, controller and agent agrees with the truth.
class Simulation final : private FaultObserver {
public:
    Simulation(std::uint64_t seed, const Size& size, bool verbose);
    ~Simulation() override;

    /// Throws Violation.
    void run();
    std::string summary() const;

private:
    // What goes wrong (disturbances.cpp). Each schedules its own end.
    void schedule_disturbances();
    void schedule(Duration mean, void (Simulation::*disturb)());
    void disturb_guest();
    void disturb_vm();
    void disturb_agent();
    void disturb_controller();
    void disturb_network();
    void disturb_inspector();

    void pause(Vm& vm);
    void reboot(Vm& vm);
    void crash(Vm& vm);
    void kill(Vm& vm);
    void migrate(Vm& vm);
    void stop_and_start(Vm& vm);
    void start_vm(Vm& vm);
    void free_later(Vm& vm);
    void repair_everything();

    // What must hold (invariants.cpp).
    void watch();
    void check_detection(const Vm& vm) const;
    void check_agreement() const;
    void fault_changed(const base::HostId& host, const model::Fault& fault) override;
    void fault_delivered(const model::Fault& fault, std::uint64_t revision) override;
    void check_not_false(const Vm& vm, const model::Fault& fault) const;
    std::multiset<std::string> truth() const;

    std::vector<model::GuestPolicy> policies_of(const base::HostId& host) const;
    void inventory_changed();

    World world_;
    Size size_;
    int backlog_;  ///< controller::DeliveryOptions
    std::vector<std::unique_ptr<Inspector>> inspectors_;
    std::vector<std::unique_ptr<Vm>> vms_;
    std::vector<std::unique_ptr<Cable>> cables_;
    std::vector<std::unique_ptr<HostNode>> hosts_;
    std::vector<std::unique_ptr<ControllerNode>> controllers_;
    std::map<base::GuestId, Vm*> by_id_;
    std::set<const Vm*> busy_;                     ///< something happens to the vm as a whole
    bool calm_ = false;                            ///< the disturbances are over
    std::map<std::string, std::uint64_t> opened_;  ///< by kind
    std::uint64_t disturbances_ = 0;
};

}  // namespace vitalwire::simulator
