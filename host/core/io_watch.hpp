#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "model/guest.hpp"

namespace vitalwire::host {

/// How many operations a guest has begun by itself since its machine started, by device: a disk's requests, and the
/// packets that an interface has sent.
using IoCounters = std::map<std::string, std::uint64_t>;

/// Follows the I/O of the guests of which a policy wants to know it: reads their counters every interval, and at once
/// when a fault opens. Pure: no I/O, no clock.
///
/// A read asks QEMU, and keeps a thread of ours and one of libvirtd's when that does not answer. So few are under way
/// at a time; one that takes too long gives its turn to another guest, until kMostReads are kept: then nobody's
/// counters are read, and of nobody more is claimed than was read.
class IoWatch {
public:
    static constexpr base::Millis kInterval{10'000};
    static constexpr base::Millis kTurn{5'000};  ///< a read that takes longer holds up nobody else
    static constexpr std::size_t kReadsAtATime = 2;
    static constexpr std::size_t kMostReads = 6;  ///< with those that do not return

    class Output {
    public:
        virtual ~Output() = default;
        /// `returned` tells what came of it. False: nobody can read this guest's counters.
        virtual bool read_io(const base::GuestId& guest, std::int64_t number) = 0;
        virtual void io_known(const base::GuestId& guest, const std::optional<model::GuestIo>& io) = 0;
    };

    explicit IoWatch(Output& output) : output_(output) {}

    /// The guests to be followed, all of them.
    void want(const std::set<base::GuestId>& guests, base::TimePoint now);
    /// It matters now, so its counters are read before those of others.
    void hurry(const base::GuestId& guest, base::TimePoint now);
    /// Its machine has ended, or starts again: what its counters were says nothing about the next run.
    void restarted(const base::GuestId& guest);
    /// Absent: the counters could not be read.
    void returned(const base::GuestId& guest, std::int64_t number, const std::optional<IoCounters>& counters,
                  base::TimePoint now, base::WallTime wall);

    void tick(base::TimePoint now);
    base::TimePoint next_due() const { return due_.empty() ? turn_ends_ : std::min(due_.begin()->first, turn_ends_); }

private:
    struct Guest {
        base::TimePoint due = base::kNever;  ///< never: it waits for its turn, or is being read
        std::optional<IoCounters> counters;
        base::TimePoint watched_since{};
        base::TimePoint idle_since{};
    };
    struct Read {
        std::int64_t number = 0;
        base::TimePoint begun;
    };

    void schedule(const base::GuestId& id, Guest& guest, base::TimePoint due);
    bool is_turn_free(base::TimePoint now) const;
    void start_reads(base::TimePoint now);
    static void take(Guest& guest, const IoCounters& counters, base::TimePoint now);

    Output& output_;
    std::map<base::GuestId, Guest> guests_;
    std::set<std::pair<base::TimePoint, base::GuestId>> due_;
    std::deque<base::GuestId> waiting_;
    std::map<base::GuestId, Read> reads_;       ///< that have not returned
    base::TimePoint turn_ends_ = base::kNever;  ///< of the next read that holds up others
    std::int64_t last_number_ = 0;
};

}  // namespace vitalwire::host
