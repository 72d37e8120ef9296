#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// Twice the largest host that the agent is made for.
inline constexpr std::size_t kMaxGuestsPerHost = 20'000;

/// One agent and what it says of its guests. While it is away its guests stay as it last told them.
struct Agent {
    std::string version;
    std::string instance;  ///< of the agent's life
    std::string peer;
    bool connected = false;
    bool lead = false;               ///< it named this controller the one that delivers its faults
    base::WallTime since{};          ///< when it connected, or was lost
    base::WallTime last_seen{};      ///< its last message
    bool heard_since_start = false;  ///< false: known from disk only
    bool whole = false;              ///< it has told its whole state since it connected
    std::unordered_map<base::GuestId, model::GuestReport> guests;
    std::optional<std::set<base::GuestId>> mentioned;  ///< within a whole state
};

/// The agents this controller knows. No I/O, no clock.
class Fleet {
public:
    /// Known before a restart, not connected.
    void restore(const base::HostId& host, Agent agent);
    void up(const base::HostId& host, const bus::Hello& hello, const std::string& peer, base::WallTime now);
    void down(const base::HostId& host, base::WallTime now);
    void set_lead(const base::HostId& host, bool lead);
    /// This controller speaks for an agent that is away, known or not.
    void adopt(const base::HostId& host, base::WallTime now);
    void seen(const base::HostId& host, base::WallTime now);

    void begin_snapshot(const base::HostId& host);
    void end_snapshot(const base::HostId& host);
    base::Result<void> report(const base::HostId& host, const model::GuestReport& report);
    void gone(const base::HostId& host, const base::GuestId& guest);
    /// Not connected and of no interest any more.
    void forget(const base::HostId& host);

    const Agent* find(const base::HostId& host) const;
    /// An agent, connected or not, has reported the guest.
    bool knows(const base::GuestId& guest) const { return known_.contains(guest); }
    /// How many reported guests are in which state; no state without a guest.
    const std::map<std::string, std::size_t>& states() const { return states_; }
    const std::map<base::HostId, Agent>& agents() const { return agents_; }
    std::size_t connected() const;

private:
    void drop(const model::GuestReport& report);
    void leave_state(const std::string& state);

    std::map<base::HostId, Agent> agents_;
    std::unordered_map<base::GuestId, std::size_t> known_;  ///< by how many agents: two while a guest migrates
    std::map<std::string, std::size_t> states_;             ///< counted, because metrics are asked for often
};

}  // namespace vitalwire::controller
