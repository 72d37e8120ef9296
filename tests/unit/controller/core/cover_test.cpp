#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// What a window covers while names, groups and controllers come and go.
class CoverTest : public CoreTest {
protected:
    base::Result<Maintenance> begin(MaintenanceScope scope, const std::string& name) {
        Maintenance window{"m1", scope, name, moment.wall, moment.wall + hours(2), "new disks", "eva"};
        return core->begin_maintenance(window, moment);
    }
};

TEST_F(CoverTest, AFaultIsSentWhenItsGuestLeavesWhatIsInMaintenance) {
    InventoryGuest member = placed("g1", "compute-1");
    member.group = base::GroupId("db");
    inventory.put_group({base::GroupId("db"), "databases", ""});
    place("g1", "compute-1");
    change(member);
    up(hello("compute-1"));
    ASSERT_TRUE(begin(MaintenanceScope::group, "db"));
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    member.group = {};
    change(member);
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(CoverTest, MaintenanceOfAHostOutlastsAnotherFormOfItsAgentsName) {
    place("g1", "compute-1");
    up(hello("compute-1.site.net"));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1.site.net"));
    EXPECT_EQ(core->maintenance().all().at("m1").name, "compute-1") << "as the inventory has it";
    down("compute-1.site.net");
    up(hello("compute-1"));
    report("compute-1", f1);
    run_deferred();
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(CoverTest, AFaultThatIsOverElsewhereIsInTheHistoryHere) {
    TrackedFault past{f1, base::HostId("compute-1")};
    core->learn_past(past);
    EXPECT_EQ(core->alarms().history().find(f1.id), nullptr) << "it is open";
    past.fault.revision = 2;
    past.fault.cleared_at = moment.wall;
    core->learn_past(past);
    EXPECT_NE(core->alarms().history().find(f1.id), nullptr);
    restart();
    EXPECT_NE(core->alarms().history().find(f1.id), nullptr);
    EXPECT_THAT(take(), IsEmpty()) << "nobody is told";
}

}  // namespace
}  // namespace vitalwire::controller
