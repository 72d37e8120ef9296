#pragma once

#include "base/clock.hpp"

namespace vitalwire::base {

/// When an event happens, in both times: cores are handed it and read no clock.
struct Moment {
    TimePoint steady{};
    WallTime wall{};

    /// The wall clock less the steady one: another by as much as the wall clock is set.
    WallTime::duration beyond_steady() const {
        return wall.time_since_epoch() - std::chrono::duration_cast<WallTime::duration>(steady.time_since_epoch());
    }
};

}  // namespace vitalwire::base
