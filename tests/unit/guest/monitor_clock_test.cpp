#include "guest/monitor_clock.hpp"

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::milliseconds;

class MonitorClockTest : public LoopTest {
protected:
    MonitorClock clock_{io_};
    MonitorTimer timer_{clock_};
    int ran_ = 0;
};

TEST_F(MonitorClockTest, RunsATimerOnceWhenItIsDue) {
    const auto due = clock_.now() + milliseconds(5);
    timer_.arm(due, [this] { ++ran_; });
    await("it runs", [&] { return ran_ > 0; });
    EXPECT_GE(clock_.now(), due);
    turn();
    EXPECT_EQ(ran_, 1);
}

TEST_F(MonitorClockTest, ForgetsACancelledTimer) {
    bool other_ran = false;
    MonitorTimer other(clock_);
    timer_.arm(clock_.now(), [this] { ++ran_; });
    timer_.cancel();
    other.arm(clock_.now() + milliseconds(1), [&] { other_ran = true; });
    await("another runs", [&] { return other_ran; });
    EXPECT_EQ(ran_, 0);
}

TEST_F(MonitorClockTest, WaitsOnceMoreWhenItWasLateItself) {
    const auto due = base::Clock::now() + milliseconds(1);
    timer_.arm(clock_.now() + milliseconds(1), [this] { ++ran_; });
    // The loop stands still for much longer than the timer was to wait.
    while (base::Clock::now() < due + milliseconds(100)) {
    }
    io_.restart();
    io_.poll();
    EXPECT_EQ(ran_, 0);
    await("it runs", [&] { return ran_ > 0; });
    EXPECT_GE(base::Clock::now() - due, milliseconds(200));
}

TEST_F(MonitorClockTest, NothingRunsAfterItsOwnerIsGone) {
    // Both are due when the loop comes back, so both handlers are on their way when the first ends the second's owner.
    struct Owner {
        explicit Owner(MonitorClock& clock) : timer(clock) {}
        MonitorTimer timer;
        std::vector<int> runs = std::vector<int>(16);
    };
    auto owner = std::make_unique<Owner>(clock_);
    const auto due = clock_.now() + milliseconds(5);
    timer_.arm(due, [&] {
        ++ran_;
        owner.reset();
    });
    owner->timer.arm(due + milliseconds(2), [this, &runs = owner->runs] {
        runs.assign(16, 1);
        ran_ += 100;
    });
    while (clock_.now() < due + milliseconds(10)) {
    }
    turn();
    EXPECT_EQ(ran_, 1);
}

TEST_F(MonitorClockTest, CanBeArmedFromWithinItsOwnRun) {
    std::function<void()> again = [&] {
        if (++ran_ < 3) timer_.arm(clock_.now() + milliseconds(1), again);
    };
    timer_.arm(clock_.now(), again);
    await("it ran three times", [&] { return ran_ == 3; });
}

}  // namespace
}  // namespace vitalwire::guest::test
