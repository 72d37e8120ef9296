#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class KnownGuestsTest : public CoreTest {
protected:
    /// The controller comes back, and nobody can read the inventory.
    void restart_without_inventory() {
        core->stop();
        core.reset();
        inventory = Inventory();
        source.loaded = false;
        start();
    }
    void read_inventory(const std::vector<InventoryGuest>& guests) {
        source.loaded = true;
        core->inventory_changed(inventory.replace({guests, {}}), moment);
    }
    std::vector<std::string> covered() {
        std::vector<std::string> lines;
        Coverage::Walk walk(core->coverage());
        while (walk.turn([&](const Covered& one) {
            lines.push_back(one.guest.str() + " " + std::string(to_string(one.watch)) + " " + one.why);
        })) {
        }
        return lines;
    }
    std::size_t rows_of(const std::string& table) { return disk[table].size(); }
};

TEST_F(KnownGuestsTest, UntilTheInventoryIsReadAHostReportsNothingOfAGuestThatWasElsewhere) {
    place("g1", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-9"), {f1});
    pass(seconds(20));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem(kForeign), HasSubstr("compute-9 reports heartbeat_lost of guest g1 on compute-1 before the "
                                             "restart, and the inventory has not been read since"));
    read_inventory({placed("g1", "compute-1")});
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem(kForeign), HasSubstr("g1 on compute-1"));
}

TEST_F(KnownGuestsTest, WhatWaitedForTheInventoryIsDeliveredWhenThatHasTheGuestThere) {
    place("g1", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-2"), {f1});
    read_inventory({placed("g1", "compute-2")});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(KnownGuestsTest, TheOwnerFromBeforeTheRestartAndOfUnknownGuestsAnybodyReports) {
    place("g1", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-1"), {f1});
    up(hello("compute-9"), {open_fault("g2", "f2")});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1", "f2 opened 1"));
}

TEST_F(KnownGuestsTest, TheOwnerFromBeforeTheRestartIsFoundByItsOtherSpelling) {
    place("g1", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-1.example.net"), {f1});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(KnownGuestsTest, BothHostsOfAMoveFromBeforeTheRestartReportTheirCopies) {
    InventoryGuest moving = placed("g1", "compute-1");
    moving.state_description = "migrating";
    moving.move_partner = base::HostId("compute-2");
    change(moving);
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-2"), {f1}, {answering("g1")});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(KnownGuestsTest, UntilTheInventoryIsReadNoFaultEndsByAnAnswerFromElsewhere) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    down("compute-1");
    pass(seconds(1));
    take();
    restart_without_inventory();
    up(hello("compute-9"), {}, {answering("g1")});
    pass(seconds(20));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1 cleared"))));
}

TEST_F(KnownGuestsTest, CoverageNamesWhatTheInventoryAskedForUntilItIsRead) {
    place("g1", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    EXPECT_THAT(covered(), ElementsAre("g1 uncovered no agent on its host"));
    read_inventory({});
    EXPECT_THAT(covered(), IsEmpty());
}

TEST_F(KnownGuestsTest, CoverageNamesRegisteredGuestsOfAnAgentThatHasNotComeBack) {
    up(hello("compute-1"), {}, {answering("g1"), answering("g2", "unregistered")});
    down("compute-1");
    pass(seconds(1));
    restart_without_inventory();
    EXPECT_THAT(covered(), ElementsAre("g1 uncovered its agent is not connected"));
    read_inventory({});
    EXPECT_THAT(covered(), ElementsAre("g1 uncovered its agent is not connected"));
}

TEST_F(KnownGuestsTest, ARegistrationIsHandedBackToAnAgentThatLostItWhileTheControllerWasRestarted) {
    up(hello("compute-1", "first"), {}, {answering("g1")});
    down("compute-1");
    pass(seconds(1));
    restart_without_inventory();
    up(hello("compute-1", "fresh"));
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].guests.size(), 1U);
    EXPECT_EQ(handed[0].guests[0].guest, base::GuestId("g1"));
}

TEST_F(KnownGuestsTest, WhatIsGoneIsErasedFromDisk) {
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1"), answering("g2"), answering("g3")});
    pass(seconds(1));
    EXPECT_EQ(rows_of("places"), 1U);
    EXPECT_EQ(rows_of("guests"), 3U);
    remove("g1");
    message("compute-1", bus::GuestGone{base::GuestId("g1")});
    message("compute-1", bus::Guests{{answering("g2", "unregistered")}, {}});
    pass(seconds(1));
    EXPECT_EQ(rows_of("places"), 0U);
    EXPECT_EQ(rows_of("guests"), 1U);
    down("compute-1");
    up(hello("compute-1"));
    pass(seconds(1));
    EXPECT_EQ(rows_of("guests"), 0U) << "its snapshot did not mention it";
}

TEST_F(KnownGuestsTest, WhatTheInventoryNoLongerHasWhenItIsReadIsErasedFromDisk) {
    place("g1", "compute-1");
    place("g2", "compute-1");
    pass(seconds(1));
    restart_without_inventory();
    read_inventory({placed("g2", "compute-2")});
    pass(seconds(1));
    EXPECT_EQ(disk["places"].size(), 1U);
    EXPECT_THAT(disk["places"]["g2"], HasSubstr("compute-2"));
}

TEST_F(KnownGuestsTest, OfALargeCloudNoTurnWritesMoreThanAFewRows) {
    std::vector<InventoryGuest> guests;
    for (int i = 0; i < 1000; ++i)
        guests.push_back(placed("g" + std::to_string(i), "compute-" + std::to_string(i % 10)));
    read_inventory(guests);
    std::size_t most = 0;
    for (std::size_t before = 0; rows_of("places") < 1000; before = rows_of("places")) {
        pass(base::Millis(10));
        most = std::max(most, rows_of("places") - before);
    }
    EXPECT_LE(most, 200U);
}

TEST_F(KnownGuestsTest, WhatOnlyCountsIsNotWrittenAgain) {
    up(hello("compute-1"), {}, {answering("g1")});
    pass(seconds(1));
    disk["guests"].clear();
    auto later = answering("g1");
    later.responses = 1000;
    later.hold = "paused";
    message("compute-1", bus::Guests{{later}, {}});
    pass(seconds(1));
    EXPECT_EQ(rows_of("guests"), 0U);
}

}  // namespace
}  // namespace vitalwire::controller
