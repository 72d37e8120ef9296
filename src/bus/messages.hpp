#pragma once

#include <cstdint>
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
/// One bus message, newline included. A whole state is sent in pieces below this.
inline constexpr std::size_t kMaxBusMessage = 1U << 20U;
/// Guests or faults in one message of a whole state.
inline constexpr std::size_t kStateChunk = 200;

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
/// Begins a whole state: what is not repeated until SnapshotEnd no longer exists.
struct SnapshotBegin {};
struct SnapshotEnd {};
struct Guests {
    std::vector<model::GuestReport> guests;
};
struct GuestGone {
    base::GuestId guest;
};
/// Opened, updated and cleared faults. Repeated until confirmed by FaultsDelivered.
struct Faults {
    std::vector<model::Fault> faults;
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
    std::variant<Hello, LeadChanged, SnapshotBegin, SnapshotEnd, Guests, GuestGone, Faults, GroupSend, GroupQuery>;

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
    std::vector<model::GuestPolicy> policies;
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
