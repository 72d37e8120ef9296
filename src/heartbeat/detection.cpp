#include "heartbeat/detection.hpp"

#include <algorithm>

#include "heartbeat/challenge_window.hpp"
#include "wire/limits.hpp"

namespace vitalwire::heartbeat {

using base::Millis;

Millis smallest_detection_time(Millis floor) {
    return std::min(2 * floor, wire::kMaxInterval);
}

Times times_for(Millis detection_time, std::optional<Millis> wished_interval, Millis floor) {
    const Millis time = std::max(detection_time, smallest_detection_time(floor));
    // Whole 10 ms: intervals that guests have in common can share the host's wake-ups.
    constexpr Millis kStep{10};
    Millis interval = wished_interval.value_or(time / 3 / kStep.count() * kStep.count());
    const auto most_outstanding = static_cast<Millis::rep>(ChallengeWindow::kCapacity);
    const Millis bounded = (time + Millis(most_outstanding - 1)) / most_outstanding;
    interval = std::max({interval, floor, bounded});
    interval = std::min(interval, time - wire::kSmallestDeadline);
    return {interval, time - interval};
}

}  // namespace vitalwire::heartbeat
