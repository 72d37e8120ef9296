#include "guest/judge.hpp"

#include <utility>

namespace vitalwire::guest {

namespace {

/// Everything judged here lasts seconds, and a guest that has nothing to do should sleep.
constexpr std::chrono::seconds kProbe{1};
/// Later than a busy machine runs an ordinary timer.
constexpr base::Millis kLate{50};

}  // namespace

Judge::Judge(boost::asio::io_context& io) : io_(io), timer_(io), clock_(kProbe) {
    probe();
}

base::TimePoint Judge::now() {
    return clock_.observe(base::Clock::now());
}

void Judge::probe() {
    now();
    timer_.after(kProbe, [this] { probe(); });
}

JudgedTimer::JudgedTimer(Judge& judge) : judge_(judge), timer_(judge.io()) {}

void JudgedTimer::arm(base::TimePoint when, std::function<void()> due) {
    due_ = std::move(due);
    if (when == when_) return;
    when_ = when;
    extended_ = false;
    if (when == base::kNever) return cancel();
    wait();
}

void JudgedTimer::cancel() {
    when_ = base::kNever;
    timer_.cancel();
}

void JudgedTimer::wait() {
    timer_.after(judge_.clock_.to_steady(when_) - base::Clock::now(), [this] { ran(); });
}

void JudgedTimer::ran() {
    const base::TimePoint now = judge_.now();
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
