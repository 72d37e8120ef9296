#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "heartbeat/guest_session.hpp"
#include "model/lifecycle.hpp"

namespace vitalwire::guest::app {

// The socket of applications (proto-spec/application-socket.md): one JSON object a datagram. Every datagram carries
// "version". A request may carry an "id": each answer to it repeats that.
//
// A datagram that begins with a newline is a message of the server group instead, exactly as on the channel
// (proto-spec/server-group.md): the application is a guest to vitalwired. What it sends has a `seq` of at most kMaxSeq;
// vitalwired makes it one that is unique on the channel, and puts the application's own back into what comes for it.

inline constexpr int kVersion = 1;
inline constexpr std::size_t kMaxDatagram = 8192;
inline constexpr std::int64_t kMaxSeq = 65535;
inline constexpr std::int64_t kMaxId = INT32_MAX;
/// Of a status; what makes a datagram longer is left to the next.
inline constexpr std::size_t kRoomForItems = 6000;
inline constexpr std::size_t kMaxName = 32;  ///< of an application; part of the reason that the host is told
inline constexpr base::Millis kSmallestInterval{100};
inline constexpr base::Millis kSmallestTimeout{50};
inline constexpr base::Millis kLargestTime{3'600'000};

// From an application. A connection registers at most one.
struct Register {
    std::string name;
    base::Millis interval{};  ///< from question to question
    base::Millis timeout{};   ///< from a question to its answer
    heartbeat::Health health;
    std::optional<std::int64_t> id = std::nullopt;
};
struct Report {
    heartbeat::Health health;
    std::optional<std::int64_t> query;              ///< the question that this answers; absent: sent unasked
    std::optional<std::int64_t> id = std::nullopt;  ///< of the registration that this is about
};
struct Deregister {};
/// What of the server group the application wants unasked. Answers to its own messages need none.
struct Subscribe {
    bool broadcasts = false;
    bool notifications = false;
};
/// The health of something that has no connection of its own. It outlives the connection.
struct Set {
    std::string name;
    heartbeat::Health health;
    std::optional<base::Millis> valid;  ///< in which it must be renewed; absent: until it is replaced
    std::optional<std::int64_t> id = std::nullopt;
};
/// A Set, or an application that ended without deregistering, counts no longer.
struct Forget {
    std::string name;
    std::optional<std::int64_t> id = std::nullopt;
};
/// Of everything that is watched in this guest, beginning with item number `from`.
struct StatusRequest {
    std::int64_t from = 0;
    std::optional<std::int64_t> id = std::nullopt;
};
/// To be asked before actions of the cloud, or no longer.
struct WantActions {
    bool wanted = false;
};
/// The answer to an Action.
struct Vote {
    std::int64_t action = 0;
    model::VoteResult result = model::VoteResult::accept;
    std::string reason;
};
using Request = std::variant<Register, Report, Deregister, Subscribe, Set, Forget, StatusRequest, WantActions, Vote>;

// From the daemon.
struct Registered {
    std::optional<std::int64_t> id = std::nullopt;
};
/// The request was not carried out.
struct Refused {
    base::Error error;
    std::optional<std::int64_t> id = std::nullopt;
};
struct Query {
    std::int64_t id = 0;
};
/// A Set or Forget was carried out.
struct Done {
    std::optional<std::int64_t> id = std::nullopt;
};
/// A check, application or report.
struct Item {
    std::string kind;
    std::string name;
    std::string state;  ///< "healthy", "unhealthy", "not ready", "starting", "ended", "not watched"
    std::string reason;
    std::optional<std::int64_t> pid;
    std::optional<std::int64_t> uid;
};
/// The answer to a StatusRequest: as many items as a datagram holds; further ones are asked for.
struct Status {
    bool registered = false;  ///< with the host
    std::string host;         ///< the state of the channel, for people
    heartbeat::Health health;
    std::int64_t total = 0;  ///< items
    std::vector<Item> items;
    std::optional<std::int64_t> id = std::nullopt;
};
/// What the cloud is about to do with this machine, or has done.
struct Action {
    std::int64_t id = 0;
    std::string event;
    bool revocable = false;  ///< it may be rejected
    base::Millis timeout{};  ///< for the answer; zero: nobody waits for one
};
using Event = std::variant<Registered, Refused, Query, Done, Status, Action>;

std::string encode(const Request& request);
std::string encode(const Event& event);
base::Result<Request> decode_request(std::string_view datagram);
base::Result<Event> decode_event(std::string_view datagram);
/// Of a request that decode_request refuses, as far as it can be read.
struct Origin {
    std::optional<std::int64_t> id;  ///< so that the refusal can name it
    bool registers = false;          ///< its application wanted to be watched
    std::string name;                ///< of that application; empty when it gave no valid one
};
Origin origin_of(std::string_view datagram);

}  // namespace vitalwire::guest::app
