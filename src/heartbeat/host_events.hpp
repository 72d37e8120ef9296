#pragma once

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

/// The rules for one guest, from the agent's configuration and the guest's flavor.
struct HostPolicy {
    bool enabled = true;    ///< false: heartbeat is switched off for this guest
    bool required = false;  ///< the flavor asks for heartbeat: no registration is a fault
    base::Millis native_min_interval = wire::kNativeMinInterval;
    base::Millis cgcs_min_interval = wire::kCgcsMinInterval;
    int native_detect_multiplier = 1;  ///< consecutive misses that open heartbeat_lost
    int cgcs_detect_multiplier = 2;    ///< cgcs guests were built for a host that tolerates one
    base::Millis detection_time = wire::kDefaultDetectionTime;  ///< of native guests that declare none
    base::Millis establish_timeout = std::chrono::seconds(120);
    base::Millis resume_grace = std::chrono::seconds(5);
    /// The QEMU guest agent is the evidence where the guest has no heartbeat of its own.
    bool guest_agent = false;
    base::Millis guest_agent_interval = std::chrono::seconds(10);
    int guest_agent_detect_multiplier = 3;
    /// Crashes, stops by the hypervisor and watchdogs are faults also of guests that never registered.
    bool machine_faults = false;
    /// Acknowledge a registration only when Saved says that it is on disk.
    bool ack_when_saved = false;

    friend bool operator==(const HostPolicy&, const HostPolicy&) = default;
};

/// Detail of a heartbeat_lost that rests on the QEMU guest agent alone: one process of the guest does not answer.
inline constexpr std::string_view kGuestAgentEvidence = "guest_agent";

/// Why nobody may be judged now.
enum class Inhibit : std::uint8_t {
    paused,
    suspended,
    saving,
    migrating,
    transferring,  ///< its memory is written out while it runs: for a dump, or it is not known for what
    rebooting,
    shutting_down,  ///< asked to; it may ignore that
    powered_off,    ///< it has; its QEMU stays
    not_listed,     ///< nobody can say how it is since a restart of the host program, and it has not answered since
};
std::string_view to_string(Inhibit why);

/// It runs, and is slower.
constexpr bool copies_memory(std::optional<Inhibit> why) {
    return why == Inhibit::migrating || why == Inhibit::transferring;
}

/// The machine's processors stand still. Only the hypervisor knows when that ends: neither a timer nor a reset does it.
constexpr bool stands_still(Inhibit why) {
    return why == Inhibit::paused || why == Inhibit::suspended || why == Inhibit::saving || why == Inhibit::powered_off;
}

/// A stop that somebody wanted.
enum class StopReason : std::uint8_t { domain_stopped, migrated, removed };
std::string_view to_string(StopReason reason);

enum class CrashReason : std::uint8_t {
    failed,
    crashed,
    panicked,
    internal_error,
    host_restarted,  ///< the host went down with the guest, and came back without it
};
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
    std::string run;   ///< of its machine (Found); empty: not known
    int revision = 0;  ///< negotiated; from 1 on several challenges are outstanding
    // Declared by a guest of revision 1 or later; absent: the policy's, and a third of the detection time.
    std::optional<base::Millis> detection_time;
    std::optional<base::Millis> challenge_interval;
    base::Millis restart_time{};  ///< what a cgcs guest needs to register again after a reboot; 0: not declared
    model::NoticeTimes notice_times{};

    friend bool operator==(const Registration&, const Registration&) = default;
};

// Events. `dialect` says on which of the guest's channels it happened.
struct Connected {
    wire::Dialect dialect;
};
struct Closed {
    wire::Dialect dialect;
    /// Within this time the source of the machine's events knows why; until then a closed channel is not called lost.
    base::Millis grace{300};
};
struct Received {
    wire::Dialect dialect;
    wire::HeartbeatPdu pdu;
};
/// The guest's QEMU guest agent answered, which is all the registration that it makes.
struct GuestAgentAnswered {
    base::Duration waited{};
};
/// It did not answer in time, or has closed its channel.
struct GuestAgentSilent {
    std::string reason;
};
/// The registration that SaveRegistration named is on disk, or the disk cannot be waited for.
struct Saved {
    base::SessionId session;
};
struct Inhibited {
    Inhibit why;
};
struct Released {};
struct Rebooted {};
/// A first look finds the machine, however it is. That is no start, unless `run` is another one than before.
struct Found {
    std::string run;  ///< names the run of the machine, from its start to its end; empty: not known
};
/// A first look finds it off, and nobody knows why: it may have crashed.
struct FoundOff {};
/// The domain was seen to start (again).
struct Started {};
/// The operator took the channel out of the machine: what was registered there is not expected to answer any more.
struct ChannelRemoved {
    wire::Dialect dialect;
};
/// The host itself cannot connect the channel, for want of rights or descriptors: that says nothing of the guest.
struct ChannelBarred {
    wire::Dialect dialect;
    bool barred = true;  ///< false: not any more, though it is not connected
};
struct Stopped {
    StopReason reason;
};
struct Crashed {
    CrashReason reason;
};
/// The hypervisor stopped the machine by itself: nobody asked for it.
struct StoppedByHost {
    std::string detail;  ///< io_error, watchdog, postcopy_failed, api_error
    std::string reason;  ///< the hypervisor's words
};
/// The machine's watchdog device was not fed in time.
struct WatchdogFired {
    std::string action;  ///< what the hypervisor does then: none, pause, reset, poweroff, shutdown, debug, inject-nmi
};
/// A fault that somebody else remembers of this guest: open until there is evidence.
struct FaultAdopted {
    FaultKind kind;
    std::string detail;
};
/// That fault has ended, as somebody else knows who has the newer state. Whether the guest is well is judged from here.
struct FaultEnded {
    FaultKind kind;
};
struct PolicyChanged {
    HostPolicy policy;
};
struct Tick {};
using HostEvent = std::variant<Connected, Closed, Received, GuestAgentAnswered, GuestAgentSilent, Saved, Inhibited,
                               Released, Rebooted, Found, FoundOff, Started, ChannelRemoved, ChannelBarred, Stopped,
                               Crashed, StoppedByHost, WatchdogFired, FaultAdopted, FaultEnded, PolicyChanged, Tick>;

// Actions.
struct Send {
    wire::Dialect dialect;
    wire::HeartbeatPdu pdu;
};
struct OpenFault {
    FaultKind kind;
    std::string detail;
    std::string reason;
    std::optional<model::CorrectiveAction> corrective_action;  ///< absent: the registered one
};
struct UpdateFault {
    FaultKind kind;
    std::string detail;
    std::string reason;
    std::optional<model::CorrectiveAction> corrective_action;  ///< absent: as it is
};
struct ClearFault {
    FaultKind kind;
    std::string reason;
};
/// What must survive the agent has changed. Without a registration and not expected back there is nothing to keep.
struct SaveRegistration {
    std::optional<Registration> registration;
    bool expected_back = false;   ///< not registered now, but was before the machine rebooted or crashed
    base::Millis restart_time{};  ///< with expected_back: Registration::restart_time of the session that ended
    bool own_heartbeat = false;   ///< with expected_back: its QEMU guest agent does not stand in for it

    bool empty() const { return !registration && !expected_back; }
    friend bool operator==(const SaveRegistration&, const SaveRegistration&) = default;
};
/// How long a guest was awaited in vain, summed over the lives of its agent: a restart gives it no time that it had
/// before. Only what passed while an agent was there to be answered counts, so that no clock has to go on between them.
struct Waited {
    base::Millis answer{};        ///< whole deadlines, since the last life in which it answered
    base::Millis registration{};  ///< of T-establish

    bool empty() const { return *this == Waited{}; }
    friend bool operator==(const Waited&, const Waited&) = default;
};
struct SaveWaited {
    Waited waited;
};
using HostAction = std::variant<Send, OpenFault, UpdateFault, ClearFault, SaveRegistration, SaveWaited>;
using HostActions = std::vector<HostAction>;

}  // namespace vitalwire::heartbeat
