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
    timer_.expires_after(kProbe);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) probe();
    });
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

void JudgedTimer::cancel() noexcept {
    // A wait that goes on finds nothing to do.
    when_ = base::kNever;
}

void JudgedTimer::wait() {
    timer_.expires_at(judge_.clock_.to_steady(when_));
    timer_.async_wait([this](boost::system::error_code error) {
        // A cancelled wait can still be delivered as a success when it was due already: the time decides.
        if (!error && when_ != base::kNever) ran();
    });
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
