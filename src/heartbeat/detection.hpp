#pragma once

#include <optional>

#include "base/clock.hpp"

namespace vitalwire::heartbeat {

/// How often a guest is challenged and how long each answer may take. Their sum is the detection time: the longest time
/// from a guest's stop to its fault.
struct Times {
    base::Millis interval{};
    base::Millis deadline{};

    friend bool operator==(const Times&, const Times&) = default;
};

/// The smallest detection time where no interval may be below `floor`.
base::Millis smallest_detection_time(base::Millis floor);

/// The times of a guest of revision 1 (proto-spec/heartbeat.md, section 5). A detection time below the smallest is
/// raised to it.
Times times_for(base::Millis detection_time, std::optional<base::Millis> wished_interval, base::Millis floor);

}  // namespace vitalwire::heartbeat
