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

TEST(HostSession, H01_KeepsQuietTowardsACgcsGuest) {
    Host host;
    EXPECT_THAT(host.connect(Dialect::cgcs), IsEmpty());
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

TEST(HostSession, H03_ANewInitReplacesTheSessionAndClearsNothing) {
    Host host;
    host.lost();
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2"));
    host.tick();
    EXPECT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost));
    EXPECT_THAT(host.answer(3, true, "", "s2"), ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H03_AnInitDoesNotPutOffTheDeadlineThatRuns) {
    Host host;
    host.detected_within_900().after(Millis(250));
    EXPECT_THAT(host.init_detected_within(Millis(900)), ElementsAre("keep s2", "init_ack s2 300+600"));
    EXPECT_THAT(host.run(Millis(350)), testing::Contains("350 open heartbeat_lost silent"));
}

TEST(HostSession, H03_AGuestThatOnlyRepeatsItsInitIsFoundWithinItsDetectionTime) {
    for (const Millis every : {Millis(50), Millis(300), Millis(800)}) {
        Host host;
        host.detected_within_900();
        host.answer(1);
        Lines seen;
        for (Millis passed{}; passed < Millis(900); passed += every) {
            host.init_detected_within(Millis(900));
            for (const std::string& line : host.run(std::min(every, Millis(900) - passed)))
                seen.push_back(line.substr(line.find(' ') + 1));
        }
        EXPECT_THAT(seen, testing::Contains("open heartbeat_lost silent")) << every.count();
    }
}

TEST(HostSession, H03_AnInitOverOneMoreConnectionDoesNotPutOffTheDeadlineEither) {
    Host host;
    host.detected_within_900();
    Lines seen;
    for (int i = 0; i < 20; ++i) {
        host.on(Closed{Dialect::native});
        host.connect();
        host.init_detected_within(Millis(900));
        for (const std::string& line : host.run(Millis(50)))
            seen.push_back(line.substr(line.find(' ') + 1));
    }
    EXPECT_THAT(seen, testing::Contains("open heartbeat_lost silent"));
}

TEST(HostSession, H03_AcknowledgesWhenTheRegistrationIsOnDisk) {
    HostPolicy durable;
    durable.ack_when_saved = true;
    Host host(durable);
    host.connect();
    EXPECT_THAT(host.init_detected_within(Millis(900)), ElementsAre("keep s1"));
    EXPECT_TRUE(host.idle()) << "no challenge of a session that the guest does not know";
    EXPECT_THAT(host.on(Saved{SessionId("s9")}), IsEmpty());
    EXPECT_THAT(host.after(Millis(40)).on(Saved{SessionId("s1")}), ElementsAre("init_ack s1 300+600"));
    EXPECT_THAT(host.on(Saved{SessionId("s1")}), IsEmpty());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 1"));
}

TEST(HostSession, H03_AnInitThatIsRepeatedBeforeItIsOnDiskStaysOneSession) {
    HostPolicy durable;
    durable.ack_when_saved = true;
    Host host(durable);
    host.connect();
    host.init_detected_within(Millis(900));
    EXPECT_THAT(host.init_detected_within(Millis(600)), ElementsAre("keep s1"));
    EXPECT_THAT(host.on(Saved{SessionId("s1")}), ElementsAre("init_ack s1 200+400"));
    EXPECT_THAT(host.init_detected_within(Millis(600)), ElementsAre("keep s2"));
}

TEST(HostSession, H03_TheTimeOfTheDiskIsNotTheGuests) {
    HostPolicy durable;
    durable.ack_when_saved = true;
    Host host(durable);
    host.connect();
    host.init_detected_within(Millis(900));
    host.on(Saved{SessionId("s1")});
    host.tick();
    host.after(Millis(550)).init_detected_within(Millis(900));
    EXPECT_THAT(host.run(Millis(5000)), IsEmpty()) << "the disk hangs";
    host.on(Saved{SessionId("s2")});
    EXPECT_THAT(host.run(Millis(49)), ElementsAre("0 challenge 2"));
    EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open heartbeat_lost silent"));
}

TEST(HostSession, H03_TheHostKeepsToTheSmallerRevision) {
    Host host;
    host.connect();
    wire::Init init;
    init.revision = 9;
    EXPECT_THAT(host.on(Received{Dialect::native, init}), ElementsAre("keep s1", "init_ack s1 300+600"));
    EXPECT_EQ(host.session().registration()->revision, wire::kHeartbeatRevision);
}

TEST(HostSession, H04_RejectsAGuestForWhichHeartbeatIsNotEnabled) {
    HostPolicy off;
    off.enabled = false;
    Host host(off);
    EXPECT_THAT(host.connect(), IsEmpty());
    EXPECT_THAT(host.init(), ElementsAre("nack not_enabled"));
}

TEST(HostSession, H05_RejectsAnIntervalUnderTheFloorOfTheChannel) {
    Host host;
    host.connect();
    host.connect(Dialect::cgcs);
    EXPECT_THAT(host.init(Millis(99)), ElementsAre("nack interval_too_small min 100"));
    EXPECT_THAT(host.init(Millis(399), Dialect::cgcs), ElementsAre("nack interval_too_small min 400"));
    EXPECT_THAT(host.init(Millis(100)), ElementsAre("keep s1", "init_ack s1"));
}

TEST(HostSession, H05_RejectsADetectionTimeOfLessThanTwoIntervals) {
    Host host;
    host.connect();
    EXPECT_THAT(host.init_detected_within(Millis(199)), ElementsAre("nack interval_too_small min 100 detection 200"));
    EXPECT_THAT(host.init_detected_within(Millis(200)), ElementsAre("keep s1", "init_ack s1 100+100"));
    HostPolicy strict;
    strict.native_min_interval = Millis(500);
    Host other(strict);
    other.connect();
    EXPECT_THAT(other.init_detected_within(Millis(900)), ElementsAre("nack interval_too_small min 500 detection 1000"));
    EXPECT_THAT(other.init_detected_within({}), ElementsAre("keep s1", "init_ack s1 500+500")) << "none was declared";
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
    host.after(Millis(7)).connect();
    host.init(Millis(333));
    host.tick();
    host.answer(1);
    EXPECT_EQ(host.due_in(), Millis(333));
}

TEST(HostSession, H07_FromRevision1OnTheFirstIntervalIsShorterNeverLonger) {
    Host host;
    host.after(Millis(1007)).detected_within_900();
    host.answer(1);
    EXPECT_EQ(host.due_in(), Millis(283));
    host.after(Millis(283)).tick();
    host.answer(2);
    EXPECT_EQ(host.due_in(), Millis(300));
}

TEST(HostSession, H07_FromRevision1OnSeveralChallengesAreOutstanding) {
    Host host;
    host.detected_within_900();
    EXPECT_THAT(host.run(Millis(599)), ElementsAre("300 challenge 2"));
    EXPECT_THAT(host.answer(1), IsEmpty());
    EXPECT_THAT(host.run(Millis(300)), ElementsAre("1 challenge 3")) << "challenge 2 has its own deadline";
    EXPECT_THAT(host.run(Millis(1)), testing::Contains("1 open heartbeat_lost silent"));
}

TEST(HostSession, H07_InRevision0OneChallengeIsOutstandingEvenWhereTheDeadlineIsShort) {
    Host host;
    host.connect();
    host.on(
        Received{Dialect::native, wire::Init{7, 0, "vm1", Millis(1000), Millis(200), model::CorrectiveAction::none}});
    EXPECT_THAT(host.run(Millis(1000)),
                ElementsAre("0 challenge 1", "200 open heartbeat_lost silent", "1000 challenge 2"));
}

TEST(HostSession, H08_AnAnswerByTheDeadlineIsAllItTakes) {
    Host host;
    host.beating();
    EXPECT_THAT(host.after(Millis(1000)).answer(1), IsEmpty());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_EQ(host.session().counters().responses, 1U);
}

TEST(HostSession, H08_AnAnswerSettlesAllChallengesBeforeItsOwn) {
    Host host;
    host.detected_within_900();
    host.run(Millis(590));
    EXPECT_THAT(host.answer(2), IsEmpty());
    EXPECT_THAT(host.answer(1), IsEmpty()) << "stale";
    EXPECT_EQ(host.session().counters().stale, 1U);
    EXPECT_EQ(host.session().counters().responses, 1U);
    EXPECT_THAT(host.run(Millis(10)), ElementsAre("10 challenge 3"));
    EXPECT_EQ(host.session().counters().misses, 0U);
    EXPECT_EQ(host.session().round_trips().last(), Millis(590)) << "since the oldest challenge that it settles";
}

TEST(HostSession, H08_APauseOfLessThanTheDeadlineRaisesNothingAtAnyMoment) {
    for (Millis phase{}; phase < Millis(300); phase += Millis(10)) {
        Host host;
        host.detected_within_900();
        host.answer(1);
        // Answers at once until `phase`, stops for 550 ms, and then answers the newest challenge.
        Lines seen = host.run(phase);
        const auto answer_newest = [&] {
            return host.answer(static_cast<std::int64_t>(host.session().counters().challenges));
        };
        answer_newest();
        for (const std::string& line : host.run(Millis(550)))
            seen.push_back(line);
        answer_newest();
        EXPECT_EQ(host.session().counters().misses, 0U) << phase.count();
        EXPECT_FALSE(host.session().any_fault_open()) << phase.count();
    }
}

TEST(HostSession, H16_AStopAtAnyMomentIsFoundWithinTheDetectionTime) {
    for (const Millis time : {Millis(200), Millis(500), Millis(900), Millis(1000), Millis(3000)}) {
        for (Millis phase{}; phase < time; phase += Millis(10)) {
            Host host;
            host.after(Millis(1237)).connect();
            host.init_detected_within(time);
            // Answers at once until `phase`.
            for (Millis passed{}; passed <= phase; passed += Millis(1)) {
                host.tick();
                host.answer(static_cast<std::int64_t>(host.session().counters().challenges));
                host.after(Millis(1));
            }
            Lines seen = host.run(time);
            EXPECT_THAT(seen, testing::Contains(testing::EndsWith("open heartbeat_lost silent")))
                << time.count() << " at " << phase.count();
        }
    }
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

TEST(HostSession, H09_AGuestThatIsAlwaysLateStaysAtFault) {
    Host host;
    host.detected_within_900();
    host.run(Millis(650));
    EXPECT_THAT(host.answer(1), ElementsAre("update heartbeat_lost late"));
    host.run(Millis(300));
    EXPECT_THAT(host.answer(2), IsEmpty());
    EXPECT_EQ(host.session().counters().late, 2U);
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
    EXPECT_THAT(host.answer(1, true, "", "s9"), ElementsAre("nack no_session for s9"));
    Host unregistered;
    unregistered.connect();
    EXPECT_THAT(unregistered.answer(1), ElementsAre("nack no_session for s1"));
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

TEST(HostSession, H15_ACgcsGuestIsForgivenOneMiss) {
    Host host;
    host.beating(Dialect::cgcs);
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 3"));
}

TEST(HostSession, H15_ACgcsGuestThatStopsAfterAnAnswerIsFoundWithinThreeIntervals) {
    Host host;
    host.beating(Dialect::cgcs);
    host.answer_cgcs(1);
    EXPECT_THAT(host.run(Millis(3000)), ElementsAre("1000 challenge 2", "2000 challenge 3",
                                                    "3000 open heartbeat_lost silent", "3000 challenge 4"));
}

TEST(HostSession, H15_AnAnswerBetweenMissesStartsTheCountAgain) {
    Host host;
    host.beating(Dialect::cgcs);
    host.after(Millis(1000)).tick();
    host.answer_cgcs(2);
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 4"));
}

TEST(HostSession, H15_EachDeadlineIsOneMiss) {
    HostPolicy patient;
    patient.native_detect_multiplier = 3;
    Host host(patient);
    host.detected_within_900();
    EXPECT_THAT(host.run(Millis(1200)), testing::ElementsAre("300 challenge 2", "600 challenge 3", "900 challenge 4",
                                                             "1200 open heartbeat_lost silent", "1200 challenge 5"));
    EXPECT_EQ(host.session().counters().misses, 3U);
    host.run(Millis(3000));
    EXPECT_EQ(host.session().counters().misses, 13U);
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
    patient.native_detect_multiplier = 2;
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

TEST(HostSession, H19_IgnoresTheExitOfAnotherSession) {
    Host host;
    host.beating();
    EXPECT_THAT(host.exit("s0"), IsEmpty());
    EXPECT_TRUE(host.session().registration());
}

TEST(HostSession, H33_TheNativeChannelWins) {
    Host host;
    host.beating();
    host.connect(Dialect::cgcs);
    EXPECT_THAT(host.init(Millis(1000), Dialect::cgcs), ElementsAre("nack unavailable"));
    EXPECT_EQ(host.session().registration()->session, SessionId("s1"));
    Host other;
    other.beating(Dialect::cgcs);
    other.connect();
    EXPECT_THAT(other.init(), ElementsAre("keep s2", "init_ack s2"));
}

TEST(HostSession, TheRoundTripsShowHowCloseAGuestCame) {
    Host host;
    host.detected_within_900();
    host.after(Millis(420)).answer(1);
    host.tick();
    host.after(Millis(2)).answer(2);
    const RoundTrips& trips = host.session().round_trips();
    EXPECT_EQ(trips.last(), Millis(2));
    EXPECT_EQ(trips.longest_of_the_hour(host.session().now()), Millis(420));
    EXPECT_EQ(trips.longest_of_the_hour(host.session().now() + std::chrono::hours(1)), Millis(0));
}

TEST(HostSession, AVoteThatNobodyAskedForHasNoEffect) {
    Host host;
    host.beating(Dialect::cgcs);
    EXPECT_THAT(host.on(Received{
                    Dialect::cgcs,
                    wire::ActionResponse{{}, 1, model::LifecycleEvent::pause, true, model::VoteResult::reject, ""}}),
                IsEmpty());
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
