// Which guests an agent is to notify of a maintenance, and which may reject nothing in it.
#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MaintenanceSyncTest : public CoreTest {
protected:
    MaintenanceSyncTest() {
        place("g1", "compute-1");
        place("g2", "compute-1");
        place("g3", "compute-2");
        up(hello("compute-1"), {}, {answering("g1"), answering("g2")});
        up(hello("compute-2"), {}, {answering("g3")});
        sent.clear();
    }
    Maintenance window(MaintenanceScope scope, const std::string& name) const {
        Maintenance made{"m1", scope, name, moment.wall, moment.wall + hours(2), "new disks", "eva"};
        made.notify = true;
        return made;
    }
    void begin(const Maintenance& made) {
        ASSERT_TRUE(core->begin_maintenance(made, moment));
        pass(base::Millis(1));
    }
    void end() {
        ASSERT_TRUE(core->end_maintenance("m1", moment));
        pass(base::Millis(1));
    }
    /// What the agent was sent since: "g1 notify", "g2 force", "g3 over"; "-" for a list of none.
    std::vector<std::string> told(const std::string& host) {
        std::vector<std::string> lines;
        for (const auto& message : received<bus::GuestMaintenance>(host)) {
            for (const auto& item : message.items)
                lines.push_back(item.guest.str() + (item.notify ? " notify" : "") +
                                (item.forced_until != base::WallTime{} ? " force" : ""));
            for (const auto& guest : message.over)
                lines.push_back(guest.str() + " over");
            if (message.items.empty() && message.over.empty()) lines.emplace_back("-");
        }
        sent.clear();
        return lines;
    }
    void gone(const std::string& host, const std::string& guest) {
        message(host, bus::GuestGone{base::GuestId(guest)});
        pass(base::Millis(1));
    }
};

TEST_F(MaintenanceSyncTest, TheAgentOfAHostInMaintenanceIsSentItsGuestsAndThatItIsOver) {
    begin(window(MaintenanceScope::host, "compute-1"));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
    end();
    EXPECT_THAT(told("compute-1"), ElementsAre("-"));
}

TEST_F(MaintenanceSyncTest, AgentsWithoutAGuestInItAreSentNothingNew) {
    begin(window(MaintenanceScope::guest, "g1"));
    EXPECT_THAT(received<bus::GuestMaintenance>("compute-2"), IsEmpty());
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify"));
}

TEST_F(MaintenanceSyncTest, OneThatNotifiesNobodyIsNotSent) {
    Maintenance silent = window(MaintenanceScope::all, "");
    silent.notify = false;
    begin(silent);
    EXPECT_THAT(told("compute-1"), IsEmpty());
}

TEST_F(MaintenanceSyncTest, ItEndsByItself) {
    begin(window(MaintenanceScope::all, ""));
    EXPECT_THAT(told("compute-2"), ElementsAre("g3 notify"));
    pass(hours(2) + seconds(2));
    EXPECT_THAT(told("compute-2"), ElementsAre("-"));
}

TEST_F(MaintenanceSyncTest, AGuestThatComesToTheHostIsAdded) {
    begin(window(MaintenanceScope::host, "compute-2"));
    told("compute-2");
    message("compute-2", bus::Guests{{answering("g4")}, {}});
    pass(base::Millis(1));
    EXPECT_THAT(told("compute-2"), ElementsAre("g3 notify", "g4 notify"));
}

TEST_F(MaintenanceSyncTest, WhereAGuestMovesToItIsOverForItOnceItsFirstHostHasItNoMore) {
    begin(window(MaintenanceScope::host, "compute-1"));
    sent.clear();
    message("compute-2", bus::Guests{{answering("g1")}, {}});
    pass(base::Millis(1));
    EXPECT_THAT(told("compute-2"), IsEmpty()) << "it migrates";
    gone("compute-1", "g1");
    EXPECT_THAT(told("compute-2"), ElementsAre("g1 over"));
    pass(seconds(5));
    EXPECT_THAT(told("compute-2"), IsEmpty());
}

TEST_F(MaintenanceSyncTest, AMemberThatJoinsTheGroupIsAdded) {
    InventoryGuest guest = placed("g1", "compute-1");
    guest.group = base::GroupId("databases");
    change(guest);
    inventory.put_group({base::GroupId("databases"), "db", "p"});
    begin(window(MaintenanceScope::group, "databases"));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify"));
    InventoryGuest other = placed("g2", "compute-1");
    other.group = guest.group;
    change(other);
    pass(seconds(2));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
}

TEST_F(MaintenanceSyncTest, AnAgentThatConnectsAgainIsSentWhatLasts) {
    begin(window(MaintenanceScope::host, "compute-1"));
    down("compute-1");
    sent.clear();
    up(hello("compute-1"), {}, {answering("g1"), answering("g2")});
    pass(seconds(1));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
}

TEST_F(MaintenanceSyncTest, OnlyThePrimarySendsIt) {
    message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
    begin(window(MaintenanceScope::host, "compute-1"));
    EXPECT_THAT(told("compute-1"), IsEmpty());
    message("compute-1", bus::PrimaryChanged{true, "ctl", {"ctl"}});
    pass(seconds(1));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
}

TEST_F(MaintenanceSyncTest, WhileTheInventoryIsNotKnownNothingIsSent) {
    begin(window(MaintenanceScope::host, "compute-1"));
    restart();
    source.loaded = false;
    sent.clear();
    up(hello("compute-1"), {}, {answering("g1"), answering("g2")});
    pass(seconds(1));
    EXPECT_THAT(told("compute-1"), IsEmpty());
    source.loaded = true;
    pass(seconds(1));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
}

TEST_F(MaintenanceSyncTest, WhoProlongsItNeedsNotSayAgainThatGuestsAreNotified) {
    begin(window(MaintenanceScope::host, "compute-1"));
    Maintenance longer = window(MaintenanceScope::host, "compute-1");
    longer.notify = false;
    longer.until += hours(2);
    begin(longer);
    pass(hours(3));
    EXPECT_THAT(told("compute-1"), ElementsAre("g1 notify", "g2 notify"));
}

TEST_F(MaintenanceSyncTest, OneThatIsForcedCarriesItsEnd) {
    Maintenance forced = window(MaintenanceScope::guest, "g1");
    forced.notify = false;
    forced.force = true;
    begin(forced);
    const auto messages = received<bus::GuestMaintenance>("compute-1");
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_THAT(messages[0].items, ElementsAre(bus::GuestMaintenance::Item{base::GuestId("g1"), false, forced.until}));
}

}  // namespace
}  // namespace vitalwire::controller
