#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bus/messages.hpp"
#include "cable.hpp"
#include "controller/alarms/alarm_manager.hpp"
#include "controller/fleet/inventory.hpp"
#include "disk.hpp"
#include "inbox.hpp"
#include "inspector.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// A controller's host: its disk, its network, and a process on it that comes and goes: a real core, its sinks and
/// deliveries.
class ControllerNode final : private CableServer {
public:
    using PoliciesOf = std::function<std::vector<model::GuestPolicy>(const base::HostId&)>;

    /// `backlog`: controller::DeliveryOptions.
    ControllerNode(World& world, std::string name, std::vector<Inspector*> inspectors, int backlog,
                   PoliciesOf policies_of);
    ~ControllerNode() override;

    void plug_in(const base::HostId& host, Cable& cable) { cables_[host] = &cable; }
    void start();
    /// Killed: nothing is sent, what was not on disk is lost. Otherwise in order.
    void stop(bool killed);
    bool running() const { return process_ != nullptr; }
    /// Does nothing for that long; what arrives waits.
    void stall(Duration time) { inbox_.stall(time); }
    void cut_off_inspectors(bool cut) { inspectors_cut_off_ = cut; }
    /// Guests are on other hosts now.
    void update_inventory();

    const std::string& name() const { return name_; }
    const controller::FaultTable& fault_table() const;

private:
    struct Process;

    void agent_up(const base::HostId& host, const bus::Hello& hello) override;
    void agent_down(const base::HostId& host) override;
    void message(const base::HostId& host, const bus::ToController& message) override;
    void run(std::function<void(Process&)> call);
    controller::InventorySnapshot inventory() const;

    World& world_;
    std::string name_;
    std::vector<Inspector*> inspectors_;
    int backlog_;
    PoliciesOf policies_of_;
    std::map<base::HostId, Cable*> cables_;
    Disk disk_;
    bool inspectors_cut_off_ = false;
    Inbox inbox_;
    std::unique_ptr<Process> process_;
};

}  // namespace vitalwire::simulator
