#pragma once

#include "base/clock.hpp"

namespace vitalwire::base {

/// When an event happens, in both times: cores are handed it and read no clock.
struct Moment {
    TimePoint steady{};
    WallTime wall{};
};

}  // namespace vitalwire::base
