#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// Broadcasts for guests that move: their old channel is gone, the new one is not known yet. In order for each guest,
/// for a short time and within bounds; what does not fit is counted for the guest. No I/O, no clock.
class KeptMessages {
public:
    static constexpr base::Millis kLongest{15'000};
    static constexpr std::size_t kMaxBytes = 256 * 1024;  ///< of one guest, as the agents' queues
    static constexpr std::size_t kMaxGuests = 256;
    /// How long a guest is remembered of which only a count is left.
    static constexpr base::Millis kForget{600'000};

    /// False when nothing can be kept for the guest.
    bool keep(const base::GuestId& guest, bus::GroupDeliver message, base::TimePoint now);
    bool contains(const base::GuestId& guest) const { return guests_.contains(guest); }
    bool empty() const { return guests_.empty(); }
    std::vector<base::GuestId> guests() const;
    /// What waits for it, in order; nothing is kept for it any more, unless only a count is left.
    std::vector<bus::GroupDeliver> take(const base::GuestId& guest);
    /// Drops what the guest is no longer to get; it is counted as the rest.
    void drop_if(const base::GuestId& guest, const std::function<bool(const bus::GroupDeliver&)>& outdated);
    /// Drops what has waited too long.
    void expire(base::TimePoint now);
    /// Since start.
    std::uint64_t dropped() const { return dropped_; }

private:
    struct Guest {
        struct Item {
            base::TimePoint since;
            bus::GroupDeliver message;
        };
        std::deque<Item> items;
        std::size_t bytes = 0;
        std::uint64_t lost = 0;  ///< before the first of them
        base::TimePoint used{};
    };

    void drop_oldest(Guest& guest);

    std::map<base::GuestId, Guest> guests_;
    std::uint64_t dropped_ = 0;
};

}  // namespace vitalwire::controller
