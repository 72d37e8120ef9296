#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "heartbeat/fault.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::bus {

inline constexpr int kBusVersion = 1;
/// One bus message, newline included. A whole state is sent in pieces below this.
inline constexpr std::size_t kMaxBusMessage = 1U << 20U;
/// Guests or faults in one message of a whole state.
inline constexpr std::size_t kStateChunk = 200;

/// What an agent knows of one guest, for operators and for the controller's decisions.
struct GuestReport {
    base::GuestId guest;
    std::string name;                   ///< the name the guest gave itself; display only
    std::string state;                  ///< registered, unregistered, lost, unhealthy, crashed, held
    std::string hold;                   ///< why nobody is judged now; empty when judged
    std::vector<std::string> channels;  ///< connected channels: org.vitalwire.0, cgcs.heartbeat, cgcs.messaging
    base::Millis interval{};
    base::Millis response_deadline{};
    base::WallTime registered_since{};  ///< the epoch when not registered
    std::uint64_t challenges = 0;
    std::uint64_t responses = 0;
    std::uint64_t late = 0;
    std::uint64_t misses = 0;
    std::uint64_t refused = 0;  ///< messages of this guest that were refused or dropped
    std::int64_t last_round_trip_us = -1;

    friend bool operator==(const GuestReport&, const GuestReport&) = default;
};

/// What the cloud wants of one guest (flavor extra specs, or the inventory file).
struct GuestPolicy {
    base::GuestId guest;
    bool heartbeat = false;  ///< asked for by the flavor: not registering is a fault
    bool messaging = false;
    // 0: the agent's configuration decides.
    int misses = 0;
    base::Millis interval_floor{};
    base::Millis establish_timeout{};
    int messages_per_second = 0;
    std::int64_t bytes_per_second = 0;
    /// What a fault advises when the guest itself named nothing.
    wire::CorrectiveAction corrective_action = wire::CorrectiveAction::none;
    /// Names of channels that its machine should have; the agent attaches those that are missing.
    std::vector<std::string> channels;

    friend bool operator==(const GuestPolicy&, const GuestPolicy&) = default;
};

// Agent to controller.
struct Hello {
    int version = kBusVersion;
    base::HostId host;
    std::string agent_version;
    std::string instance;  ///< fresh at every start of the agent
    bool lead = false;     ///< this controller is the one that delivers this agent's faults
};
struct LeadChanged {
    bool lead = false;
};
/// Begins a whole state: what is not repeated until StateEnd no longer exists.
struct StateBegin {};
struct StateEnd {};
struct Guests {
    std::vector<GuestReport> guests;
};
struct GuestGone {
    base::GuestId guest;
};
/// Opened, updated and cleared faults. Repeated until confirmed by FaultsDelivered.
struct Faults {
    std::vector<heartbeat::Fault> faults;
};

/// A guest's broadcast. `number` grows by one with each GroupSend and GroupQuery of an agent's life.
struct GroupSend {
    std::uint64_t number = 0;
    base::GuestId guest;
    std::string payload;  ///< any bytes, at most wire::kMaxPayload
};
/// A guest asks for its group's state.
struct GroupQuery {
    std::uint64_t number = 0;
    base::GuestId guest;
};

using ToController =
    std::variant<Hello, LeadChanged, StateBegin, StateEnd, Guests, GuestGone, Faults, GroupSend, GroupQuery>;

// Controller to agent.
struct Welcome {
    int version = kBusVersion;
    std::string controller;  ///< name of the controller's host, for logs
};
struct Rejected {
    std::string reason;  ///< the connection is closed after it
};
/// Every sink has confirmed these revisions: a cleared fault may be forgotten.
struct FaultsDelivered {
    struct Item {
        base::FaultId fault;
        std::uint64_t revision = 0;
    };
    std::vector<Item> items;
};
/// The policies of this host's guests. `complete`: guests not named have none.
struct Policies {
    bool complete = false;
    std::vector<GuestPolicy> policies;
};

/// Every GroupSend up to this number has been forwarded or refused.
struct GroupAccepted {
    std::uint64_t up_to = 0;
};
struct GroupRefused {
    std::uint64_t number = 0;
    base::Errc code = base::Errc::not_in_group;
    std::string message;
};
/// A broadcast for some of this host's guests.
struct GroupDeliver {
    std::vector<base::GuestId> guests;
    std::string source;  ///< the sender's id, or "operator"
    bool from_operator = false;
    std::string payload;
    std::string agent;  ///< Hello::instance of the sender's agent, and its number: against duplicates
    std::uint64_t number = 0;
};
/// The state of a member has changed: for its peers on this host.
struct GroupNotify {
    std::vector<base::GuestId> guests;
    std::string event_type;
    std::string timestamp;
    wire::MemberState state;
};
/// A piece of the answer to a GroupQuery.
struct GroupStatus {
    std::uint64_t number = 0;
    std::vector<wire::MemberState> members;
    bool last = false;
};

using ToAgent = std::variant<Welcome, Rejected, FaultsDelivered, Policies, GroupAccepted, GroupRefused, GroupDeliver,
                             GroupNotify, GroupStatus>;

std::string encode(const ToController& message);  ///< one line without the newline
std::string encode(const ToAgent& message);
base::Result<ToController> decode_to_controller(std::string_view line);
base::Result<ToAgent> decode_to_agent(std::string_view line);

}  // namespace vitalwire::bus
