#include "tests/unit/host/core/monitor_fixture.hpp"

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using testing::ElementsAre;

TEST_F(MonitorTest, TellsWhatAHealthyGuestWarnsOfUntilItWarnsNoMore) {
    registered("a", Millis(100));
    changes_.clear();
    for (int beat = 1; beat <= 3; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning: application db is not watched");
    }
    EXPECT_THAT(take(), ElementsAre("name of a warns of warning: application db is not watched"));
    EXPECT_THAT(changes_, ElementsAre("a"));
    EXPECT_EQ(state("a"), "registered");
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "warning: application db is not watched");
    at(Millis(400));
    answer("a");
    EXPECT_THAT(take(), ElementsAre("name of a warns of "));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "");
}

TEST_F(MonitorTest, TheWarningOfAnUnhealthyGuestIsInItsReason) {
    registered("a", Millis(100));
    at(Millis(100));
    answer("a", false, "disk; warning: db");
    EXPECT_THAT(take(), ElementsAre("open a unhealthy disk; warning: db"));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "");
}

TEST_F(MonitorTest, AWarningEndsWithTheRegistration) {
    registered("a", Millis(100));
    at(Millis(100));
    answer("a", true, "db");
    step("a", heartbeat::Stopped{heartbeat::StopReason::domain_stopped});
    EXPECT_THAT(take(), ElementsAre("name of a warns of db", "name of a warns of "));
}

TEST_F(MonitorTest, TellsAWarningThatChangesWithEveryAnswerAFewTimesAndShowsTheLast) {
    registered("a", Millis(100));
    for (int beat = 1; beat <= 290; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning " + std::to_string(beat));
    }
    EXPECT_THAT(take(), testing::SizeIs(4));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "warning 290");
    for (int beat = 291; beat <= 310; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning 290");
    }
    EXPECT_THAT(take(), ElementsAre("name of a warns of warning 290"));
}

}  // namespace
}  // namespace vitalwire::host
