#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "model/fault.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::heartbeat {

using model::FaultKind;
using model::kFaultKinds;

/// What must be unpredictable or unique comes from the host (a cloned guest repeats its random numbers).
class IdGenerator {
public:
    virtual ~IdGenerator() = default;
    virtual std::int64_t challenge() = 0;  ///< 0 .. 2^31-1
    virtual base::SessionId session_id() = 0;
};

/// The rules for one guest, from the agent's configuration and the guest's flavor.
struct HostPolicy {
    bool enabled = true;    ///< false: heartbeat is switched off for this guest
    bool required = false;  ///< the flavor asks for heartbeat: no registration is a fault
    base::Millis native_floor = wire::kNativeIntervalFloor;
    base::Millis existing_floor = wire::kExistingIntervalFloor;
    int native_misses = 1;    ///< consecutive misses that open heartbeat_lost
    int existing_misses = 2;  ///< existing guests were built for a host that tolerates one
    base::Millis establish_timeout = std::chrono::seconds(120);
    base::Millis resume_grace = std::chrono::seconds(5);

    friend bool operator==(const HostPolicy&, const HostPolicy&) = default;
};

/// Why nobody may be judged now.
enum class Hold : std::uint8_t { paused, suspended, saving, migrating, rebooting, shutting_down };
std::string_view to_string(Hold hold);

/// A stop that somebody wanted.
enum class StopReason : std::uint8_t { domain_stopped, migrated, removed };
std::string_view to_string(StopReason reason);

enum class CrashReason : std::uint8_t { failed, crashed, panicked, internal_error };
std::string_view to_string(CrashReason reason);

/// What a guest agreed on when it registered; kept on disk so that it survives the agent.
struct Registration {
    wire::Dialect dialect = wire::Dialect::native;
    base::SessionId session;
    std::string name;
    base::Millis interval{};
    base::Millis response_deadline{};
    model::CorrectiveAction corrective_action = model::CorrectiveAction::none;
    base::WallTime since{};

    friend bool operator==(const Registration&, const Registration&) = default;
};

// Events. `dialect` says on which of the guest's channels it happened.
struct Connected {
    wire::Dialect dialect;
};
struct Closed {
    wire::Dialect dialect;
};
struct Received {
    wire::Dialect dialect;
    wire::HeartbeatPdu pdu;
};
/// A broken line that still proves life (wire::is_garbled_response).
struct GarbledResponse {};
struct Held {
    Hold why;
};
struct Released {};
struct Rebooted {};
/// The domain runs (again): seen booted, or found running.
struct Started {};
/// The operator took the channel out of the machine: what was registered there is not expected to answer any more.
struct ChannelRemoved {
    wire::Dialect dialect;
};
struct Stopped {
    StopReason reason;
};
struct Crashed {
    CrashReason reason;
};
struct PolicyChanged {
    HostPolicy policy;
};
struct Tick {};
using HostEvent = std::variant<Connected, Closed, Received, GarbledResponse, Held, Released, Rebooted, Started,
                               ChannelRemoved, Stopped, Crashed, PolicyChanged, Tick>;

// Actions.
struct Send {
    wire::Dialect dialect;
    wire::HeartbeatPdu pdu;
};
struct OpenFault {
    FaultKind kind;
    std::string detail;
    std::string reason;
};
struct UpdateFault {
    FaultKind kind;
    std::string detail;
    std::string reason;
};
struct ClearFault {
    FaultKind kind;
    std::string reason;
};
/// What must survive the agent has changed. Without a registration and not expected back there is nothing to keep.
struct SaveRegistration {
    std::optional<Registration> registration;
    bool expected_back = false;  ///< not registered now, but was before the machine rebooted or crashed

    bool empty() const { return !registration && !expected_back; }
    friend bool operator==(const SaveRegistration&, const SaveRegistration&) = default;
};
using HostAction = std::variant<Send, OpenFault, UpdateFault, ClearFault, SaveRegistration>;
using HostActions = std::vector<HostAction>;

struct HostSessionCounters {
    std::uint64_t challenges = 0;
    std::uint64_t responses = 0;  ///< valid ones
    std::uint64_t late = 0;
    std::uint64_t stale = 0;   ///< another session's, or not the last challenge's
    std::uint64_t misses = 0;  ///< deadlines without an answer
};

/// The host's side of one guest's heartbeat. Times are judged time (StallClock).
class HostSession {
public:
    HostSession(HostPolicy policy, IdGenerator& entropy);

    /// Continues with what was saved before a restart and the faults open then. A registered guest has `resume_grace`
    /// to answer.
    void resume(SaveRegistration saved, const std::vector<OpenFault>& open_faults, base::TimePoint now);

    void step(const HostEvent& event, base::TimePoint now, base::WallTime wall, HostActions& actions);

    /// When `step(Tick)` is due next; kNever while nothing is awaited.
    base::TimePoint next_deadline() const;

    const std::optional<Registration>& registration() const { return registration_; }
    const std::optional<Hold>& held() const { return hold_; }
    bool connected(wire::Dialect dialect) const { return connected_[index(dialect)]; }
    bool stopped() const { return stopped_; }  ///< on purpose, and not started since
    bool any_fault_open() const { return open_ != std::array<bool, kFaultKinds>{}; }
    bool fault_open(FaultKind kind) const { return open_[static_cast<std::size_t>(kind)]; }
    const HostSessionCounters& counters() const { return counters_; }
    /// A challenge is out whose deadline will be judged.
    bool awaits_answer() const { return judged() && outstanding_.has_value(); }
    base::TimePoint last_response_at() const { return last_response_at_; }
    base::Duration last_round_trip() const { return last_round_trip_; }

private:
    struct Outstanding {
        base::TimePoint sent_at;
        base::TimePoint deadline;
    };

    static std::size_t index(wire::Dialect dialect) { return static_cast<std::size_t>(dialect); }
    base::Millis floor(wire::Dialect dialect) const;
    int misses_to_open() const;
    bool judged() const;
    bool challenging() const;
    base::TimePoint challenge_due() const;
    bool waiting_is_held() const;

    void on(const Connected& event);
    void on(const Closed& event);
    void on(const Received& event);
    void on(const GarbledResponse&);
    void on(const Held& event);
    void on(const Released&);
    void on(const Rebooted&);
    void on(const Started&);
    void on(const ChannelRemoved& event);
    void on(const Stopped& event);
    void on(const Crashed& event);
    void on(const PolicyChanged& event);
    void on(const Tick&);

    void receive(wire::Dialect dialect, const wire::Init& init);
    void receive(wire::Dialect dialect, const wire::ChallengeResponse& response);
    void receive(wire::Dialect dialect, const wire::Exit& exit);
    void refuse(wire::Dialect dialect, wire::Nack nack);
    void adopt(std::optional<model::CorrectiveAction> action);
    void accept_response();
    void judge_health(bool healthy, const std::string& reason);
    void reconnected();
    void challenge_soon();
    void send_challenge();
    base::TimePoint next_beat() const;
    void miss();
    void send(wire::Dialect dialect, wire::HeartbeatPdu pdu);
    void open(FaultKind kind, std::string detail, std::string reason = {});
    void clear(FaultKind kind, std::string_view why);
    void clear_all(std::string_view why);
    void hold(Hold why);
    void release();
    void unregister(std::string_view why);
    void forget_registration(bool expected_back);
    void expect_registration();

    HostPolicy policy_;
    IdGenerator* ids_;

    std::optional<Registration> registration_;
    std::array<bool, 2> connected_{};
    std::optional<Hold> hold_;
    base::TimePoint hold_until_ = base::kNever;
    bool crashed_ = false;
    bool stopped_ = false;
    bool was_registered_ = false;  ///< since the domain started; cleared by exit and stop
    bool reconnected_ = false;     ///< since the last valid answer
    base::TimePoint closed_at_{};

    static constexpr std::int64_t kNoChallenge = -1;
    std::int64_t last_challenge_ = kNoChallenge;      ///< until it is answered; likewise the one before it
    std::int64_t previous_challenge_ = kNoChallenge;  ///< its answer is late, not stale
    std::optional<Outstanding> outstanding_;
    base::TimePoint next_challenge_at_ = base::kNever;
    base::TimePoint grace_until_{};
    base::TimePoint establish_by_ = base::kNever;
    int consecutive_misses_ = 0;
    bool late_since_answer_ = false;

    std::array<bool, kFaultKinds> open_{};
    std::array<std::string, kFaultKinds> detail_;
    std::string unhealthy_reason_;

    HostSessionCounters counters_;
    base::TimePoint last_response_at_{};
    base::Duration last_round_trip_{};

    // Of the running step.
    base::TimePoint now_{};
    base::WallTime wall_{};
    HostActions* actions_ = nullptr;
};

}  // namespace vitalwire::heartbeat
