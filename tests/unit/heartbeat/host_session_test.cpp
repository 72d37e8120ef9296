// Rows of the host's state table (proto-spec/heartbeat.md, section 4) about what guests say and when, in virtual time;
// host_session_machine_test.cpp has those about their machines. Tests are named after rows. A violated rule (H-06)
// never gets as far as the session: tests/unit/host/channel_test.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(HostSession, H01_TellsAnUnknownGuestToRegister) {
    Host host;
    EXPECT_THAT(host.connect(), ElementsAre("nack no_session"));
}

TEST(HostSession, H01_KeepsQuietTowardsAnExistingGuest) {
    Host host;
    EXPECT_THAT(host.connect(Dialect::existing), IsEmpty());
}

TEST(HostSession, H02_ChallengesARegisteredGuestAtOnceOverANewConnection) {
    Host host;
    host.beating().after(Millis(900));
    host.on(Closed{Dialect::native});
    host.connect();
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(999)).tick(), IsEmpty());
}

TEST(HostSession, H02_AChannelThatComesAndGoesDoesNotPutOffItsDeadline) {
    Host host;
    host.beating();
    Lines seen;
    for (int i = 0; i < 30; ++i) {
        host.after(Millis(100)).on(Closed{Dialect::native});
        host.connect();
        for (const auto& line : host.tick())
            seen.push_back(line);
    }
    EXPECT_THAT(seen, testing::Contains("open heartbeat_lost silent"));
}

TEST(HostSession, H03_RegistersAndChallengesAtOnce) {
    Host host;
    host.connect();
    EXPECT_THAT(host.init(), ElementsAre("keep s1", "init_ack s1"));
    EXPECT_EQ(host.due_in(), Millis(0));
    EXPECT_THAT(host.tick(), ElementsAre("challenge 1"));
}

TEST(HostSession, H03_ANewInitReplacesTheSessionAndClearsWhatItDisproves) {
    Host host;
    host.lost();
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2", "clear heartbeat_lost registered"));
}

TEST(HostSession, H04_RefusesAGuestForWhichHeartbeatIsNotEnabled) {
    HostPolicy off;
    off.enabled = false;
    Host host(off);
    EXPECT_THAT(host.connect(), IsEmpty());
    EXPECT_THAT(host.init(), ElementsAre("nack not_enabled"));
}

TEST(HostSession, H05_RefusesAnIntervalUnderTheFloorOfTheChannel) {
    Host host;
    host.connect();
    host.connect(Dialect::existing);
    EXPECT_THAT(host.init(Millis(99)), ElementsAre("nack interval_too_small min 100"));
    EXPECT_THAT(host.init(Millis(399), Dialect::existing), ElementsAre("nack interval_too_small min 400"));
    EXPECT_THAT(host.init(Millis(100)), ElementsAre("keep s1", "init_ack s1"));
}

TEST(HostSession, H07_ChallengesOnAFixedBeat) {
    Host host;
    host.beating();
    host.after(Millis(3)).answer(1);
    EXPECT_EQ(host.due_in(), Millis(997));
    EXPECT_THAT(host.after(Millis(1001)).tick(), ElementsAre("challenge 2"));
    host.answer(2);
    EXPECT_EQ(host.due_in(), Millis(996));
}

TEST(HostSession, H07_GuestsWithCommonIntervalsBeatTogether) {
    Host host;
    host.after(Millis(1003)).beating();
    host.answer(1);
    EXPECT_EQ(host.due_in(), Millis(1097));
    host.after(Millis(1097)).tick();
    host.answer(2);
    EXPECT_EQ(host.due_in(), Millis(1000));
}

TEST(HostSession, H07_WaitsForTheOthersNoLongerThanATenthOfTheInterval) {
    Host host;
    host.after(Millis(1003)).connect();
    host.init(Millis(200));
    host.tick();
    host.answer(1);
    EXPECT_EQ(host.due_in(), Millis(217));
}

TEST(HostSession, H07_AnIntervalThatDoesNotFitTheOthersIsKeptAllTheSame) {
    Host host;
    host.connect();
    host.init(Millis(333));
    host.tick();
    host.answer(1);
    EXPECT_EQ(host.due_in(), Millis(333));
}

TEST(HostSession, H08_AnAnswerByTheDeadlineIsAllItTakes) {
    Host host;
    host.beating();
    EXPECT_THAT(host.after(Millis(1000)).answer(1), IsEmpty());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_EQ(host.session().counters().responses, 1U);
}

TEST(HostSession, H08_KeepsACorrectiveActionThatChanged) {
    Host host;
    host.beating();
    const auto action = model::CorrectiveAction::reboot;
    EXPECT_THAT(host.on(Received{Dialect::native, wire::ChallengeResponse{SessionId("s1"), 1, true, "", action}}),
                ElementsAre("keep s1"));
    EXPECT_EQ(host.session().registration()->corrective_action, action);
}

TEST(HostSession, H08_APunctualAnswerClearsTheFault) {
    Host host;
    host.lost();
    EXPECT_THAT(host.answer(2), ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H09_ALateAnswerProvesLifeButNotPunctuality) {
    Host host;
    host.lost();
    EXPECT_THAT(host.answer(1), ElementsAre("update heartbeat_lost late"));
    EXPECT_EQ(host.session().counters().late, 1U);
    EXPECT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, H10_IgnoresAnyOtherValue) {
    Host host;
    host.beating();
    EXPECT_THAT(host.answer(99), IsEmpty());
    EXPECT_EQ(host.session().counters().stale, 1U);
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 2"));
}

TEST(HostSession, H10_ASecondAnswerToTheSameChallengeIsStale) {
    Host host;
    host.beating();
    host.answer(1);
    EXPECT_THAT(host.answer(1, false, "old news"), IsEmpty());
    EXPECT_EQ(host.session().counters().stale, 1U);
    EXPECT_EQ(host.session().counters().late, 0U);
    host.after(Millis(1000)).tick();
    host.answer(1);
    EXPECT_EQ(host.session().counters().stale, 2U);
}

TEST(HostSession, H10_ALateAnswerCountsOnce) {
    Host host;
    host.lost();
    host.answer(1);
    EXPECT_THAT(host.answer(1), IsEmpty());
    EXPECT_EQ(host.session().counters().late, 1U);
    EXPECT_EQ(host.session().counters().stale, 1U);
}

TEST(HostSession, H11_AnAnswerOfAnotherSessionIsToldToRegister) {
    Host host;
    host.beating();
    EXPECT_THAT(host.answer(1, true, "", "s9"), ElementsAre("nack no_session"));
    Host unregistered;
    unregistered.connect();
    EXPECT_THAT(unregistered.answer(1), ElementsAre("nack no_session"));
}

TEST(HostSession, H12_H13_H14_HealthOpensUpdatesAndClearsOneFault) {
    Host host;
    host.beating();
    EXPECT_THAT(host.answer(1, false, "disk full"), ElementsAre("open unhealthy: disk full"));
    host.after(Millis(1000)).tick();
    EXPECT_THAT(host.answer(2, false, "disk full"), IsEmpty());
    host.after(Millis(1000)).tick();
    EXPECT_THAT(host.answer(3, false, "disk gone"), ElementsAre("update unhealthy: disk gone"));
    host.after(Millis(1000)).tick();
    EXPECT_THAT(host.answer(4), ElementsAre("clear unhealthy recovered"));
}

TEST(HostSession, H15_AnExistingGuestIsForgivenOneMiss) {
    Host host;
    host.beating(Dialect::existing);
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 3"));
}

TEST(HostSession, H15_AnAnswerBetweenMissesStartsTheCountAgain) {
    Host host;
    host.beating(Dialect::existing);
    host.after(Millis(1000)).tick();
    host.answer_existing(2);
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 4"));
}

TEST(HostSession, H16_OpensOnceHoweverLongTheSilence) {
    Host host;
    host.beating();
    EXPECT_THAT(host.after(Millis(999)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(1)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
}

TEST(HostSession, H16_AChallengeThatWasSentLateIsJudgedBeforeTheNextOne) {
    Host host;
    host.connect();
    host.init();
    host.after(Millis(5)).tick();
    EXPECT_THAT(host.after(Millis(995)).tick(), IsEmpty());
    EXPECT_EQ(host.due_in(), Millis(5));
    EXPECT_THAT(host.after(Millis(5)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 2"));
}

TEST(HostSession, H16_TellsAGuestThatAlwaysAnswersLateFromASilentOne) {
    HostPolicy patient;
    patient.native_misses = 2;
    Host host(patient);
    host.beating();
    host.after(Millis(1000)).tick();
    host.after(Millis(100)).answer(1);
    EXPECT_THAT(host.after(Millis(900)).tick(), ElementsAre("open heartbeat_lost late", "challenge 3"));
}

TEST(HostSession, H17_AClosedChannelIsJudgedByTheDeadline) {
    Host host;
    host.beating().after(Millis(200)).on(Closed{Dialect::native});
    EXPECT_THAT(host.after(Millis(799)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(1)).tick(), ElementsAre("open heartbeat_lost channel_closed"));
}

TEST(HostSession, H17_LeavesTimeForTheReasonOfTheEndToArrive) {
    Host host;
    host.beating().after(Millis(900)).on(Closed{Dialect::native});
    EXPECT_THAT(host.after(Millis(100)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(100)).on(Stopped{StopReason::domain_stopped}), ElementsAre("forget"));
    EXPECT_TRUE(host.idle());
}

TEST(HostSession, H17_TheWaitForTheReasonIsNotPutOffByTheNextChallenge) {
    Host host;
    host.beating().after(Millis(900)).on(Closed{Dialect::native});
    EXPECT_THAT(host.after(Millis(100)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(200)).tick(), ElementsAre("open heartbeat_lost channel_closed"));
}

TEST(HostSession, H18_ExitUnregistersWithoutAFault) {
    Host host;
    host.beating();
    EXPECT_THAT(host.exit("s1"), ElementsAre("forget"));
    EXPECT_TRUE(host.idle());
}

TEST(HostSession, H18_ExitOfAGuestThatMustBeRegisteredIsNotTheEnd) {
    Host host(required());
    host.beating();
    host.exit("s1");
    EXPECT_THAT(host.after(Millis(120'000)).tick(), ElementsAre("open not_established"));
}

TEST(HostSession, H18_ExitClearsWhatTheGuestWasAccusedOf) {
    Host host;
    host.lost();
    host.answer(2, false, "x");
    EXPECT_THAT(host.exit("s1"), ElementsAre("forget", "clear unhealthy exit"));
}

TEST(HostSession, H19_IgnoresTheExitOfAnotherSession) {
    Host host;
    host.beating();
    EXPECT_THAT(host.exit("s0"), IsEmpty());
    EXPECT_TRUE(host.session().registration());
}

TEST(HostSession, AnExistingGuestsBrokenAnswerProvesThatItLives) {
    Host host;
    host.beating(Dialect::existing);
    EXPECT_THAT(host.on(GarbledResponse{}), IsEmpty());
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 2"));
    EXPECT_EQ(host.session().counters().misses, 0U);
}

TEST(HostSession, AVoteThatNobodyAskedForHasNoEffect) {
    Host host;
    host.beating(Dialect::existing);
    EXPECT_THAT(host.on(Received{Dialect::existing, wire::ActionResponse{1, "pause", "revocable", "reject", ""}}),
                IsEmpty());
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
