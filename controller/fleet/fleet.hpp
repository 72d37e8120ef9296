#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/moment.hpp"
#include "base/result.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// True if the report proves that the guest answers: `responses` are of the agent's life, so they were seen by it.
bool answers(const model::GuestReport& report);

/// Twice the largest host that the agent is made for.
inline constexpr std::size_t kMaxGuestsPerHost = 20'000;

/// One agent and what it reports of its guests. While it is away its guests stay as it reported them last.
struct Agent {
    std::string version;
    std::string instance;  ///< of the agent's life
    std::string boot;      ///< Hello::boot
    std::string peer;
    bool connected = false;
    bool silent = false;                   ///< connected, and nothing came from it for too long
    bool unreachable = false;              ///< fell silent while others were seen; until it is seen or connects
    bool is_primary = false;               ///< this controller is its primary: the one that delivers its faults
    std::string primary;                   ///< name of its primary, as it reported it last; empty: not known
    std::vector<std::string> controllers;  ///< names of those it is connected to, as it reported them last
    std::string state;                     ///< Hello::state
    std::uint64_t state_starts = 0;
    std::uint64_t state_changes = 0;
    bool yields = false;                                 ///< Hello::yields
    bool continuous = false;                             ///< it came back with the state that it had
    base::TimePoint away_since{};                        ///< since when it is not connected
    base::TimePoint silent_since{};                      ///< since when it is missed, of one that is `silent`
    base::WallTime since{};                              ///< when it connected, or was lost
    base::WallTime last_seen{};                          ///< its last message, or keep-alive
    base::TimePoint seen_at{};                           ///< the same by the steady clock, while it is connected
    bool seen_since_start = false;                       ///< false: known from disk only
    bool synced = false;                                 ///< its snapshot is complete since it connected
    std::map<base::GuestId, model::GuestReport> guests;  ///< in order, for lists that are made in several turns
    std::optional<std::set<base::GuestId>> mentioned;    ///< within a snapshot
    std::vector<bus::AgentProblems::Item> problems;
    bool reported_problems = false;  ///< since it connected

    bool present() const { return connected && !silent; }
    /// Since when it is not present.
    base::TimePoint missed_since() const { return connected ? silent_since : away_since; }
};

/// What the agent's state holds includes all that is known from it. An old copy, or a clone that went its own way, was
/// not started from the life that is known, or before that made its last change: however often either was started
/// since, and whatever it has counted since.
bool continues(const bus::Hello& hello, const Agent& known);
/// The agent that is known can have ended a moment ago and be this one: it continues its state in the same run of the
/// host. Otherwise its host would have been restarted in that moment; a clone, complete as it may be, is another host.
bool may_be_restarted(const bus::Hello& hello, const Agent& known);

/// The agents that this controller has seen. No I/O, no clock.
class Fleet {
public:
    /// Known before a restart, not connected.
    void restore(const base::HostId& host, Agent agent);
    void up(const base::HostId& host, const bus::Hello& hello, const std::string& peer, base::WallTime now);
    void down(const base::HostId& host, base::Moment moment);
    /// Nothing comes from it although it is connected. `alone`: others were seen in that time.
    void fell_silent(const base::HostId& host, bool alone, base::TimePoint now);
    void seen_again(const base::HostId& host);
    void set_primary(const base::HostId& host, const bus::PrimaryChanged& changed);
    void set_problems(const base::HostId& host, std::vector<bus::AgentProblems::Item> problems);
    /// This controller delivers for an agent that is away, known or not.
    void adopt(const base::HostId& host, base::Moment moment);
    void seen(const base::HostId& host, base::Moment moment);
    /// The clock of this controller was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// What it reports comes from a state with that many changes. True if they are more than before.
    bool changed(const base::HostId& host, std::uint64_t state_changes);

    void begin_snapshot(const base::HostId& host);
    /// Returns the guests that it did not mention, which are erased.
    std::vector<base::GuestId> end_snapshot(const base::HostId& host);
    base::Result<void> report(const base::HostId& host, const model::GuestReport& report);
    void gone(const base::HostId& host, const base::GuestId& guest);
    /// Not connected and of no interest any more.
    void erase(const base::HostId& host);

    const Agent* find(const base::HostId& host) const;
    /// An agent, connected or not, has reported the guest.
    bool is_reported(const base::GuestId& guest) const { return holders_.contains(guest); }
    /// The hosts whose agents report the guest, the first that did first.
    const std::vector<base::HostId>& holders(const base::GuestId& guest) const;
    /// The report of a guest by one agent; null when it has none.
    const model::GuestReport* report_of(const base::HostId& host, const base::GuestId& guest) const;
    struct Reported {
        base::HostId host;
        const model::GuestReport* report = nullptr;
    };
    /// The reported guest after that one of that host, by host and id; absent after the last.
    std::optional<Reported> next(const base::HostId& host, const base::GuestId& guest) const;
    /// Guests that more than one agent reports.
    const std::set<base::GuestId>& held_twice() const { return held_twice_; }
    /// How many reported guests are in which state; no state without a guest.
    const std::map<std::string, std::size_t>& states() const { return states_; }
    const std::map<base::HostId, Agent>& agents() const { return agents_; }
    std::size_t connected() const;
    /// Another number whenever an agent came, went, or is known no more.
    std::uint64_t version() const { return version_; }
    /// Another number whenever a reported guest came, went, or is in another state.
    std::uint64_t guests_version() const { return guests_version_; }

private:
    void drop(const base::HostId& host, const model::GuestReport& report);
    void leave_state(const std::string& state);

    std::map<base::HostId, Agent> agents_;
    std::uint64_t version_ = 0;
    std::uint64_t guests_version_ = 0;
    std::unordered_map<base::GuestId, std::vector<base::HostId>> holders_;  ///< two while a guest migrates
    std::set<base::GuestId> held_twice_;
    std::map<std::string, std::size_t> states_;  ///< counted, because metrics are asked for often
};

}  // namespace vitalwire::controller
