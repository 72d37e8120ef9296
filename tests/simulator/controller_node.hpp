#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// The policy that holds faults back for a while, if there is one: for that inspector. The others are told at once.
struct HoldingPolicy {
    const Inspector* inspector = nullptr;
    Duration hold_off{};
};

/// A controller's host: its disk, its network, and a process on it that comes and goes: a real core, its sinks and
/// deliveries.
class ControllerNode final : private CableServer {
public:
    struct Plan {
        int backlog = 0;         ///< controller::DeliveryOptions
        bool names_all = false;  ///< controller::Evidence::Source, as Nova and as a file
        Duration wall_offset{};  ///< how far its wall clock is off
        HoldingPolicy holding{};
    };
    /// What the cloud says at present of its guests.
    using Cloud = std::function<controller::InventorySnapshot()>;

    ControllerNode(World& world, std::string name, std::vector<Inspector*> inspectors, Plan plan, Cloud cloud);
    ~ControllerNode() override;

    void plug_in(Cable& cable) { cables_.push_back(&cable); }
    void start();
    /// Killed: nothing is sent, what was not on disk is lost. Otherwise in order.
    void stop(bool killed);
    /// From its next start it is of this release.
    void set_release(Release release) { release_ = release; }
    Release release() const { return release_; }
    bool running() const { return process_ != nullptr; }
    /// Does nothing for that long; what arrives waits.
    void stall(Duration time);
    /// Since when it runs without a stall; the time now while it does not.
    TimePoint undisturbed_since() const { return process_ ? std::min(undisturbed_since_, world_.now()) : world_.now(); }
    void cut_off_inspectors(bool cut) { inspectors_cut_off_ = cut; }
    /// The cloud changed: the inventory follows, unless it is behind.
    void update_inventory();
    /// What the cloud changes from now on is not known here until it catches up.
    void set_inventory_behind(bool behind);
    /// What it knows of the cloud is as of then.
    TimePoint inventory_from() const { return inventory_behind_ ? inventory_from_ : world_.now(); }
    void step_wall_clock(Duration step) {
        plan_.wall_offset += step;
        clock_set_at_ = world_.now();
    }
    /// When its clock was set last before it started: what is older was received by another clock.
    TimePoint clock_set_before_start() const { return clock_set_before_start_; }

    const std::string& name() const { return name_; }
    const controller::FaultTable& fault_table() const;
    /// An operator closes one of the open faults here; absent when there is none.
    std::optional<model::Fault> close_a_fault();
    /// No open fault is shown as acknowledged by an inspector that never received it.
    void check_acknowledged() const;

private:
    struct Process;

    void agent_up(Cable& cable, const bus::Hello& hello) override;
    void agent_down(Cable& cable, const base::HostId& host) override;
    void message(Cable& cable, const base::HostId& host, const bus::ToController& message) override;
    void agent_alive(Cable& cable, const base::HostId& host) override;
    void run(std::function<void()> call) override { inbox_.run(std::move(call)); }
    std::size_t port_of(const Cable& cable) const;
    void process(std::function<void(Process&)> call);
    base::Moment moment() const;

    World& world_;
    std::string name_;
    std::vector<Inspector*> inspectors_;
    Plan plan_;
    Cloud cloud_;
    controller::InventorySnapshot inventory_;
    Release release_ = Release::present;
    bool inventory_behind_ = false;
    TimePoint inventory_from_{};  ///< while it is behind
    TimePoint undisturbed_since_{};
    TimePoint goes_on_at_ = TimePoint::max();  ///< after a stall, the last one
    TimePoint clock_set_at_{};
    TimePoint clock_set_before_start_{};
    std::vector<Cable*> cables_;                    ///< by the core's number of a port
    std::map<std::size_t, std::uint64_t> greeted_;  ///< by port: the connection whose hello was processed last
    Disk disk_;
    bool inspectors_cut_off_ = false;
    Inbox inbox_;
    std::unique_ptr<Process> process_;
};

}  // namespace vitalwire::simulator
