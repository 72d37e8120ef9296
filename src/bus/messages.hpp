#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "model/fault.hpp"
#include "model/guest.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::bus {

inline constexpr int kBusVersion = 1;
/// One bus message, newline included. A snapshot is sent in pieces below this.
inline constexpr std::size_t kMaxBusMessage = 1U << 20U;
/// Guests or faults in one message of a snapshot.
inline constexpr std::size_t kStateChunk = 200;

// Agent to controller.
struct Hello {
    int version = kBusVersion;
    base::HostId host;
    std::string agent_version;
    std::string instance;     ///< fresh at every start of the agent
    bool is_primary = false;  ///< this controller is the primary: the one that delivers this agent's faults
    /// Id of the agent's state, made when the state is, how often an agent has started from it, and how many changes of
    /// faults and registrations it holds: so a controller tells an agent that kept them from one that lost them, or
    /// came back with an old copy. Empty: none.
    std::string state;
    std::uint64_t state_starts = 0;
    std::uint64_t state_changes = 0;
    std::string primary;                   ///< name of the controller that is primary now; empty: none
    std::vector<std::string> controllers;  ///< names of those that this agent is connected to
    /// An earlier life of the agent on the same state, and how many changes that held when the next one began.
    struct Life {
        std::string instance;
        std::uint64_t state_changes = 0;

        friend bool operator==(const Life&, const Life&) = default;
    };
    /// The last of them, in order. A copy of the state that went another way does not have the life that the controller
    /// knows, or has it with fewer changes. Empty: the first life, or an agent of an earlier release.
    std::vector<Life> lives;
    /// Id of this run of the host's kernel: one that differs is another machine, or the host was restarted. Empty: not
    /// known.
    std::string boot;
    /// A fault that it has opened itself gives way to one of the same guest and kind that is handed back, as long as
    /// none of its controllers has delivered it. False: an agent of an earlier release, which keeps its own.
    bool yields = false;
};
/// Also sent when only the lists have changed.
struct PrimaryChanged {
    bool is_primary = false;
    std::string primary;
    std::vector<std::string> controllers;
};
/// Begins a snapshot: guests that are not named until SnapshotEnd are not there, and of the faults that are not named a
/// continuous agent (Hello::state) has ended those that it had.
struct SnapshotBegin {};
struct SnapshotEnd {};
struct Guests {
    std::vector<model::GuestReport> guests;
    std::vector<base::Error> skipped;  ///< elements that could not be read; not sent
    std::uint64_t state_changes = 0;   ///< as in Hello, now
};
struct GuestGone {
    base::GuestId guest;
};
/// Opened, updated and cleared faults. Repeated until confirmed by FaultsDelivered.
struct Faults {
    std::vector<model::Fault> faults;
    std::vector<base::Error> skipped;  ///< elements that could not be read; not sent
    std::uint64_t state_changes = 0;   ///< as in Hello, now
    bool unconfirmed = false;          ///< their guests are not found: nobody there knows how they are
};
/// Conditions of the agent itself: libvirt away, a channel that cannot be connected. Always the whole list.
struct AgentProblems {
    struct Item {
        std::string what;    ///< a fixed sentence
        std::string detail;  ///< may come from outside
        base::WallTime since{};
        base::GuestId guest;  ///< empty: it concerns the host

        friend bool operator==(const Item&, const Item&) = default;
    };
    std::vector<Item> problems;
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

using ToController = std::variant<Hello, PrimaryChanged, SnapshotBegin, SnapshotEnd, Guests, GuestGone, Faults,
                                  GroupSend, GroupQuery, AgentProblems>;

// Controller to agent.
struct Welcome {
    int version = kBusVersion;
    std::string controller;  ///< name of the controller's host, for logs
    base::WallTime time{};   ///< by its clock; the epoch: a controller of an earlier release
};
struct Rejected {
    std::string reason;          ///< the connection is closed after it
    base::Millis retry_after{};  ///< no new attempt before that; zero: the agent's own back-off
    /// This very agent is connected to this controller in another way: it may try again when that ends.
    bool connected_already = false;
};
/// Every sink has confirmed these revisions: a cleared fault may be forgotten.
struct FaultsDelivered {
    struct Item {
        base::FaultId fault;
        std::uint64_t revision = 0;
        /// Fault::delivered_to. Absent: from a controller of an earlier release.
        std::optional<std::vector<std::string>> to{};
    };
    std::vector<Item> items;
};
/// The policies of this host's guests. `complete`: guests not named have none.
struct Policies {
    bool complete = false;
    std::vector<model::GuestPolicy> policies;
    std::vector<base::Error> skipped;  ///< elements that could not be read; not sent
};
/// The guests of this host that an operator's maintenance concerns, in one or several messages; of the others that were
/// notified of one it is over. From the primary.
struct GuestMaintenance {
    struct Item {
        base::GuestId guest;
        bool notify = false;            ///< the guest is notified of it
        base::WallTime forced_until{};  ///< until then its vote keeps nothing from being carried out; none: it counts

        friend bool operator==(const Item&, const Item&) = default;
    };
    bool first = true;
    bool last = true;
    std::vector<Item> items;
    std::vector<base::GuestId> over;  ///< were notified on another host, and are not in maintenance here
};
/// Fault::clear_reason of what an operator has closed at a controller.
inline constexpr std::string_view kClosedByOperator = "cleared_by_operator";

/// To an agent that came without its state: the registrations and open faults that this controller has for its host.
/// The agent adopts what it does not know better and judges those guests from there. To any agent: newer revisions of
/// faults that it has reported, those that have ended before the others.
struct HandBack {
    std::vector<model::GuestReport> guests;
    std::vector<model::Fault> faults;
    bool last = false;
    std::vector<base::Error> skipped;  ///< elements that could not be read; not sent
    bool state_lost = false;           ///< the agent's state is fresh, or an old copy: it may lack what came since
    bool moving = false;               ///< nothing is handed back: the guests are registered where they come from
    std::string boot;                  ///< Hello::boot of the agent that had them registered; empty: not known
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
    std::uint64_t dropped = 0;  ///< messages for these guests that were lost before this one, while they moved
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
                             GroupNotify, GroupStatus, HandBack, GuestMaintenance>;

std::string encode(const ToController& message);  ///< one line without the newline
std::string encode(const ToAgent& message);
base::Result<ToController> decode_to_controller(std::string_view line);
base::Result<ToAgent> decode_to_agent(std::string_view line);

}  // namespace vitalwire::bus
