#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cable.hpp"
#include "disk.hpp"
#include "guest_machine.hpp"
#include "host/core/monitor.hpp"
#include "inbox.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// Who hears of everything an agent decides, at once.
class FaultObserver {
public:
    virtual ~FaultObserver() = default;
    virtual void fault_changed(const base::HostId& host, const model::Fault& fault) = 0;
    virtual void fault_delivered(const model::Fault& fault, std::uint64_t revision) = 0;
};

/// A compute node: its machines, its disk, and an agent's process that comes and goes. The process runs the
/// agent's real core.
class HostNode {
public:
    HostNode(World& world, std::string name, FaultObserver& observer);
    ~HostNode();

    void plug_in(Cable& cable) { cables_.push_back(&cable); }
    void start_agent();
    /// Killed: what was not on disk is lost. Otherwise in order.
    void stop_agent(bool killed);
    void stall_agent(Duration time);

    /// The machine is here from now on.
    void add(GuestMachine& machine);
    void remove(GuestMachine& machine);
    /// What the hypervisor tells, a moment later.
    void tell_machine(GuestMachine& machine, const heartbeat::HostEvent& event);
    /// It is no longer here, for that reason.
    void tell_gone(GuestMachine& machine, heartbeat::StopReason why);
    /// The machine listens at its socket (anew): the agent connects.
    void channel_appeared(GuestMachine& machine);
    void channel_closed(GuestMachine& machine);
    /// The agent's connection breaks and is made again.
    void flap_channel(GuestMachine& machine);
    void from_guest(GuestMachine& machine, const wire::HeartbeatPdu& pdu);

    const base::HostId& id() const { return id_; }
    const std::map<base::GuestId, GuestMachine*>& machines() const { return machines_; }
    bool agent_running() const { return process_ != nullptr; }
    /// Since when the agent runs without a stall; the time now while it does not.
    TimePoint agent_undisturbed_since() const;
    /// Until when the agent knew what happened; the time now while it runs and has caught up.
    TimePoint agent_knew_until() const;
    const host::Monitor& monitor() const;
    Disk& disk() { return disk_; }

private:
    class Process;

    void connect(GuestMachine& machine);
    template <class Call>
    void soon(GuestMachine& machine, Call call);

    World& world_;
    base::HostId id_;
    FaultObserver& observer_;
    std::vector<Cable*> cables_;
    std::map<base::GuestId, GuestMachine*> machines_;
    std::map<base::GuestId, TimePoint> last_news_;
    Disk disk_;
    Inbox inbox_;
    std::unique_ptr<Process> process_;
    std::uint64_t starts_ = 0;
    void disturbed(TimePoint until);

    TimePoint disturbed_from_{};
    TimePoint disturbed_until_{};
};

}  // namespace vitalwire::simulator
