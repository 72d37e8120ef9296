#include "heartbeat/challenge_window.hpp"

#include <algorithm>

namespace vitalwire::heartbeat {

using base::TimePoint;

void ChallengeWindow::sent(std::int64_t value, TimePoint now, TimePoint deadline) {
    // The oldest one that waits was promised the earliest deadline, so it is never the one that gives way.
    if (size_ == kCapacity) erase(challenges_.front().runs() ? 1 : 0, 1);
    challenges_.at(size_++) = {value, now, deadline};
}

ChallengeWindow::Settled ChallengeWindow::answered(std::int64_t value, TimePoint now) {
    std::size_t last = 0;
    while (last < size_ && challenges_.at(last).value != value)
        ++last;
    if (last == size_) return {};
    if (now > challenges_.at(last).deadline) {
        erase(0, last + 1);
        return {Answer::late, {}};
    }
    std::optional<base::Duration> waited;
    if (challenges_.at(last).runs()) {
        std::size_t oldest = 0;
        while (!challenges_.at(oldest).runs())
            ++oldest;  // ends at `last`
        waited = now - challenges_.at(oldest).sent_at;
    }
    erase(0, last + 1);
    return {Answer::in_time, waited};
}

int ChallengeWindow::expire(TimePoint now) {
    int deadlines = 0;
    TimePoint previous = kMissed;
    for (std::size_t i = 0; i < size_; ++i) {
        TimePoint& deadline = challenges_.at(i).deadline;
        if (!challenges_.at(i).runs() || deadline > now) continue;
        if (deadline != previous) ++deadlines;
        previous = deadline;
        deadline = kMissed;
    }
    return deadlines;
}

void ChallengeWindow::stop_deadlines() {
    for (std::size_t i = 0; i < size_; ++i)
        challenges_.at(i).deadline = kMissed;
}

void ChallengeWindow::suspend_deadlines() {
    for (std::size_t i = 0; i < size_; ++i) {
        if (challenges_.at(i).runs()) challenges_.at(i).deadline = kSuspended;
    }
}

TimePoint ChallengeWindow::oldest_running() const {
    const auto* const end = challenges_.begin() + size_;
    const auto* const oldest =
        std::find_if(challenges_.begin(), end, [](const Challenge& each) { return each.runs(); });
    return oldest == end ? base::kNever : oldest->sent_at;
}

TimePoint ChallengeWindow::deadline() const {
    // Mostly the oldest one's; a grace that ended, or shorter times, make a later one's the earliest.
    TimePoint earliest = base::kNever;
    for (std::size_t i = 0; i < size_; ++i) {
        if (challenges_.at(i).deadline != kMissed) earliest = std::min(earliest, challenges_.at(i).deadline);
    }
    return earliest;
}

void ChallengeWindow::erase(std::size_t first, std::size_t count) {
    auto* const begin = challenges_.begin() + first;
    std::move(begin + count, challenges_.begin() + size_, begin);
    size_ -= count;
}

}  // namespace vitalwire::heartbeat
