#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.hpp"

namespace vitalwire::heartbeat {

/// The challenges of one session that may still be answered: those whose deadline runs, those that were missed and
/// whose answer is late, and those whose deadline ended with the machine's standing still, so that no answer to them is
/// late. Answers are cumulative: one to a challenge settles all that were sent before it.
class ChallengeWindow {
public:
    static constexpr std::size_t kCapacity = 8;

    enum class Answer : std::uint8_t { stale, late, in_time };
    struct Settled {
        Answer answer = Answer::stale;
        /// In time: since the oldest challenge that it settles was sent; absent when the machine stood still since.
        std::optional<base::Duration> waited{};
    };

    void sent(std::int64_t value, base::TimePoint now, base::TimePoint deadline);
    Settled answered(std::int64_t value, base::TimePoint now);
    /// Returns how many different deadlines have passed; their challenges stay as missed ones.
    int expire(base::TimePoint now);
    /// No deadline runs any more; an answer to what is out is late.
    void stop_deadlines();
    /// The machine stands still: no deadline runs any more, and an answer to what is out is in time.
    void suspend_deadlines();
    void clear() { size_ = 0; }

    /// When the oldest challenge whose deadline runs was sent; kNever without one.
    base::TimePoint oldest_running() const;

    /// The earliest that runs; kNever without one.
    base::TimePoint deadline() const;

private:
    struct Challenge {
        std::int64_t value = 0;
        base::TimePoint sent_at;
        base::TimePoint deadline;  ///< kMissed, kSuspended: runs no more
        bool runs() const { return deadline != kMissed && deadline != kSuspended; }
    };
    static constexpr base::TimePoint kMissed = base::TimePoint::min();
    static constexpr base::TimePoint kSuspended = base::kNever;

    void erase(std::size_t first, std::size_t count);

    std::array<Challenge, kCapacity> challenges_{};  ///< in the order in which they were sent
    std::size_t size_ = 0;
};

}  // namespace vitalwire::heartbeat
