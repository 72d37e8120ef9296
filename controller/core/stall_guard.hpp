#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/ids.hpp"
#include "base/moment.hpp"

namespace vitalwire::controller {

/// Notices that this process stood still (its machine was suspended or starved). What it reads then may be seconds or
/// hours old, and another controller the primary by now: until each agent has shown that its connection lives, nothing
/// is sent to receivers. What an agent had sent before lies in front of what it sends now, so two messages that are
/// kDrain apart show it. No I/O, no clock.
class StallGuard {
public:
    /// An agent takes another primary after a silence that is somewhat longer.
    static constexpr base::Millis kStall{500};
    static constexpr base::Millis kDrain{200};
    /// For an agent that does not show it, nothing is held back longer.
    static constexpr base::Millis kPatience{1000};
    /// What was sent to a machine that did not run is sent again by then.
    static constexpr base::Millis kLate{30'000};

    /// An event comes, and one was due at that time. How long it stood still before that, if it did.
    std::optional<base::Millis> event(base::Moment moment, base::TimePoint due);
    /// It did. `agents`: those that were connected.
    void begin(const std::vector<base::HostId>& agents, base::TimePoint now);
    void connected(const base::HostId& agent, base::TimePoint now);
    void heard(const base::HostId& agent, base::TimePoint now);
    /// Its connection is gone. True if that is how it shows that another controller may be its primary.
    bool gone(const base::HostId& agent, base::TimePoint now);

    /// Nothing is to be sent now; also when that is asked before the event which notices it.
    bool holds(base::Moment moment, base::TimePoint due) const;
    /// When what is held back is to be sent; kNever while nothing is.
    base::TimePoint next_due() const { return holding_ ? until() : base::kNever; }
    /// True once when that is over.
    bool ends(base::TimePoint now);

private:
    std::optional<base::Millis> late(base::Moment moment, base::TimePoint due) const;
    base::TimePoint until() const;

    std::optional<base::Moment> last_;
    base::TimePoint began_at_{};
    bool holding_ = false;
    /// The agents that have not shown it, and since when something comes from them.
    std::map<base::HostId, std::optional<base::TimePoint>> awaited_;
};

}  // namespace vitalwire::controller
