#pragma once

#include <algorithm>

#include "base/clock.hpp"

namespace vitalwire::base {

/// So many per second, and up to `burst` at once.
class TokenBucket {
public:
    TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}

    bool has(TimePoint now, double count) {
        refill(now);
        return tokens_ >= count;
    }

    /// Takes `count` tokens when they are there.
    bool take(TimePoint now, double count = 1) {
        if (!has(now, count)) return false;
        tokens_ -= count;
        return true;
    }

    /// Takes `count` tokens in any case and returns how long it takes until the debt is paid; zero when there is none.
    /// A debt is never larger than a burst.
    Duration charge(TimePoint now, double count) {
        refill(now);
        tokens_ = std::max(tokens_ - count, -burst_);
        if (tokens_ >= 0) return Duration::zero();
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-tokens_ / per_second_));
    }

private:
    void refill(TimePoint now) {
        if (now <= last_) return;
        const double seconds = std::chrono::duration<double>(now - last_).count();
        tokens_ = std::min(burst_, tokens_ + seconds * per_second_);
        last_ = now;
    }

    double per_second_;
    double burst_;
    double tokens_;
    TimePoint last_{};
};

}  // namespace vitalwire::base
