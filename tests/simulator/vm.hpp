#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bus/messages.hpp"
#include "group_member.hpp"
#include "guest_program.hpp"
#include "heartbeat/detection.hpp"
#include "heartbeat/registration.hpp"
#include "heartbeat/stall_clock.hpp"
#include "inbox.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

class HostNode;

/// Whose the server groups are.
inline constexpr const char* kTenant = "tenant";

/// How often hosts ask QEMU guest agents here.
inline constexpr Millis kGuestAgentInterval{5000};

/// A virtual machine with the guest's program in it, behind a channel that can be slow, lossy and full of old bytes. It
/// keeps what it went through, so that the invariants can distinguish an alarm from a false one.
class Vm {
public:
    /// What a compute node can see of it.
    enum class Power : std::uint8_t { off, running, paused, crashed };

    struct Plan {
        base::GuestId id;
        GuestKind kind = GuestKind::current;
        bool by_call = false;  ///< its host's hypervisor has the channel, and is called
        heartbeat::GuestSettings settings;
        model::GuestPolicy policy;
        base::GroupId group;    ///< at first
        std::string project{};  ///< of its server group's members, or another one
        Millis interval() const { return times().interval; }
        Millis deadline() const { return times().deadline; }
        heartbeat::Times times() const {
            if (kind == GuestKind::guest_agent)
                return {kGuestAgentInterval, heartbeat::guest_agent_deadline(kGuestAgentInterval)};
            if (kind != GuestKind::current) {
                const Millis every = settings.interval.value_or(wire::kDefaultInterval);
                const bool has_deadline = kind == GuestKind::revision_0 && settings.response_deadline;
                return {every, has_deadline ? *settings.response_deadline : every};
            }
            return heartbeat::times_for(settings.declared_detection_time().value_or(wire::kDefaultDetectionTime),
                                        settings.declared_challenge_interval(), wire::kNativeMinInterval);
        }
        /// From when it stops answering to its fault, at most.
        Duration detection_time() const { return policy.detect_multiplier * interval() + deadline(); }
    };

    Vm(World& world, Plan plan, GroupObserver& observer);

    // What happens to the VM. The host is notified (HostNode::hypervisor_event) where a hypervisor would do so.
    void boot(Duration time);  ///< the daemon starts after `time`
    void power_off(Power how);
    void pause();
    void unpause();
    void move_to(HostNode* host) { host_ = host; }

    // What happens in it.
    void hang() { set_hung(true); }
    void wake() { set_hung(false); }
    void start_daemon();
    void stop_daemon(bool in_order);
    void set_healthy(bool healthy);
    /// Messages are lost with this probability, and come up to so much later; 0 and 0: a good channel.
    void set_noise(double loss, Duration delay);

    // The host's end of the channel.
    void host_connected();
    void host_disconnected();
    /// A line of its heartbeat, which reaches the guest after its way through the channel.
    void from_host(std::string line);
    /// Lines of its server group; the host is told when they are read (HostNode::group_read).
    void group_from_host(std::string lines);
    bool listens() const { return power_ != Power::off && power_ != Power::crashed; }

    const Plan& plan() const { return plan_; }
    const base::GuestId& id() const { return plan_.id; }
    wire::ChannelKind channel() const { return channel_of(plan_.kind); }
    HostNode& host() const { return *host_; }
    Power power() const { return power_; }
    bool healthy() const { return health_.healthy; }
    bool runs_daemon() const { return daemon_ != nullptr; }
    /// Null while its daemon does not run.
    const GroupMember* member() const { return member_.get(); }

    /// Cannot answer at all.
    bool mute() const { return !listens() || !daemon_ || hung_ || power_ == Power::paused; }
    TimePoint mute_since() const { return mute_since_; }
    /// When it last was mute; the time now while it is.
    TimePoint last_mute() const { return mute() ? world_.now() : last_mute_; }
    /// May fail to answer in time although nobody has reported that it is away for a while.
    bool excused() const { return noisy() || hung_ || (listens() && !daemon_ && !expected_away_); }
    TimePoint last_excused() const { return excused() ? world_.now() : last_excused_; }
    /// The hypervisor does something with it: nobody may be judged.
    void set_inhibited(bool inhibited) {
        if (!inhibited) last_inhibited_ = world_.now();
        inhibited_ = inhibited;
    }
    TimePoint last_inhibited() const { return inhibited_ ? world_.now() : last_inhibited_; }
    TimePoint last_connected() const { return last_connected_; }
    /// Of what it has sent so far.
    TimePoint last_arrival_at_host() const { return last_arrival_at_host_; }
    TimePoint health_changed() const { return health_changed_; }
    TimePoint last_unhealthy() const { return healthy() ? last_unhealthy_ : world_.now(); }
    TimePoint last_crash() const { return last_crash_; }
    /// When its machine last was off, or had crashed; the time now while it is.
    TimePoint last_off() const { return listens() ? last_off_ : world_.now(); }

private:
    bool noisy() const { return loss_ > 0 || delay_ > Duration{}; }
    void set_hung(bool hung);
    /// Calls `change` and notes what began or ended with it.
    template <class Change>
    void changing(Change change);
    void stand_still_or_run();
    TimePoint judged_now();
    void receive(const std::string& line);
    void write(const GuestProgram::Lines& lines);
    void arm();
    void renew_inbox();
    void read_group(const std::string& lines);
    void to_host(const std::string& line, bool of_group);
    void member_turn();
    void log_traffic(const char* direction, const std::string& line) const;
    template <class Deliver>
    void travel(TimePoint& last_arrival, bool of_group, Deliver deliver);

    World& world_;
    Plan plan_;
    GroupObserver& observer_;
    HostNode* host_ = nullptr;
    Power power_ = Power::off;
    bool hung_ = false;
    double loss_ = 0;
    Duration delay_{};
    heartbeat::Health health_;

    Inbox inbox_;
    std::unique_ptr<GuestProgram> daemon_;
    std::unique_ptr<GroupMember> member_;  ///< while the daemon runs
    heartbeat::StallClock clock_;
    TimePoint clock_seen_ = virtual_time::now();
    bool stood_still_ = false;
    std::uint64_t daemons_ = 0;
    std::uint64_t timer_ = 0;

    bool group_waits_ = false;  ///< messages of its group have arrived and are not read
    bool connected_ = false;
    std::uint64_t connection_ = 0;
    TimePoint last_arrival_in_guest_{};
    TimePoint last_arrival_at_host_{};

    bool expected_away_ = true;  ///< it boots, or its daemon sent exit
    bool inhibited_ = false;
    TimePoint mute_since_ = virtual_time::now();
    TimePoint last_mute_ = virtual_time::now();
    TimePoint last_excused_{};
    TimePoint last_inhibited_{};
    TimePoint last_connected_{};
    TimePoint health_changed_{};
    TimePoint last_unhealthy_{};
    TimePoint last_crash_{};
    TimePoint last_off_{};
};

}  // namespace vitalwire::simulator
