#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kCopiesOfNowhere = "agents claim that guests answer which were never on their hosts";
constexpr const char* kClaims = "agents claim guests that are being moved to another host";

class AuthorityTest : public CoreTest {
protected:
    /// Nova migrates g1, and has announced it to `partner`.
    static InventoryGuest moving(const std::string& host, const std::string& partner) {
        InventoryGuest guest = placed("g1", host);
        guest.state_description = "migrating";
        guest.move_partner = base::HostId(partner);
        return guest;
    }
};

TEST_F(AuthorityTest, WhoKnowsTheIdOfAnAbsentHostsFaultCannotEndIt) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    up(hello("compute-9"));
    down("compute-1");
    take();
    for (int second = 0; second < 20; ++second) {
        report("compute-9", cleared(f1));
        pass(seconds(1));
    }
    EXPECT_THAT(take(), ::testing::Not(::testing::Contains(HasSubstr("f1 cleared"))));
    EXPECT_EQ(tracked("f1")->host, base::HostId("compute-1"));
}

TEST_F(AuthorityTest, TheGuestsNewHostContinuesTheFaultOfOneThatHasGone) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    up(hello("compute-2"));
    down("compute-1");
    pass(seconds(6));
    place("g1", "compute-2");
    report("compute-2", f1);
    EXPECT_EQ(tracked("f1")->host, base::HostId("compute-2"));
}

TEST_F(AuthorityTest, ACloneOfAHostIsNotTakenForItWhenThatDies) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    auto clone = hello("compute-2");
    clone.state = "state-of-compute-1";
    up(clone);
    message("compute-1", bus::Guests{{}, {}});
    pass(seconds(2));
    EXPECT_EQ(problem("several hosts have one agent state"), "compute-1 and compute-2");
    down("compute-1");
    pass(seconds(20));
    EXPECT_THAT(take(), ::testing::Not(::testing::Contains(HasSubstr("f1 cleared"))));
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr);
    EXPECT_TRUE(core->self_monitoring().open_of_kind("agent_lost") > 0);
}

TEST_F(AuthorityTest, AFaultOfAnotherHostsGuestIsStoredNamedAndNotDelivered) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    up(hello("compute-9"));
    report("compute-9", open_fault("g1", "f1", model::FaultKind::vm_crashed));
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(tracked("f1")->withheld);
    EXPECT_THAT(problem(kForeign), HasSubstr("compute-9 reports vm_crashed of guest g1 on compute-1"));
    EXPECT_EQ(refreshed, 1) << "the inventory may be behind";
    report("compute-9", cleared(open_fault("g1", "f1", model::FaultKind::vm_crashed)));
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(tracked("f1"), nullptr);
    EXPECT_EQ(problem(kForeign), "");
    ASSERT_EQ(received<bus::FaultsDelivered>("compute-9").size(), 1U) << "it may erase it";
}

TEST_F(AuthorityTest, AWithheldFaultIsDeliveredOnceTheInventoryHasTheGuestThere) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    up(hello("compute-2"));
    report("compute-2", f1);
    EXPECT_THAT(take(), IsEmpty());
    place("g1", "compute-2");
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    report("compute-2", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(AuthorityTest, AWithheldFaultStaysWithheldWhenTheCloudDeletesTheGuestAlsoOverARestart) {
    source.names_all = true;
    place("g1", "compute-1");
    up(hello("compute-1"));
    up(hello("compute-9"), {}, {answering("g1", "crashed")});
    report("compute-9", open_fault("g1", "f1", model::FaultKind::vm_crashed));
    remove("g1");
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem(kForeign), HasSubstr("compute-9 reports vm_crashed of guest g1, which is deleted"));
    restart();
    up(hello("compute-9", "state", 2), {open_fault("g1", "f1", model::FaultKind::vm_crashed)});
    pass(seconds(20));
    EXPECT_THAT(take(), ::testing::Not(::testing::Contains("f1 opened 1")));
}

TEST_F(AuthorityTest, AHostThatWasAwayReportsNothingOfAGuestThatTheCloudHasDeletedSince) {
    source.names_all = true;
    place("g1", "compute-1");
    up(hello("compute-1"));
    place("g1", "compute-2");
    remove("g1");
    up(hello("compute-9"), {}, {answering("g1", "crashed")});
    report("compute-9", open_fault("g1", "f1", model::FaultKind::vm_crashed));
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(tracked("f1")->withheld);
}

TEST_F(AuthorityTest, AWithheldFaultStaysWithheldOverARestart) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    up(hello("compute-9"));
    report("compute-9", f1);
    restart();
    up(hello("compute-9", "state", 2), {f1});
    pass(seconds(20));
    EXPECT_THAT(take(), ::testing::Not(::testing::Contains("f1 opened 1")));
}

TEST_F(AuthorityTest, DuringAMoveTheHostThatItIsAnnouncedToMayReportItsCopyToo) {
    change(moving("compute-1", "compute-2"));
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    up(hello("compute-3"));
    report("compute-2", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    report("compute-3", open_fault("g1", "f3"));
    EXPECT_THAT(take(), IsEmpty()) << "it holds no copy";
}

TEST_F(AuthorityTest, WhereAGuestCameFromMayReportItsCopyUntilTheMoveEnds) {
    change(moving("compute-2", "compute-1"));
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    report("compute-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    place("g1", "compute-2");
    report("compute-1", open_fault("g1", "f2", model::FaultKind::vm_crashed));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(AuthorityTest, AThirdHostThatAloneClaimsAGuestThatMovesIsNotBelieved) {
    place("g1", "compute-1");
    auto leaving = answering("g1");
    leaving.hold = "migrating";
    up(hello("compute-1"), {f1}, {leaving});
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    up(hello("compute-9"), {}, {answering("g1")});
    for (const bool announced : {false, true}) {
        if (announced) change(moving("compute-1", "compute-2"));
        report("compute-9", open_fault("g1", "f9", model::FaultKind::vm_crashed));
        report("compute-9", cleared(f1));
        message("compute-9", bus::GroupSend{1, base::GuestId("g1"), "hello"});
        pass(seconds(5));
        EXPECT_THAT(take(), IsEmpty());
        EXPECT_TRUE(tracked("f1")->fault.open());
        EXPECT_THAT(problem(kForeign), HasSubstr("compute-9 reports vm_crashed of guest g1 on compute-1"));
    }
    EXPECT_TRUE(received<bus::GroupAccepted>("compute-9").empty());
    EXPECT_EQ(problem(kClaims), "guest g1 of compute-1: compute-9") << "it is announced to another one";
    place("g1", "compute-2");
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(5));
    EXPECT_EQ(problem(kClaims), "");
    EXPECT_EQ(core->self_monitoring().open_of_kind("running_twice"), 1U) << "the move is over, and it goes on";
}

TEST_F(AuthorityTest, OfAMoveThatOnlyTheHypervisorAnnouncesTheDestinationWaitsForTheInventory) {
    place("g1", "compute-1");
    auto leaving = answering("g1");
    leaving.hold = "migrating";
    up(hello("compute-1"), {}, {leaving});
    up(hello("compute-2"), {}, {answering("g1")});
    report("compute-2", f1);
    pass(seconds(1));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(refreshed, 1) << "which is asked at once";
    EXPECT_EQ(problem(kClaims), "") << "one of them is the destination";
    up(hello("compute-3"), {}, {answering("g1")});
    pass(seconds(1));
    EXPECT_EQ(problem(kClaims), "guest g1 of compute-1: compute-2, compute-3");
    place("g1", "compute-2");
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(AuthorityTest, WithoutAnInventoryTheFirstLivingHolderOwnsTheGuest) {
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    report("compute-2", f1);
    EXPECT_THAT(take(), IsEmpty());
    down("compute-1");
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(AuthorityTest, AFullHostNameOwnsWhatTheInventoryHasOnTheShortOne) {
    place("g1", "compute-1.example.net");
    up(hello("COMPUTE-1"));
    report("COMPUTE-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    ASSERT_FALSE(received<bus::Policies>("COMPUTE-1").empty());
    EXPECT_EQ(received<bus::Policies>("COMPUTE-1").back().policies.size(), 1U);
}

TEST_F(AuthorityTest, CopiesThatAnswerOnTwoHostsAreAnAlarm) {
    place("g1", "compute-2");
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty()) << "a report of a migration may be late";
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 opened 1"));
    message("compute-2", bus::GuestGone{base::GuestId("g1")});
    pass(seconds(2));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 cleared 2"));
}

TEST_F(AuthorityTest, AHostWhereAGuestNeverWasCannotMakeItASplitBrain) {
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-9"), {}, {answering("g1")});
    pass(seconds(10));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(problem(kCopiesOfNowhere), "guest g1 of compute-1: compute-9");
    down("compute-9");
    pass(seconds(2));
    EXPECT_EQ(problem(kCopiesOfNowhere), "");
}

TEST_F(AuthorityTest, ACopyOnTheHostThatAFailedMoveWasAnnouncedToIsAnAlarm) {
    change(moving("compute-1", "compute-2"));
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(5));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 opened 1"));
}

TEST_F(AuthorityTest, ACopyOnTheHostWhereAGuestWasBeforeTheControllersRestartIsAnAlarm) {
    place("g1", "compute-1");
    pass(seconds(1));
    core->stop();
    core.reset();
    inventory = Inventory();
    source.loaded = false;
    start();
    source.loaded = true;
    place("g1", "compute-2");
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(5));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 opened 1"));
}

TEST_F(AuthorityTest, ACopyThatFallsSilentHasNotEnded) {
    place("g1", "compute-2");
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(5));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 opened 1"));
    for (const char* state : {"lost", "held", "registered"}) {
        message("compute-2", bus::Guests{{answering("g1", state)}, {}});
        pass(seconds(5));
        EXPECT_THAT(take(), IsEmpty()) << state;
    }
    message("compute-2", bus::Guests{{answering("g1", "crashed")}, {}});
    pass(seconds(2));
    EXPECT_THAT(take(), ElementsAre("running_twice.g1 cleared 2"));
}

TEST_F(AuthorityTest, ACopyThatIsRegisteredButNeverAnsweredIsNoSecondOne) {
    place("g1", "compute-1");
    auto stale = answering("g1");
    stale.responses = 0;
    up(hello("compute-1"), {}, {answering("g1")});
    up(hello("compute-2"), {}, {stale});
    pass(seconds(10));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(AuthorityTest, AnEvacuatedHostThatComesBackSpeaksForNoneOfItsStaleCopies) {
    place("g1", "compute-1");
    up(hello("compute-1"), {}, {answering("g1")});
    down("compute-1");
    place("g1", "compute-2");
    up(hello("compute-2"), {}, {answering("g1")});
    up(hello("compute-1", "state", 2));
    report("compute-1", open_fault("g1", "f1", model::FaultKind::vm_crashed));
    pass(seconds(30));
    EXPECT_THAT(take(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
