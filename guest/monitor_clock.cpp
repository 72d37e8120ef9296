#include "guest/monitor_clock.hpp"

#include <utility>

namespace vitalwire::guest {

namespace {

/// What is measured by it lasts seconds, and a guest that has nothing to do should sleep.
constexpr base::Duration kProbe = std::chrono::seconds(1);
/// Later than a busy machine runs an ordinary timer.
constexpr base::Millis kLate{50};

}  // namespace

MonitorClock::MonitorClock(boost::asio::io_context& io) : io_(io), timer_(io), stall_clock_(kProbe) {
    now();
}

base::TimePoint MonitorClock::now() {
    const base::TimePoint now = base::Clock::now();
    // Whatever asks is a probe as well: one that is challenged several times a second is not woken for another.
    if (probe_at_ < now + kProbe / 2) {
        probe_at_ = now + kProbe;
        timer_.after(kProbe, [this] { this->now(); });
    }
    return stall_clock_.observe(now);
}

MonitorTimer::MonitorTimer(MonitorClock& clock) : clock_(clock), timer_(clock.io()) {}

void MonitorTimer::arm(base::TimePoint when, std::function<void()> due) {
    due_ = std::move(due);
    if (when == when_) return;
    when_ = when;
    extended_ = false;
    if (when == base::kNever) return cancel();
    wait();
}

void MonitorTimer::cancel() {
    when_ = base::kNever;
    timer_.cancel();
}

void MonitorTimer::wait() {
    timer_.after(clock_.stall_clock_.to_steady(when_) - base::Clock::now(), [this] { ran(); });
}

void MonitorTimer::ran() {
    const base::TimePoint now = clock_.now();
    if (now < when_) return wait();
    const base::Duration late = now - when_;
    if (late > kLate && !extended_) {
        extended_ = true;
        when_ = now + late;
        return wait();
    }
    when_ = base::kNever;
    const auto due = std::move(due_);
    due();
}

}  // namespace vitalwire::guest
