#include "heartbeat/round_trips.hpp"

#include <algorithm>
#include <functional>

namespace vitalwire::heartbeat {

void RoundTrips::record(base::Duration taken, base::TimePoint now) {
    last_ = taken;
    sum_ += taken;
    std::size_t bucket = 0;
    for (base::Duration bound = kFirstBound; bucket + 1 < kBuckets && taken >= bound; bound *= 2)
        ++bucket;
    ++counts_.at(bucket);
    const std::int64_t number = slot_of(now);
    Slot& slot = slots_.at(static_cast<std::size_t>(number % kSlots));
    if (slot.number != number) slot = {number, {}};
    slot.longest = std::max(slot.longest, taken);
}

void RoundTrips::add(const RoundTrips& other) {
    sum_ += other.sum_;
    std::transform(counts_.begin(), counts_.end(), other.counts_.begin(), counts_.begin(), std::plus<>());
}

base::Duration RoundTrips::longest_of_the_hour(base::TimePoint now) const {
    const std::int64_t current = slot_of(now);
    base::Duration longest{};
    for (const Slot& slot : slots_) {
        if (slot.number >= 0 && slot.number > current - kSlots) longest = std::max(longest, slot.longest);
    }
    return longest;
}

}  // namespace vitalwire::heartbeat
