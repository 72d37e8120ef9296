#include "heartbeat/stall_clock.hpp"

#include <gtest/gtest.h>

namespace vitalwire::heartbeat {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const base::TimePoint kStart{seconds(1000)};

TEST(StallClock, RunsWithTheSteadyClockWhileTheProbeIsPunctual) {
    StallClock clock;
    clock.observe(kStart);
    EXPECT_EQ(clock.observe(kStart + milliseconds(50)), kStart + milliseconds(50));
    EXPECT_EQ(clock.observe(kStart + milliseconds(115)), kStart + milliseconds(115));
    EXPECT_EQ(clock.stalls(), 0U);
}

TEST(StallClock, StandsStillWhileTheProcessDid) {
    StallClock clock;
    clock.observe(kStart);
    EXPECT_EQ(clock.observe(kStart + seconds(3)), kStart + StallClock::kProbe);
    EXPECT_EQ(clock.stalls(), 1U);
    EXPECT_EQ(clock.stalled(), seconds(3) - StallClock::kProbe);
}

TEST(StallClock, TellsWhenAJudgedTimeIsDueInSteadyTime) {
    StallClock clock;
    clock.observe(kStart);
    const base::TimePoint deadline = kStart + seconds(1);
    clock.observe(kStart + seconds(3));
    EXPECT_EQ(clock.to_steady(deadline), deadline + seconds(3) - StallClock::kProbe);
    EXPECT_EQ(clock.to_steady(base::kNever), base::kNever);
}

}  // namespace
}  // namespace vitalwire::heartbeat
