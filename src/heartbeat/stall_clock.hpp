#pragma once

#include "base/clock.hpp"

namespace vitalwire::heartbeat {

/// Steady time minus the time in which this process did not run (a stalled compute node, SIGSTOP, a swapped-out agent).
/// Nobody else is judged late for time in which the judge stood still. Call `observe` on every wake-up, at least every
/// `probe`: what is more than that between two calls is a stall.
class StallClock {
public:
    static constexpr base::Duration kProbe = std::chrono::milliseconds(50);
    /// Ordinary scheduling delay on a busy node; more than this is a stall.
    static constexpr base::Duration kTolerance = std::chrono::milliseconds(20);

    /// A longer probe than the agent's suits one who judges in seconds and wants to sleep (the guest's daemon).
    explicit StallClock(base::Duration probe = kProbe) : probe_(probe) {}

    /// Returns the compensated time; `steady` must not go backwards.
    base::TimePoint observe(base::TimePoint steady) {
        if (started_) {
            const base::Duration gap = steady - last_;
            if (gap > probe_ + kTolerance) {
                stalled_ += gap - probe_;
                ++stalls_;
            }
        }
        started_ = true;
        last_ = steady;
        return steady - stalled_;
    }

    /// When, in steady time, a compensated time point is due as far as is known now.
    base::TimePoint to_steady(base::TimePoint judged) const {
        return judged == base::kNever ? judged : judged + stalled_;
    }

    base::Duration stalled() const { return stalled_; }
    unsigned long long stalls() const { return stalls_; }

private:
    base::Duration probe_;
    bool started_ = false;
    base::TimePoint last_{};
    base::Duration stalled_{};
    unsigned long long stalls_ = 0;
};

}  // namespace vitalwire::heartbeat
