#pragma once

#include <algorithm>

#include "base/clock.hpp"

namespace vitalwire::host {

/// So many per second, and up to `burst` at once.
class TokenBucket {
public:
    TokenBucket(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}

    /// Takes `count` tokens when they are there.
    bool take(base::TimePoint now, double count = 1) {
        refill(now);
        if (tokens_ < count) return false;
        tokens_ -= count;
        return true;
    }

    /// Takes `count` tokens in any case and returns how long it takes until the debt is paid; zero when there is none.
    base::Duration charge(base::TimePoint now, double count) {
        refill(now);
        tokens_ -= count;
        if (tokens_ >= 0) return base::Duration::zero();
        return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(-tokens_ / per_second_));
    }

private:
    void refill(base::TimePoint now) {
        if (now <= last_) return;
        const double seconds = std::chrono::duration<double>(now - last_).count();
        tokens_ = std::min(burst_, tokens_ + seconds * per_second_);
        last_ = now;
    }

    double per_second_;
    double burst_;
    double tokens_;
    base::TimePoint last_{};
};

}  // namespace vitalwire::host
