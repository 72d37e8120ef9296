#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "heartbeat/challenge_window.hpp"
#include "heartbeat/host_events.hpp"
#include "heartbeat/round_trips.hpp"

namespace vitalwire::heartbeat {

/// What must be unpredictable or unique comes from the host (a cloned guest repeats its random numbers).
class IdGenerator {
public:
    virtual ~IdGenerator() = default;
    virtual std::int64_t challenge() = 0;  ///< 0 .. 2^31-1
    virtual base::SessionId session_id() = 0;
};

struct HostSessionCounters {
    std::uint64_t challenges = 0;
    std::uint64_t responses = 0;  ///< valid ones
    std::uint64_t late = 0;
    std::uint64_t stale = 0;   ///< another session's, or to no challenge that waits for an answer
    std::uint64_t misses = 0;  ///< deadlines without an answer
};

/// The host's side of one guest's heartbeat (proto-spec/heartbeat.md, section 4). Times are monitor time (StallClock).
class HostSession {
public:
    HostSession(HostPolicy policy, IdGenerator& ids);

    /// Before all else: what was awaited of the guest before a restart goes on from there.
    void resume_waiting(const Waited& waited) { waited_ = waited; }

    /// Continues with what was saved before a restart and the faults open then. A registered guest has `resume_grace`
    /// to answer, less what it had of it in earlier lives, and one deadline at least. Where the policy has switched
    /// heartbeat off since, step PolicyChanged afterwards.
    void resume(SaveRegistration saved, const std::vector<OpenFault>& open_faults, base::TimePoint now);

    /// Its machine stood still before that restart (`stands_still`). So it does for the hypervisor's word, or for a
    /// short time where nobody has one.
    void resume_inhibited(Inhibit why, base::TimePoint now);

    void step(const HostEvent& event, base::TimePoint now, base::WallTime wall, HostActions& actions);

    /// When `step(Tick)` is due next; kNever while nothing is awaited.
    base::TimePoint next_deadline() const;

    const std::optional<Registration>& registration() const { return registration_; }
    /// The guest was sent the acknowledgement of its registration: it knows its session.
    bool acknowledged() const { return registration_ && !pending_ack_; }
    const std::optional<Inhibit>& inhibited() const { return inhibit_; }
    /// The host cannot connect the channel that the guest is, or would be, registered on: nobody is judged.
    bool barred() const;
    const Waited& waited() const { return waited_; }
    bool connected(wire::Dialect dialect) const { return connected_[index(dialect)]; }
    bool stopped() const { return stopped_; }  ///< on purpose, and not started since
    bool any_fault_open() const { return open_ != std::array<bool, kFaultKinds>{}; }
    bool fault_open(FaultKind kind) const { return open_[static_cast<std::size_t>(kind)]; }
    /// What the guest warns of in its last answer though it is healthy; empty: nothing.
    const std::string& warning() const { return warning_; }
    const HostSessionCounters& counters() const { return counters_; }
    /// The next Tick will judge a deadline that has passed: what the channel holds has to be read before.
    bool miss_due(base::TimePoint now) const { return judged() && now >= judgement_at(); }
    const RoundTrips& round_trips() const { return round_trips_; }
    base::TimePoint now() const { return now_; }  ///< of the last step
    /// The QEMU guest agent is this guest's evidence, or would be if it answered.
    bool wants_guest_agent() const;
    /// It may be asked now: its machine runs and nothing inhibits.
    bool guest_agent_due() const { return wants_guest_agent() && guest_agent_counts(); }
    base::Millis guest_agent_interval() const { return policy_.guest_agent_interval; }
    /// The next silence of its QEMU guest agent may be what opens its fault.
    bool guest_agent_in_doubt() const { return by_guest_agent() && !fault_open(FaultKind::heartbeat_lost); }

private:
    static std::size_t index(wire::Dialect dialect) { return static_cast<std::size_t>(dialect); }
    int detect_multiplier() const;
    bool judged() const;
    bool challenging() const;
    bool serial() const { return registration_->revision == 0; }
    base::TimePoint judgement_at() const;
    base::TimePoint challenge_due() const;
    bool establish_held() const;
    base::TimePoint establish_due() const;
    bool monitored() const;
    bool by_guest_agent() const;
    bool native_holds() const;
    bool guest_agent_counts() const;

    void on(const Connected& event);
    void on(const Closed& event);
    void on(const Received& event);
    void on(const GuestAgentAnswered& event);
    void on(const GuestAgentSilent& event);
    void on(const Saved& event);
    void on(const Inhibited& event);
    void on(const Released&);
    void on(const Rebooted&);
    void on(const Found& event);
    void on(const FoundOff&);
    void on(const Started&);
    void on(const ChannelRemoved& event);
    void on(const ChannelBarred& event);
    void on(const Stopped& event);
    void on(const Crashed& event);
    void on(const StoppedByHost& event);
    void on(const WatchdogFired& event);
    void on(const FaultAdopted& event);
    void on(const FaultEnded& event);
    void on(const PolicyChanged& event);
    void on(const Tick&);

    void receive(wire::Dialect dialect, const wire::Init& init);
    void receive(wire::Dialect dialect, const wire::ChallengeResponse& response);
    void receive(wire::Dialect dialect, const wire::Exit& exit);

    // Registration.
    void acknowledge();
    void register_guest_agent();
    void invite();
    void apply_policy_times();
    bool is_switched_off(FaultKind kind) const;
    bool has_to_switch_off() const;
    void switch_off();
    void end_watch(std::string_view why);
    void forget_registration(bool expected_back);
    void began_another_run();
    void expect_registration();
    void start_establish_timer();
    void hold_establish_timer();
    bool registration_awaited() const;
    base::Millis establish_step() const;

    // What is awaited over restarts.
    void resume_unanswered();
    bool unanswered() const;
    base::TimePoint waiting_due() const;
    void count_waiting();

    // Challenges.
    void reconnected();
    void challenge_soon();
    void send_challenge();
    base::TimePoint next_challenge() const;
    void accept_response(std::optional<base::Duration> waited);
    void judge_misses();

    void judge_health(const wire::ChallengeResponse& response);
    void send(wire::Dialect dialect, wire::HeartbeatPdu pdu);
    void open(FaultKind kind, std::string detail, std::string reason = {});
    void clear(FaultKind kind, std::string_view why);
    void clear_all(std::string_view why);
    void inhibit(Inhibit why);
    void count_unanswered();
    void judge_again();
    void release();

    HostPolicy policy_;
    IdGenerator* ids_;

    std::optional<Registration> registration_;
    std::optional<wire::InitAck> pending_ack_;  ///< sent when the registration is saved; no challenge before
    std::optional<wire::Exit> pending_exit_;    ///< of a session that was switched off without a channel
    base::TimePoint registered_at_{};
    std::array<bool, wire::kDialects> connected_{};
    std::array<bool, wire::kDialects> barred_{};
    std::optional<Inhibit> inhibit_;
    base::TimePoint inhibited_until_ = base::kNever;
    std::string run_;  ///< of the machine (Found)
    bool crashed_ = false;
    bool stopped_ = false;
    bool was_registered_ = false;  ///< since the domain started; cleared by exit and stop
    bool own_heartbeat_ = false;   ///< of that registration: the guest's own, and not its QEMU guest agent's
    base::Millis restart_time_{};  ///< of the session that a reboot ended
    base::TimePoint left_by_ = base::TimePoint::min();  ///< a reboot until then is why its guest has left (exit)
    bool reconnected_ = false;                          ///< since the last valid answer
    base::TimePoint closed_at_{};
    base::Millis close_grace_{};

    ChallengeWindow window_;
    base::TimePoint next_challenge_at_ = base::kNever;
    base::TimePoint answer_by_ = base::kNever;  ///< a deadline that ran when a new session began: it still holds
    base::TimePoint grace_until_{};
    bool resumed_ = false;  ///< and the guest has not answered since
    Waited waited_;
    base::TimePoint unanswered_from_ =
        base::kNever;                                ///< a challenge is out since then, of which nothing is counted yet
    base::Millis establish_time_{};                  ///< all of that timer
    base::TimePoint establish_by_ = base::kNever;    ///< ended by a valid answer, not put off by another reboot
    base::TimePoint establish_held_ = base::kNever;  ///< since then that timer stands still; kNever: it runs
    int consecutive_misses_ = 0;
    base::Duration unanswered_ran_{};  ///< of the challenge that is awaited, before the last time it was inhibited
    bool late_since_answer_ = false;

    std::array<bool, kFaultKinds> open_{};
    std::array<std::string, kFaultKinds> detail_;
    std::string unhealthy_reason_;
    std::optional<model::CorrectiveAction> unhealthy_action_;  ///< that an answer named
    std::optional<model::CorrectiveAction> told_action_;       ///< that the fault calls for
    std::string warning_;

    HostSessionCounters counters_;
    RoundTrips round_trips_;

    // Of the running step.
    base::TimePoint now_{};
    base::WallTime wall_{};
    HostActions* actions_ = nullptr;
};

}  // namespace vitalwire::heartbeat
