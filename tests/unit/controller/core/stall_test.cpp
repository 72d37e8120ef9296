#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

class StallTest : public CoreTest {
protected:
    StallTest() {
        up(hello("compute-1"));
        up(hello("compute-2"));
        keep_alive({"compute-1", "compute-2"}, seconds(2));
    }
    void stand_still(base::Millis time) {
        moment.steady += time;
        moment.wall += time;
    }
    bus::Hello of_another_primary(const std::string& host) {
        bus::Hello hello = this->hello(host, "state", 1);
        hello.is_primary = false;
        hello.primary = "other";
        return hello;
    }
};

TEST_F(StallTest, AFaultIsRaisedAtOnceWithoutAStall) {
    report("compute-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(StallTest, AFaultReadAfterAStallIsRaisedWhenItsAgentLives) {
    stand_still(seconds(8));
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    keep_alive({"compute-1", "compute-2"}, milliseconds(400));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(StallTest, AFaultReadAfterAStallIsNotRaisedWhenItsAgentHasAnotherPrimary) {
    stand_still(seconds(8));
    report("compute-1", f1);
    message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
    keep_alive({"compute-1", "compute-2"}, seconds(5));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StallTest, AFaultReadAfterAStallIsNotRaisedWhenTheConnectionIsGone) {
    stand_still(seconds(8));
    report("compute-1", f1);
    down("compute-1");
    keep_alive({"compute-2"}, seconds(2));
    up(of_another_primary("compute-1"));
    keep_alive({"compute-1", "compute-2"}, seconds(20));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(StallTest, AnAgentThatComesBackToThisPrimaryHasItsFaultRaised) {
    stand_still(seconds(8));
    report("compute-1", f1);
    down("compute-1");
    keep_alive({"compute-2"}, seconds(2));
    up(hello("compute-1", "state", 1), {f1});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(StallTest, AFaultWhoseAgentDoesNotComeBackIsRaisedWhenNobodyElseHasIt) {
    stand_still(seconds(8));
    report("compute-1", f1);
    down("compute-1");
    keep_alive({"compute-2"}, seconds(9));
    EXPECT_THAT(take(), testing::Not(testing::Contains("f1 opened 1")));
    keep_alive({"compute-2"}, seconds(3));
    EXPECT_THAT(take(), testing::Contains("f1 opened 1"));
}

TEST_F(StallTest, AnAgentThatShowsNothingHoldsAFaultBackForASecond) {
    stand_still(seconds(8));
    report("compute-1", f1);
    pass(milliseconds(900));
    EXPECT_THAT(take(), IsEmpty());
    pass(milliseconds(200));
    EXPECT_THAT(take(), testing::Contains("f1 opened 1"));
}

TEST_F(StallTest, WhatComesFromAnAgentForTheFirstTimeLongAfterAStallIsHeldBackToo) {
    stand_still(seconds(8));
    keep_alive({"compute-2"}, seconds(5));
    take();
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
    keep_alive({"compute-1", "compute-2"}, seconds(2));
    EXPECT_THAT(take(), testing::Not(testing::Contains("f1 opened 1")));
}

TEST_F(StallTest, WhatWaitedBeforeAStallIsNotRaisedAfterIt) {
    hold_sink = true;
    report("compute-1", f1);
    report("compute-1", open_fault("g1", "f2"));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    stand_still(seconds(8));
    release_sink();
    EXPECT_THAT(take(), IsEmpty());
    message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
    keep_alive({"compute-1", "compute-2"}, seconds(2));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(StallTest, AMachineWhoseSteadyClockStoodStillIsSeenByTheWallClock) {
    moment.wall += seconds(60);
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    keep_alive({"compute-1", "compute-2"}, milliseconds(400));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(StallTest, PeersAreAskedAfterAStall) {
    const int before = asked_peers;
    stand_still(seconds(8));
    core->agent_alive(0, base::HostId("compute-2"), moment);
    EXPECT_EQ(asked_peers, before + 1);
}

}  // namespace
}  // namespace vitalwire::controller
