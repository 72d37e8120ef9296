#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cable.hpp"
#include "disk.hpp"
#include "host/core/monitor.hpp"
#include "inbox.hpp"
#include "vm.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// Behind a host's name when somebody gives it in full.
inline constexpr const char* kDomain = ".cloud.example";

/// Is called with everything an agent decides, at once.
class FaultObserver {
public:
    virtual ~FaultObserver() = default;
    virtual void fault_changed(const class HostNode& host, const model::Fault& fault) = 0;
    virtual void fault_delivered(const model::Fault& fault, std::uint64_t revision) = 0;
};

/// A compute node: its vms, its disk, and an agent's process that comes and goes. The process runs the
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

    // While the agent does not run.
    /// When its agent's state may last have lost what it held: it was killed, or got another state.
    TimePoint state_in_doubt() const { return state_in_doubt_; }
    void lose_state();
    void copy_state() { copy_ = disk_; }
    /// As it was when it was copied last; as it is if it never was.
    void restore_state();
    /// From its next start the agent is of this release.
    void set_release(Release release) { release_ = release; }
    Release release() const { return release_; }
    /// From its next start the agent has this name.
    void rename(const std::string& name);
    /// Another machine with a copy of that host's disk, and without its vms.
    void clone(const HostNode& original);

    void step_wall_clock(Duration step) {
        wall_offset_ += step;
        clock_set_at_ = world_.now();
    }
    TimePoint clock_set_at() const { return clock_set_at_; }
    /// All its links break, and are made again.
    void cut_off();
    void heal();
    void heal_all();
    /// The time now while it is not cut off.
    TimePoint cut_off_since() const;
    /// Its agent had stood still or its links were cut in that time before it was cut off.
    bool disturbed_before_cut(Duration time) const { return connected_before_cut_ + time > cut_off_since_; }
    /// Since when its agent runs and none of its links was cut.
    TimePoint connected_since() const;
    /// All controllers have had it for that long.
    bool known_everywhere(Duration time) const;

    /// The VM is here from now on.
    void add(Vm& vm);
    void remove(Vm& vm);
    /// What the hypervisor notifies, a moment later.
    void hypervisor_event(Vm& vm, const heartbeat::HostEvent& event);
    /// It is no longer here, for that reason.
    void hypervisor_gone(Vm& vm, heartbeat::StopReason why);
    /// The VM listens at its socket, again perhaps: the agent connects.
    void channel_appeared(Vm& vm);
    void channel_closed(Vm& vm);
    /// The agent's connection breaks and is made again.
    void flap_channel(Vm& vm);
    /// A line of its channel.
    void from_guest(Vm& vm, const std::string& line);
    /// What the hypervisor notifies when the guest's QEMU guest agent opens its end of the port, or closes it.
    void guest_agent_port_changed(Vm& vm);
    /// It has read what it was sent last of its server group.
    void group_read(Vm& vm);

    /// As the cloud calls it.
    const std::string& name() const { return name_; }
    /// As its agent does.
    const base::HostId& id() const { return id_; }
    const std::map<base::GuestId, Vm*>& vms() const { return vms_; }
    bool agent_running() const { return process_ != nullptr; }
    /// Since when the agent runs without a stall; the time now while it does not.
    TimePoint agent_undisturbed_since() const;
    /// Until when the agent knew what happened; the time now while it runs and has caught up.
    TimePoint agent_knew_until() const;
    const host::Monitor& monitor() const;

private:
    class Process;

    void connect(Vm& vm);
    void disturbed(TimePoint until);
    template <class Call>
    void soon(Vm& vm, Call call);

    World& world_;
    std::string name_;
    base::HostId id_;
    Release release_ = Release::present;
    std::string boot_;  ///< of this machine: that its host is restarted is not played
    Duration wall_offset_{};
    TimePoint clock_set_at_{};
    bool is_cut_off_ = false;
    TimePoint cut_off_since_{};
    TimePoint connected_before_cut_{};  ///< since when
    FaultObserver& observer_;
    std::vector<Cable*> cables_;
    std::map<base::GuestId, Vm*> vms_;
    std::map<base::GuestId, TimePoint> last_news_;
    Disk disk_;
    Disk copy_;
    Inbox inbox_;
    std::unique_ptr<Process> process_;
    std::uint64_t starts_ = 0;
    TimePoint disturbed_from_{};
    TimePoint state_in_doubt_{};
    TimePoint disturbed_until_{};
};

}  // namespace vitalwire::simulator
