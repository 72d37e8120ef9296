// The clock of the controller's host is set while it runs.
#include "tests/unit/controller/core/operations_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr hours kDay{24};

class SetClockTest : public OperationsTest {
protected:
    SetClockTest() {
        place("g1", "compute-1");
        up(hello("compute-1"), {}, {answering("g1")});
        take();
    }
    Maintenance window() const { return core->maintenance().all().at("m1"); }
    bool in_maintenance() const {
        return core->maintenance_of(base::GuestId("g1"), base::HostId("compute-1")) != nullptr;
    }
};

TEST_F(SetClockTest, BackLetsMaintenanceLastNoLonger) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    moment.wall -= kDay;
    EXPECT_TRUE(in_maintenance());
    pass(hours(2) - seconds(1));
    EXPECT_TRUE(in_maintenance());
    pass(seconds(2));
    EXPECT_FALSE(in_maintenance());
    report("compute-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(SetClockTest, ForwardEndsNoMaintenance) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    moment.wall += kDay;
    EXPECT_TRUE(in_maintenance()) << "before anything is due";
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    pass(hours(2) - seconds(1));
    EXPECT_TRUE(in_maintenance());
    pass(seconds(2));
    EXPECT_FALSE(in_maintenance());
}

TEST_F(SetClockTest, BackBeginsNoMaintenanceAgainThatIsOver) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    ASSERT_TRUE(core->end_maintenance("m1", moment));
    pass(minutes(1));
    moment.wall -= kDay;
    EXPECT_FALSE(in_maintenance());
    report("compute-1", f1);
    pass(seconds(2));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(SetClockTest, MaintenanceThatIsBegunJustAfterLastsAsLongAsAskedFor) {
    moment.wall -= kDay;
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    EXPECT_EQ(window().until, moment.wall + hours(2));
    pass(hours(2) - seconds(1));
    EXPECT_TRUE(in_maintenance());
    pass(seconds(2));
    EXPECT_FALSE(in_maintenance());
}

TEST_F(SetClockTest, TheNewEndIsKeptOverARestart) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    pass(hours(1));
    moment.wall -= kDay;
    pass(seconds(2));
    restart();
    pass(minutes(59));
    EXPECT_TRUE(in_maintenance());
    pass(minutes(1));
    EXPECT_FALSE(in_maintenance());
}

TEST_F(SetClockTest, AcrossARestartTheTimeOfDayCounts) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    core->stop();
    core.reset();
    moment.wall += hours(3);
    start();
    EXPECT_FALSE(in_maintenance());
}

TEST_F(SetClockTest, APeersWindowIsTheSameAsBefore) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    Maintenance theirs = window();  // which its shell has in times of the clock here
    for (const seconds by : {seconds(-kDay), kDay + seconds(7)}) {
        moment.wall += by;
        theirs.since += by + milliseconds(300);
        theirs.until += by + milliseconds(300);
        const base::WallTime until = window().until + by;
        core->merge_maintenance({theirs}, moment);
        EXPECT_EQ(window().until, until) << "neither is newer";
        EXPECT_EQ(window().revision, 1U);
    }
}

TEST_F(SetClockTest, SlewingMovesNoEnd) {
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    const base::WallTime until = window().until;
    for (int i = 0; i < 100; ++i) {
        moment.wall += milliseconds(80);
        pass(seconds(1));
    }
    EXPECT_EQ(window().until, until);
}

TEST_F(SetClockTest, AgentsHaveTheNewTimeBeforeTheNewEnd) {
    Maintenance forced{"m1", MaintenanceScope::guest, "g1", moment.wall, moment.wall + hours(2), "disks", "eva"};
    forced.force = true;
    ASSERT_TRUE(core->begin_maintenance(forced, moment));
    pass(seconds(1));
    sent.clear();
    moment.wall -= kDay;
    pass(seconds(1));
    const auto& messages = sent["compute-1"];
    ASSERT_EQ(messages.size(), 2U);
    ASSERT_TRUE(std::holds_alternative<bus::Welcome>(messages[0]));
    ASSERT_TRUE(std::holds_alternative<bus::GuestMaintenance>(messages[1]));
    EXPECT_EQ(std::get<bus::GuestMaintenance>(messages[1]).items.at(0).forced_until, window().until);
}

TEST_F(SetClockTest, BackLeavesAFaultNewThatComesAfterItsGuestWasDeleted) {
    source.names_all = true;
    remove("g1");
    pass(minutes(1));
    moment.wall -= kDay;
    place("g1", "compute-1");
    report("compute-1", f1);
    source.names_all = false;
    pass(minutes(1));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(SetClockTest, BackLeavesWhatIsReceivedAfterMaintenanceBeganWithinIt) {
    bus::Hello standby = hello("compute-1");
    standby.is_primary = false;
    up(standby);
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1"));
    pass(minutes(10));
    moment.wall -= kDay;
    pass(seconds(1));
    report("compute-1", f1);
    message("compute-1", bus::PrimaryChanged{true, {}, {}});
    clear_f1();
    EXPECT_THAT(take(), IsEmpty()) << "nobody was told of its raise";
}

TEST_F(SetClockTest, BackLeavesAHostRemovedThatIsRemovedAtAnotherController) {
    down("compute-1");
    pass(seconds(10));
    moment.wall -= kDay;
    pass(minutes(1));
    core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", host_removed(), moment);
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
}

TEST_F(SetClockTest, BackLeavesAnAlarmClosedThatIsClosedAtAnotherController) {
    const base::FaultId lost("agent_lost.compute-1");
    down("compute-1");
    pass(seconds(10));
    ASSERT_THAT(take(), Contains("agent_lost.compute-1 opened 1"));
    moment.wall -= kDay;
    pass(minutes(1));
    Journal::Part part = closed("known");
    part.alarm = core->alarms().internal().all().at(lost);
    core->merge_journal(lost, "ctl-2", part, moment);
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 cleared 2"));
}

}  // namespace
}  // namespace vitalwire::controller
