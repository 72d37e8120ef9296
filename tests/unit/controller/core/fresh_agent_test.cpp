#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// A fault of g1 on compute-1 is open and delivered. Its agent loses its state, and opens a fault of its own.
class FreshAgentTest : public CoreTest {
protected:
    FreshAgentTest() {
        place("g1", "compute-1");
        up(hello("compute-1"));
        report("compute-1", f1);
        take();
        sent.clear();
    }
    bus::Hello fresh() {
        bus::Hello one = hello("compute-1", "another");
        one.yields = true;
        return one;
    }
    std::vector<std::string> handed_back() {
        std::vector<std::string> ids;
        for (const auto& handed : received<bus::HandBack>("compute-1")) {
            for (const model::Fault& fault : handed.faults)
                ids.push_back(fault.id.str());
        }
        sent.clear();
        return ids;
    }

    const model::Fault own = open_fault("g1", "own");
};

TEST_F(FreshAgentTest, EndsNothingByFindingItOnceMore) {
    up(fresh(), {own});
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(tracked("own"), nullptr);
    EXPECT_TRUE(tracked("f1")->unconfirmed);
    EXPECT_THAT(handed_back(), testing::Contains("f1"));
    report("compute-1", f1);
    EXPECT_FALSE(tracked("f1")->unconfirmed);
    report("compute-1", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(FreshAgentTest, IsHandedBackWhatItFindsOnceMoreAfterItsSnapshot) {
    up(fresh());
    handed_back();
    report("compute-1", own);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(handed_back(), ElementsAre("f1"));
}

TEST_F(FreshAgentTest, EndsNothingThoughItWasRestartedInBetween) {
    up(fresh());
    down("compute-1");
    bus::Hello again = fresh();
    again.lives = {{core->fleet().find(base::HostId("compute-1"))->instance, 0}};
    handed_back();
    up(again, {own});
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(handed_back(), ElementsAre("f1"));
}

TEST_F(FreshAgentTest, EndsNothingThoughTheControllerWasRestartedInBetween) {
    up(fresh());
    restart();
    take();
    up(fresh(), {own});
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(handed_back(), testing::Contains("f1"));
}

TEST_F(FreshAgentTest, ReportsAFaultOfAnotherKind) {
    up(fresh(), {open_fault("g1", "crash", model::FaultKind::vm_crashed)});
    EXPECT_THAT(take(), ElementsAre("crash opened 1"));
}

TEST_F(FreshAgentTest, ReportsAnotherFaultOnceItHasConfirmedTheKnownOne) {
    up(fresh(), {own});
    report("compute-1", f1);
    report("compute-1", open_fault("g1", "later"));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2", "later opened 1"));
}

TEST_F(FreshAgentTest, KeepsWhatAnotherControllerHasDelivered) {
    model::Fault told = own;
    told.delivered = told.revision;
    up(fresh(), {told});
    EXPECT_EQ(take().front(), "f1 cleared 2");
    ASSERT_NE(tracked("own"), nullptr);
}

TEST_F(FreshAgentTest, OfAnEarlierReleaseKeepsItsOwn) {
    up(hello("compute-1", "another"), {own});
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2", "own opened 1"));
}

TEST_F(FreshAgentTest, AContinuousAgentHasASecondFault) {
    bus::Hello continued = hello("compute-1");
    continued.yields = true;
    up(continued, {own});
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2", "own opened 1"));
}

}  // namespace
}  // namespace vitalwire::controller
