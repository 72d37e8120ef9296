#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace vitalwire::heartbeat {

/// How long a guest's answers took: a histogram, and the longest of the last hour, which shows how close the guest has
/// come to its deadline. Times are monitor time.
class RoundTrips {
public:
    /// Bucket i holds what took less than kFirstBound << i; the last one all that is longer.
    static constexpr std::size_t kBuckets = 16;
    static constexpr base::Duration kFirstBound = std::chrono::microseconds(128);

    void record(base::Duration taken, base::TimePoint now);
    /// Counts also what `other` has counted.
    void add(const RoundTrips& other);

    base::Duration last() const { return last_; }
    /// Of the last 50 to 60 minutes.
    base::Duration longest_of_the_hour(base::TimePoint now) const;
    const std::array<std::uint32_t, kBuckets>& counts() const { return counts_; }
    /// Of all that are counted.
    base::Duration sum() const { return sum_; }

private:
    static constexpr std::chrono::minutes kSlot{10};
    static constexpr std::int64_t kSlots = 6;

    static std::int64_t slot_of(base::TimePoint now) { return now.time_since_epoch() / kSlot; }

    struct Slot {
        std::int64_t number = -1;
        base::Duration longest{};
    };

    base::Duration last_{};
    base::Duration sum_{};
    std::array<Slot, kSlots> slots_{};
    std::array<std::uint32_t, kBuckets> counts_{};
};

}  // namespace vitalwire::heartbeat
