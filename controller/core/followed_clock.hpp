#pragma once

#include <optional>

#include "base/moment.hpp"

namespace vitalwire::controller {

/// The wall clock as it was when it was looked at last, and goes on from there by the steady clock. What lasts for a
/// time is judged by it: a clock that is set neither ends nor prolongs that. No I/O, no clock.
class FollowedClock {
public:
    /// By more than that a clock is not slewed from one look to the next.
    static constexpr base::Millis kStep{500};

    /// By how much the clock was set since the last look; zero: it was not, or this is the first.
    base::WallTime::duration follow(base::Moment moment) {
        const base::WallTime::duration before = beyond_steady_.value_or(moment.beyond_steady());
        beyond_steady_ = moment.beyond_steady();
        const base::WallTime::duration moved = *beyond_steady_ - before;
        return std::chrono::abs(moved) > kStep ? moved : base::WallTime::duration::zero();
    }
    /// The wall time of that moment, as if the clock had not been set since the last look.
    base::WallTime time(base::Moment moment) const {
        return beyond_steady_ ? moment.wall - (moment.beyond_steady() - *beyond_steady_) : moment.wall;
    }

private:
    std::optional<base::WallTime::duration> beyond_steady_;
};

}  // namespace vitalwire::controller
