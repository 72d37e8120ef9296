#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cable.hpp"
#include "controller_node.hpp"
#include "guest_machine.hpp"
#include "host_node.hpp"
#include "inspector.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

struct Size {
    std::size_t guests = 6;
    std::size_t hosts = 2;
    std::size_t controllers = 2;
    std::size_t inspectors = 2;
    seconds trouble{120};  ///< for how long things go wrong
};

/// How many alarms about one guest wait for an inspector though they are over; of more, the oldest are only counted.
inline constexpr int kShortBacklog = 5;
inline constexpr int kEndlessBacklog = 1'000'000;

/// A cloud in which everything goes wrong that may, and the invariants that hold all the same:
///   - a guest that answers in time is never reported, one that does not always is, within the bound;
///   - an inspector hears of an alarm's raise before its clear;
///   - what is confirmed to an agent was told to every inspector;
///   - when the trouble ends, every inspector, controller and agent agrees with the truth.
class Simulation final : private FaultObserver {
public:
    Simulation(std::uint64_t seed, const Size& size, bool verbose);
    ~Simulation() override;

    /// Throws Violation.
    void run();
    std::string summary() const;

private:
    // What goes wrong (troubles.cpp). Each schedules its own end.
    void schedule_troubles();
    void schedule(Duration mean, void (Simulation::*trouble)());
    void trouble_in_guest();
    void trouble_with_machine();
    void trouble_with_agent();
    void trouble_with_controller();
    void trouble_on_network();
    void trouble_with_inspector();

    void pause(GuestMachine& machine);
    void reboot(GuestMachine& machine);
    void crash(GuestMachine& machine);
    void kill(GuestMachine& machine);
    void migrate(GuestMachine& machine);
    void stop_and_start(GuestMachine& machine);
    void start_machine(GuestMachine& machine);
    void free_later(GuestMachine& machine);
    void repair_everything();

    // What must hold (invariants.cpp).
    void watch();
    void check_detection(const GuestMachine& machine) const;
    void check_agreement() const;
    void fault_changed(const base::HostId& host, const model::Fault& fault) override;
    void fault_delivered(const model::Fault& fault, std::uint64_t revision) override;
    void check_not_false(const GuestMachine& machine, const model::Fault& fault) const;
    std::multiset<std::string> truth() const;

    std::vector<model::GuestPolicy> policies_of(const base::HostId& host) const;
    void inventory_changed();

    World world_;
    Size size_;
    int backlog_;  ///< controller::DeliveryOptions
    std::vector<std::unique_ptr<Inspector>> inspectors_;
    std::vector<std::unique_ptr<GuestMachine>> machines_;
    std::vector<std::unique_ptr<Cable>> cables_;
    std::vector<std::unique_ptr<HostNode>> hosts_;
    std::vector<std::unique_ptr<ControllerNode>> controllers_;
    std::map<base::GuestId, GuestMachine*> by_id_;
    std::set<const GuestMachine*> busy_;           ///< something happens to the machine as a whole
    bool calm_ = false;                            ///< the trouble is over
    std::map<std::string, std::uint64_t> opened_;  ///< by kind
    std::uint64_t troubles_ = 0;
};

}  // namespace vitalwire::simulator
