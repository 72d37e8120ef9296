#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "wire/nack.hpp"

namespace vitalwire::wire {

// One struct a PDU of the server group (proto-spec/server-group.md). Payloads are decoded: any bytes.
struct Broadcast {
    std::string payload;
    std::optional<std::int64_t> seq;
};

struct StatusQuery {
    std::int64_t seq = 0;
};

/// A broadcast as it reaches another member.
struct Delivery {
    std::string source;  ///< the sender's instance_id, or "operator"
    std::string payload;
    bool from_operator = false;
    std::uint64_t dropped = 0;  ///< messages lost before this one because the guest did not read
};

/// What the cloud knows of one member.
struct MemberState {
    std::string instance_id;
    std::string display_name;
    std::string state;
    std::string state_description;
    std::optional<std::string> hostname;
    std::optional<std::string> host;
    std::optional<std::string> node;
    std::optional<std::string> tenant_id;
    std::optional<std::string> launched_at;
    std::optional<std::map<std::string, std::string>> metadata;
    std::optional<std::string> heartbeat;  ///< unmonitored, healthy, unhealthy, lost
    std::vector<std::string> reduced;      ///< fields left out because the message would have been too long
    std::string raw;                       ///< as received, JSON; empty on the sending side. What is passed on is this

    friend bool operator==(const MemberState&, const MemberState&) = default;
};

struct StatusResponse {
    std::int64_t seq = 0;
    MemberState state;
    std::uint64_t dropped = 0;
};

struct StatusDone {
    std::int64_t seq = 0;
    std::uint64_t count = 0;
    std::uint64_t dropped = 0;
};

struct Notification {
    std::string event_type;
    std::string timestamp;  ///< empty: not known
    MemberState state;
    std::uint64_t dropped = 0;
};

using GroupPdu = std::variant<Broadcast, StatusQuery, Delivery, StatusResponse, StatusDone, Notification, Nack>;

}  // namespace vitalwire::wire
