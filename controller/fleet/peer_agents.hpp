#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace vitalwire::controller {

/// What another controller tells of an agent that is connected to it, or whose faults it delivers.
struct PeerAgent {
    base::HostId host;
    bool connected = false;  ///< and not silent
    bool is_primary = false;
    std::optional<base::Millis> seen;  ///< before the answer; absent: that agent does not keep alive

    friend bool operator==(const PeerAgent&, const PeerAgent&) = default;
};
struct PeerAnswer {
    std::string controller;
    base::Millis silent_after{};  ///< as it judges agents
    std::vector<PeerAgent> agents;
};

/// Which agents are connected to the other controllers. This controller may have lost only its own path to a host: one
/// that another controller has just received something from is neither lost nor unreachable. An agent that the other
/// has only not missed yet may be dead: it does not count until the other has received something, or missed it. No
/// I/O, no clock.
class PeerAgents {
public:
    /// What peers know of an agent that has just fallen silent is waited for no longer than that.
    static constexpr base::Millis kPatience{300};

    void answered(PeerAnswer answer, base::TimePoint asked_at);
    /// It does not answer.
    void silent(const std::string& controller, base::TimePoint now);
    /// It is a peer no more.
    void forget(const std::string& controller) { peers_.erase(controller); }

    /// The controller that an agent which is not seen here since then is connected to, as far as it was asked after
    /// that; empty: none that answers.
    std::string connected_to(const base::HostId& host, base::TimePoint since) const;
    /// A controller that answers delivers the faults of the host, its agent being connected to it or not.
    bool delivered(const base::HostId& host) const;
    /// Whether the controller has the agent; absent: it is none that is asked, or does not answer.
    std::optional<bool> has(const std::string& controller, const base::HostId& host) const;
    bool answers(const std::string& controller) const;
    /// It has answered before, and has not for a time; absent: it answers, or never did.
    std::optional<base::Duration> silent_for(const std::string& controller, base::TimePoint now) const;
    /// How many of those that answer have a name before that one.
    std::size_t before(const std::string& controller) const;
    /// A controller that answers has not told yet what it knows of an agent that is not seen here since then.
    bool awaited(const base::HostId& host, base::TimePoint since, base::TimePoint now) const;

private:
    struct Peer {
        bool answers = false;
        base::TimePoint asked_at{};
        base::TimePoint silent_since{};
        base::Millis fresh{};
        std::map<base::HostId, PeerAgent> agents;

        const PeerAgent* connected(const base::HostId& host) const;
        bool has_seen(const PeerAgent& agent) const { return !agent.seen || *agent.seen <= fresh; }
    };

    std::map<std::string, Peer> peers_;  ///< by the controller's name
};

}  // namespace vitalwire::controller
