#include <algorithm>

#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

class PacingTest : public CoreTest {};

TEST_F(PacingTest, AHostThatSendsItsStateAgainAndAgainHasToStayAway) {
    up(hello("compute-1"), {f1});
    for (int i = 0; i < 100; ++i) {
        message("compute-1", bus::SnapshotBegin{});
        message("compute-1", bus::SnapshotEnd{});
    }
    ASSERT_THAT(received<bus::Rejected>("compute-1"), SizeIs(1));
    EXPECT_EQ(received<bus::Rejected>("compute-1").front().retry_after, seconds(2));
    EXPECT_FALSE(core->fleet().find(base::HostId("compute-1"))->connected);
    EXPECT_TRUE(tracked("f1")->fault.open());
    EXPECT_TRUE(core->admit(0, hello("compute-1"), "peer", moment));
    pass(seconds(2));
    EXPECT_FALSE(core->admit(0, hello("compute-1"), "peer", moment));
}

TEST_F(PacingTest, AHostThatChangesItsPrimaryAgainAndAgainHasToStayAway) {
    up(hello("compute-1"), {f1});
    up(hello("compute-2"));
    for (int i = 0; i < 100; ++i)
        message("compute-1", bus::PrimaryChanged{i % 2 == 1, "ctl", {"ctl"}});
    EXPECT_THAT(received<bus::Rejected>("compute-1"), SizeIs(1));
    EXPECT_LT(core->counters().primary_changes, 20U);
    EXPECT_TRUE(core->fleet().find(base::HostId("compute-2"))->connected);
    pass(seconds(1));
    EXPECT_THAT(problem("agents are held back, because they make too much work"), HasSubstr("compute-1 ("));
}

TEST_F(PacingTest, FaultsOfAHostThatChangeTooOftenAreTakenLater) {
    up(hello("compute-1"));
    for (int i = 0; i < 3000; ++i) {
        const model::Fault fault = open_fault("g" + std::to_string(i % 10), "flood-" + std::to_string(i));
        report("compute-1", fault);
        report("compute-1", cleared(fault));
    }
    EXPECT_LT(core->alarms().opened(model::FaultKind::heartbeat_lost), 1100U);
    const model::Fault last = open_fault("g1", "last");
    report("compute-1", last);
    EXPECT_EQ(tracked("last"), nullptr);
    up(hello("compute-2"), {open_fault("g2", "honest")});
    EXPECT_NE(tracked("honest"), nullptr);
    pass(seconds(1));
    EXPECT_THAT(problem("agents are held back, because they make too much work"),
                HasSubstr("changes of faults delayed"));
    report("compute-1", last);
    pass(seconds(60));
    ASSERT_NE(tracked("last"), nullptr);
}

TEST_F(PacingTest, AHostThatConnectsAgainAndAgainIsAdmittedAfterEverLongerPauses) {
    int admitted = 0;
    base::Millis longest{0};
    for (int i = 0; i < 600; ++i) {
        const auto rejected = core->admit(0, hello("compute-1"), "peer", moment);
        if (rejected) {
            longest = std::max(longest, rejected->retry_after);
        } else {
            core->agent_up(0, hello("compute-1"), "peer", moment);
            down("compute-1");
            ++admitted;
        }
        pass(base::Millis(100));
    }
    EXPECT_LT(admitted, 60);
    EXPECT_GT(longest, seconds(10));
    EXPECT_FALSE(core->admit(0, hello("compute-2"), "peer", moment));
    EXPECT_THAT(problem("agents are held back, because they make too much work"), HasSubstr("compute-1 ("));
    pass(seconds(160));
    EXPECT_EQ(problem("agents are held back, because they make too much work"), "");
    EXPECT_FALSE(core->admit(0, hello("compute-1"), "peer", moment));
}

}  // namespace
}  // namespace vitalwire::controller
