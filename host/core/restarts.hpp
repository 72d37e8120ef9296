#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::host {

/// How often the agent was started lately, within one run of its host: the steady clock of that counts through, and the
/// wall clock may be set. An agent that is restarted all the time watches little, and is a problem.
class Restarts {
public:
    static constexpr std::size_t kMany = 5;
    static constexpr base::Duration kWithin = std::chrono::minutes(10);

    /// One more start. `row` is what `row()` was in the life before; empty: there was none.
    Restarts(const std::string& row, const std::string& boot, base::TimePoint now);
    /// To be kept for the next life.
    std::string row() const;

    /// Empty: it is none.
    std::string problem() const;
    /// Until then it is.
    base::TimePoint ends_at() const;

private:
    std::string boot_;
    std::vector<base::Millis> starts_;  ///< by the steady clock; the first was no restart, or is too long ago
};

}  // namespace vitalwire::host
