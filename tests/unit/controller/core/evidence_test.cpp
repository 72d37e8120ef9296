#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A fault of g1 on compute-1 is open and delivered.
class EvidenceTest : public CoreTest {
protected:
    EvidenceTest() {
        place("g1", "compute-1");
        up(hello("compute-1"));
        report("compute-1", f1);
        take();
    }
    /// The detail of the first entry of that kind in f1's journal.
    std::string journal(const std::string& what) const {
        const Journal::Record* record = core->alarms().journal().find(f1.id);
        if (record == nullptr) return "";
        for (const JournalEntry& entry : record->entries) {
            if (entry.what == what) return entry.detail;
        }
        return "";
    }
    std::string clear_reason() const {
        const auto* past = core->alarms().history().find(f1.id);
        return past == nullptr ? "" : past->tracked.fault.clear_reason;
    }
};

TEST_F(EvidenceTest, AnAgentThatComesBackWithoutItsStateClearsNothing) {
    up(hello("compute-1", "another"), {}, {});
    pass(std::chrono::hours(1));
    EXPECT_THAT(take(), IsEmpty());
    const auto unconfirmed = core->evidence().unconfirmed(*tracked("f1"));
    ASSERT_TRUE(unconfirmed);
    EXPECT_EQ(unconfirmed->why, "its agent came back without its state");
    EXPECT_EQ(journal("unconfirmed"), unconfirmed->why);
    restart();
    EXPECT_TRUE(tracked("f1")->unconfirmed) << "also after a restart of this controller";
}

TEST_F(EvidenceTest, TheFreshAgentIsHandedBackWhatItLost) {
    message("compute-1", bus::Guests{{answering("g1", "lost"), answering("g2")}, {}});
    sent.clear();
    up(hello("compute-1", "another"), {}, {answering("g2")});
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    EXPECT_TRUE(handed[0].last);
    ASSERT_EQ(handed[0].faults.size(), 1U);
    EXPECT_EQ(handed[0].faults[0].id, f1.id);
    ASSERT_EQ(handed[0].guests.size(), 1U) << "g2 it knows itself";
    EXPECT_EQ(handed[0].guests[0].guest, base::GuestId("g1"));
    report("compute-1", f1);
    EXPECT_FALSE(core->evidence().unconfirmed(*tracked("f1"))) << "it has adopted it";
    report("compute-1", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(EvidenceTest, AGuestWhoseChannelTheFreshAgentSeesIsHandedBackAsRegistered) {
    bus::Hello first = hello("compute-1");
    first.boot = "boot-1";
    up(first, {f1}, {answering("g1", "lost"), answering("g2")});
    sent.clear();
    up(hello("compute-1", "another"), {}, {answering("g2", "unregistered")});
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].guests.size(), 2U);
    EXPECT_EQ(handed[0].guests[1].guest, base::GuestId("g2"));
    EXPECT_EQ(handed[0].boot, "boot-1");
}

TEST_F(EvidenceTest, AContinuousAgentIsHandedNothingAndItsWordCounts) {
    up(hello("compute-1", "state", 2));
    EXPECT_THAT(received<bus::HandBack>("compute-1"), IsEmpty());
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kForgotten);
}

TEST_F(EvidenceTest, AnAnswerEndsAnUnconfirmedFaultARegistrationDoesNot) {
    auto registered = answering("g1");
    registered.responses = 0;
    up(hello("compute-1", "another"), {}, {registered});
    pass(seconds(10));
    EXPECT_THAT(take(), IsEmpty()) << "an init is a claim";
    message("compute-1", bus::Guests{{answering("g1")}, {}});
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kGuestAnswers);
}

TEST_F(EvidenceTest, AnUnhealthyGuestThatAnswersUnhealthyStaysUnhealthy) {
    report("compute-1", open_fault("g1", "u1", model::FaultKind::unhealthy));
    take();
    up(hello("compute-1", "another"), {}, {answering("g1", "unhealthy")});
    pass(seconds(2));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    message("compute-1", bus::Guests{{answering("g1")}, {}});
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("u1 cleared 2"));
}

TEST_F(EvidenceTest, AnAgentThatIsAwayVouchesForNothingAndEndsNothing) {
    down("compute-1");
    pass(std::chrono::hours(1));
    EXPECT_THAT(take(), Not(Contains("f1 cleared 2")));
    EXPECT_EQ(core->evidence().unconfirmed(*tracked("f1"))->why, "its agent is not connected");
}

TEST_F(EvidenceTest, TheInventoryEndsNothingThatAConnectedAgentReports) {
    source.names_all = true;
    place("g1", "compute-2");
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem("the inventory has guests elsewhere whose agent reports an open fault"),
                HasSubstr("compute-1 reports heartbeat_lost of guest g1"));
    remove("g1");
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(EvidenceTest, TheCloudsWordEndsItOnceTheOldHostIsGone) {
    up(hello("compute-2"));
    place("g1", "compute-2");
    down("compute-1");
    pass(seconds(4));
    EXPECT_THAT(take(), Not(Contains("f1 cleared 2"))) << "a restart of the agent takes that long";
    pass(seconds(3));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kGuestMoved);
}

TEST_F(EvidenceTest, AnAnswerOnTheHostThatTheCloudNamesEndsItAlthoughTheOldHostStillReportsIt) {
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty()) << "the cloud has it on compute-1";
    place("g1", "compute-2");
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty()) << "what the old host repeats opens it not again";
}

TEST_F(EvidenceTest, AnOpenFaultOfTheOwnersAgentIsOpenAlthoughTheInventoryHadEndedIt) {
    up(hello("compute-2"));
    down("compute-1");
    place("g1", "compute-2");
    pass(seconds(10));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    place("g1", "compute-1");
    model::Fault again = f1;
    again.delivered = 1;  // its agent knows that it was told
    up(hello("compute-1"), {again});
    EXPECT_THAT(take(), Contains("f1 opened 1"));
}

TEST_F(EvidenceTest, WhatAnOperatorClosedStaysClosedWhenItsAgentReturns) {
    ASSERT_TRUE(core->clear_by_operator(f1.id, "known", moment));
    run_deferred();
    take();
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(EvidenceTest, WhatAnOperatorClosesItsAgentIsAskedToClose) {
    sent.clear();
    ASSERT_TRUE(core->clear_by_operator(f1.id, "known", moment));
    run_deferred();
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].faults.size(), 1U);
    EXPECT_EQ(handed[0].faults[0].revision, 2U);
    EXPECT_EQ(handed[0].faults[0].clear_reason, kByOperator);
}

TEST_F(EvidenceTest, AnUpdateThatCrossesTheOperatorsCloseOpensNothingAgain) {
    ASSERT_TRUE(core->clear_by_operator(f1.id, "known", moment));
    run_deferred();
    take();
    model::Fault updated = f1;
    ++updated.revision;
    sent.clear();
    report("compute-1", updated);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(received<bus::HandBack>("compute-1").size(), 1U);
}

TEST_F(EvidenceTest, ACopyOfTheStateFromBeforeTheFaultEndsNothing) {
    message("compute-1", bus::Faults{{f1}, {}, 8});
    restart();
    auto returned = hello("compute-1");
    returned.state_changes = 7;
    up(returned);
    pass(std::chrono::hours(1));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(core->evidence().unconfirmed(*tracked("f1")));
    EXPECT_EQ(received<bus::HandBack>("compute-1").size(), 1U);
}

TEST_F(EvidenceTest, ACloneFromBeforeTheFaultEndsNothingWhateverItHasCountedSince) {
    message("compute-1", bus::Faults{{f1}, {}, 8});
    const std::string original = core->fleet().find(base::HostId("compute-1"))->instance;
    down("compute-1");
    auto clone = hello("compute-1");
    clone.state_changes = 30;
    clone.lives = {{original, 7}};
    up(clone);
    pass(std::chrono::hours(1));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(core->evidence().unconfirmed(*tracked("f1")));
}

TEST_F(EvidenceTest, ACopyOfTheStateFromBeforeARegistrationIsHandedItBack) {
    message("compute-1", bus::Guests{{answering("g2")}, {}, 9});
    auto returned = hello("compute-1");
    returned.state_changes = 8;
    sent.clear();
    up(returned, {f1});
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].guests.size(), 1U);
    EXPECT_EQ(handed[0].guests[0].guest, base::GuestId("g2"));
}

TEST_F(EvidenceTest, ACopyOfTheStateFromBeforeTheClearOpensNothingAgain) {
    report("compute-1", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    sent.clear();
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty());
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].faults.size(), 1U);
    EXPECT_FALSE(handed[0].faults[0].open());
}

TEST_F(EvidenceTest, AnOldCopyWithAnEarlierFaultKeepsTheLaterOne) {
    report("compute-1", cleared(f1));
    report("compute-1", open_fault("g1", "f2"));
    take();
    up(hello("compute-1", "another"), {f1});
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(tracked("f2")->fault.open());
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 2U) << "first what has ended, then what is open";
    EXPECT_EQ(handed[1].faults[0].id, base::FaultId("f2"));
}

TEST_F(EvidenceTest, AnOldRevisionOfAnOpenFaultReplacesNoNewerOne) {
    model::Fault updated = f1;
    updated.revision = 3;
    updated.reason = "newer";
    report("compute-1", updated);
    take();
    sent.clear();
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(tracked("f1")->fault.revision, 3U);
    EXPECT_FALSE(tracked("f1")->unconfirmed) << "its agent vouches for it";
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    EXPECT_EQ(handed[0].faults[0].reason, "newer");
}

TEST_F(EvidenceTest, AnAgentVouchesForNothingBeforeItsSnapshot) {
    up(hello("compute-2"), {}, {answering("g1")});
    take();
    down("compute-2");
    place("g1", "compute-2");
    core->agent_up(0, hello("compute-2"), "peer", moment);
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty()) << "its answers are of an earlier connection";
}

TEST_F(EvidenceTest, ACopyOfAStateThatWasStartedAsOftenIsNotContinuous) {
    up(hello("compute-1", "state", 7), {f1});
    take();
    up(hello("compute-1", "state", 7), {});
    EXPECT_THAT(take(), IsEmpty()) << "unconfirmed, not ended";
    EXPECT_TRUE(core->evidence().unconfirmed(*tracked("f1")));
}

TEST_F(EvidenceTest, AShortHostNameIsNoMove) {
    place("g1", "compute-1.example.net");
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains("f1 cleared 2")));
    up(hello("compute-1", "state", 2), {f1});
    EXPECT_TRUE(tracked("f1")->fault.open());
}

TEST_F(EvidenceTest, ANameThatTwoHostsMayHaveIsNoMove) {
    up(hello("compute-9.a.net"), {open_fault("g9", "f9")});
    up(hello("compute-9.b.net"));
    place("g9", "compute-9");
    take();
    down("compute-9.a.net");
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains("f9 cleared 2")));
    EXPECT_TRUE(tracked("f9")->fault.open());
}

TEST_F(EvidenceTest, NovasWordEndsTheFaultOfAServerThatItStoppedDeletedOrShelved) {
    source.names_all = true;
    for (const std::string how : {"stopped", "shelved_offloaded", "deleted"}) {
        InventoryGuest guest = placed("g1", "compute-1");
        inventory.put(guest);
        up(hello("compute-1", how), {open_fault("g1", how)});
        down("compute-1");
        take();
        if (how == "stopped") guest.state = "stopped";
        if (how == "shelved_offloaded") {
            guest.state = how;
            guest.host = base::HostId();
        }
        if (how == "deleted") {
            remove("g1");
        } else {
            change(guest);
        }
        pass(seconds(7));
        EXPECT_THAT(take(), Contains(how + " cleared 2"));
    }
}

TEST_F(EvidenceTest, WhatACloudHasNotListedSinceARestartEndsNoFault) {
    source.names_all = true;
    InventoryGuest stopped = placed("g2", "compute-1");
    stopped.state = "stopped";
    up(hello("compute-1", "state", 2), {f1, open_fault("g2", "f2"), open_fault("g9", "f9")});
    down("compute-1");
    source.loaded = false;
    inventory = {};
    restart();
    for (const auto& [id, place] : inventory.restored())
        inventory.put(placed_guest(id, place));
    stopped.listed = false;
    inventory.put(stopped);
    take();
    source.loaded = true;
    core->inventory_changed({}, moment);
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("cleared"))));
    for (const char* fault : {"f1", "f2", "f9"})
        EXPECT_TRUE(tracked(fault)->fault.open()) << fault;
}

TEST_F(EvidenceTest, WhatACloudDeletedWhileTheControllerWasAwayEndsItsFault) {
    source.names_all = true;
    place("g1", "compute-1");
    pass(seconds(5));
    down("compute-1");
    source.loaded = false;
    inventory = {};
    restart();
    ASSERT_FALSE(inventory.restored().empty());
    take();
    source.loaded = true;
    core->inventory_changed({}, moment);
    pass(seconds(60));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kGuestDeleted);
}

TEST_F(EvidenceTest, ThatNovaHasAServerOnNoHostEndsNoFault) {
    source.names_all = true;
    for (const std::string state : {"active", "building", "error"}) {
        InventoryGuest guest = placed("g1", "compute-1");
        inventory.put(guest);
        up(hello("compute-1", state), {open_fault("g1", state)});
        down("compute-1");
        take();
        guest.state = state;
        guest.host = base::HostId();
        change(guest);
        pass(seconds(30));
        EXPECT_THAT(take(), Not(Contains(state + " cleared 2")));
        EXPECT_TRUE(tracked(state)->fault.open()) << state;
    }
}

TEST_F(EvidenceTest, TakingAGuestOutOfTheFileIsTheOperatorsWord) {
    remove("g1");
    pass(seconds(10));
    EXPECT_THAT(take(), IsEmpty()) << "its agent is there and reports it";
    down("compute-1");
    pass(seconds(7));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kGuestRemoved);
}

TEST_F(EvidenceTest, AGuestThatWasTakenOutOfTheFileAndIsStillReportedIsAProblem) {
    remove("g1");
    pass(seconds(2));
    bool named = false;
    for (const auto& problem : problems.list())
        named = named || problem.detail.find("heartbeat_lost of guest g1") != std::string::npos;
    EXPECT_TRUE(named);
}

TEST_F(EvidenceTest, WhatWasTakenOutBeforeAFaultDoesNotEndIt) {
    place("g2", "compute-1");
    remove("g2");
    pass(seconds(1));
    report("compute-1", open_fault("g2", "f2"));
    take();
    down("compute-1");
    pass(seconds(10));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f2"))));
}

TEST_F(EvidenceTest, AnOperatorEndsAFaultByCommand) {
    EXPECT_FALSE(core->clear_by_operator(base::FaultId("none"), "why", moment));
    EXPECT_TRUE(core->clear_by_operator(f1.id, "looked at it", moment));
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(clear_reason(), kByOperator);
    EXPECT_THAT(journal("closed by the operator"), "looked at it");
}

TEST_F(EvidenceTest, ARenamedHostKeepsItsFaults) {
    down("compute-1");
    auto renamed = hello("node-7");
    renamed.state = "state-of-compute-1";
    renamed.state_starts = 2;
    remove("g1");
    up(renamed, {f1});
    EXPECT_EQ(tracked("f1")->host, base::HostId("node-7"));
    report("node-7", cleared(f1));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_EQ(received<bus::FaultsDelivered>("node-7").back().items.back().revision, 2U);
    pass(seconds(10));
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
}

TEST_F(EvidenceTest, AHostThatIsNamedInFullAndLostItsStateIsHandedBackWhatItHadByItsShortName) {
    message("compute-1", bus::Guests{{answering("g1", "lost"), answering("g2")}, {}});
    down("compute-1");
    up(hello("compute-1.example.net", "another"));
    const auto handed = received<bus::HandBack>("compute-1.example.net");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].faults.size(), 1U);
    EXPECT_EQ(handed[0].faults[0].id, f1.id);
    EXPECT_EQ(handed[0].guests.size(), 2U);
    report("compute-1.example.net", f1);
    EXPECT_EQ(tracked("f1")->host, base::HostId("compute-1.example.net"));
    report("compute-1.example.net", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(EvidenceTest, WhatAHostReportsByItsFullNameIsDeliveredThoughItHadAShortOne) {
    down("compute-1");
    up(hello("compute-1.example.net", "another"));
    place("g2", "compute-1");
    report("compute-1.example.net", open_fault("g2", "f2"));
    EXPECT_THAT(take(), ElementsAre("f2 opened 1"));
    pass(seconds(10));
    EXPECT_EQ(problem("hosts report faults of guests that the inventory has elsewhere"), "");
}

TEST_F(EvidenceTest, AHostThatIsRenamedWithItsStateIsHandedNothing) {
    down("compute-1");
    auto renamed = hello("compute-1.example.net");
    renamed.state = "state-of-compute-1";
    up(renamed, {f1});
    for (const bus::HandBack& handed : received<bus::HandBack>("compute-1.example.net"))
        EXPECT_TRUE(handed.guests.empty() && handed.faults.empty());
}

TEST_F(EvidenceTest, TheFreshAgentIsHandedBackNoGuestThatLivesElsewhere) {
    message("compute-1", bus::Guests{{answering("g1", "lost"), answering("g2")}, {}});
    place("g2", "compute-2");
    up(hello("compute-1", "another"));
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].guests.size(), 1U);
    EXPECT_EQ(handed[0].guests[0].guest, base::GuestId("g1"));
}

TEST_F(EvidenceTest, WhatEndsByEvidenceEndsAtItsAgentToo) {
    place("g1", "compute-2");
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(2));
    EXPECT_EQ(clear_reason(), kGuestMoved);
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    ASSERT_EQ(handed[0].faults.size(), 1U);
    EXPECT_FALSE(handed[0].faults[0].open());
    EXPECT_EQ(handed[0].faults[0].clear_reason, kGuestMoved);
}

TEST_F(EvidenceTest, WhatItsAgentReportsAfterTheGuestHasLeftDoesNotOpenItAgainWhileItsEndIsUnderWay) {
    hold_sink = true;
    down("compute-1");
    place("g1", "compute-2");
    up(hello("compute-2"), {}, {answering("g1")});
    pass(seconds(2));
    EXPECT_FALSE(tracked("f1")->fault.open());
    up(hello("compute-1", "state", 2), {f1});
    EXPECT_FALSE(tracked("f1")->fault.open());
    EXPECT_FALSE(tracked("f1")->withheld) << "its raise was delivered, and so has to be its end";
    report("compute-1", cleared(f1));
    release_sink();
    EXPECT_EQ(take().back(), "f1 cleared 2");
    EXPECT_EQ(tracked("f1"), nullptr);
}

TEST_F(EvidenceTest, ARejectedReportIsTakenWhenTheObstacleIsGone) {
    remove("g1");
    up(hello("compute-1.example.net"), {cleared(f1)});
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem("reports of agent compute-1.example.net are rejected"),
                HasSubstr("belongs to the agent of compute-1"));
    down("compute-1");
    pass(seconds(7));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    pass(seconds(40));
    EXPECT_EQ(problem("reports of agent compute-1.example.net are rejected"), "");
}

}  // namespace
}  // namespace vitalwire::controller
