#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/moment.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// One agent's connection to this controller.
struct Session {
    std::size_t port = 0;  ///< which listener it came by
    base::HostId name;     ///< as the agent spells it
    std::string peer;
    std::string instance;
    std::string state;
    std::uint64_t state_starts = 0;
    std::string boot;  ///< of its machine; empty: not known
};

/// The agents that are connected. One name has one holder: while it is connected, another agent of that name is
/// rejected and has to wait. No I/O, no clock.
class Sessions {
public:
    struct Holder {
        bool lives = false;     ///< something was received from the one that is connected just now
        bool given_up = false;  ///< the agent itself has lost that connection, of which nothing is seen here yet
        bool continued = true;  ///< the newcomer may be the one that is connected, restarted
    };
    /// Why the newcomer is not admitted; absent when it is. `host`: canonical.
    std::optional<bus::Rejected> admit(const base::HostId& host, const Session& newcomer, Holder holder,
                                       base::TimePoint now);
    /// True if it is the agent, or its machine, that was rejected of late while the one of that name lived, whose
    /// machine's boot is `known_boot`.
    bool is_clone(const base::HostId& host, const Session& newcomer, const std::string& known_boot,
                  base::TimePoint now) const;
    /// The one that is connected was heard.
    void heard(const base::HostId& host, base::TimePoint now);
    /// Shown on the board.
    void note_rival(const base::HostId& host, const Session& rival, bool may_be_restarted, base::TimePoint now);
    void open(const base::HostId& host, Session session) { open_[host] = std::move(session); }
    void close(const base::HostId& host) { open_.erase(host); }
    const Session* find(const base::HostId& host) const;
    const std::map<base::HostId, Session>& all() const { return open_; }

    /// Names with more than one agent of late, for the board of problems; empty when there is none.
    std::string problem(base::TimePoint now);

private:
    struct Rival {
        std::string peer;
        std::string instance;
        std::string boot;
        std::uint64_t attempts = 0;
        bool may_be_restarted = false;
        base::TimePoint first{};
        base::TimePoint last{};
    };

    std::map<base::HostId, Session> open_;
    std::map<base::HostId, Rival> rivals_;
    std::map<base::HostId, Rival> clones_;
};

}  // namespace vitalwire::controller
