#pragma once

#include <array>
#include <chrono>

#include "base/clock.hpp"
#include "fuzz.hpp"

namespace vitalwire::fuzz {

/// The time of a script in which each step begins with how much time passes.
class ScriptClock {
public:
    base::TimePoint now() const { return now_; }
    base::WallTime wall() const {
        return base::WallTime(std::chrono::duration_cast<base::WallTime::duration>(now_.time_since_epoch()));
    }

    /// Some time from the input, or exactly until `deadline`.
    void pass(Input& input, base::TimePoint deadline) {
        static constexpr std::array<int, 12> kMillis = {0, 0, 1, 49, 99, 100, 250, 500, 1000, 2001, 5000, 130'000};
        const std::size_t choice = input.byte() % (kMillis.size() + 1);
        if (choice < kMillis.size()) {
            now_ += base::Millis(kMillis.at(choice));
        } else if (deadline != base::kNever && deadline > now_) {
            now_ = deadline;
        }
    }

private:
    base::TimePoint now_{std::chrono::hours(1)};
};

}  // namespace vitalwire::fuzz
