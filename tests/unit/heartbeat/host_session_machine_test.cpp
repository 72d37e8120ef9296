// Rows of the host's state table (proto-spec/heartbeat.md, section 4) about the guests' machines and restarts of the
// agent, in virtual time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(HostSession, H20_NobodyIsJudgedWhileTheMachineIsHeld) {
    for (const Inhibit why : {Inhibit::paused, Inhibit::suspended, Inhibit::saving}) {
        Host host;
        host.beating().after(Millis(500)).on(Inhibited{why});
        EXPECT_THAT(host.after(std::chrono::hours(5)).tick(), IsEmpty()) << to_string(why);
    }
}

TEST(HostSession, H20_AMachineThatMigratesIsAskedButNotJudged) {
    Host host;
    host.beating().after(Millis(500)).on(Inhibited{Inhibit::migrating});
    EXPECT_THAT(host.after(Millis(500)).tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_FALSE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, AMachineThatMigratesWithoutEndIsJudgedAgain) {
    Host host;
    host.beating().on(Inhibited{Inhibit::migrating});
    for (int second = 0; second < 601; ++second)
        host.after(Millis(1000)).tick();
    EXPECT_FALSE(host.session().inhibited());
    for (int second = 0; second < 4; ++second)
        host.after(Millis(1000)).tick();
    EXPECT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, AMachineWhoseGuestHasShutDownIsNeverJudged) {
    Host host;
    host.beating().on(Inhibited{Inhibit::powered_off});
    EXPECT_THAT(host.after(std::chrono::hours(5)).tick(), IsEmpty());
}

TEST(HostSession, AStopByTheHypervisorIsAFaultUntilTheMachineRuns) {
    Host host;
    host.beating();
    EXPECT_THAT(host.on(StoppedByHost{"io_error", "vda: no space"}),
                ElementsAre("open stopped_by_host io_error: vda: no space"));
    EXPECT_THAT(host.on(StoppedByHost{"io_error", "vda: no space"}), IsEmpty());
    EXPECT_THAT(host.after(std::chrono::hours(1)).tick(), IsEmpty()) << "and no second one";
    EXPECT_THAT(host.on(Released{}), ElementsAre("clear stopped_by_host resumed"));
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
}

TEST(HostSession, AStopByTheHypervisorOutlastsAPauseByTheOperator) {
    Host host;
    host.beating().on(StoppedByHost{"watchdog", ""});
    EXPECT_THAT(host.on(Inhibited{Inhibit::paused}), IsEmpty());
    EXPECT_TRUE(host.session().fault_open(FaultKind::stopped_by_host));
    EXPECT_THAT(host.on(Stopped{StopReason::domain_stopped}),
                testing::Contains("clear stopped_by_host domain_stopped"));
}

TEST(HostSession, AStopByTheHypervisorEndsWithTheMachineThatIsFoundRunning) {
    Host host;
    host.resume({{FaultKind::stopped_by_host, "io_error", ""}});
    EXPECT_THAT(host.on(Started{}), ElementsAre("clear stopped_by_host resumed"));
}

TEST(HostSession, AWatchdogIsAFaultUntilTheGuestAnswers) {
    Host host;
    host.beating();
    EXPECT_THAT(host.on(WatchdogFired{"none"}), ElementsAre("open watchdog_fired none"));
    EXPECT_THAT(host.after(Millis(500)).answer(1), ElementsAre("clear watchdog_fired recovered"));
}

TEST(HostSession, AWatchdogThatFiresAgainIsToldAgain) {
    Host host;
    host.beating().on(WatchdogFired{"reset"});
    host.on(Rebooted{});
    EXPECT_THAT(host.on(WatchdogFired{"reset"}), ElementsAre(HasSubstr("update watchdog_fired reset: again at ")));
    EXPECT_THAT(host.on(WatchdogFired{"none"}), ElementsAre(HasSubstr("update watchdog_fired none: again at ")));
}

TEST(HostSession, AFirstLookEndsNoFaultOfTheMachine) {
    HostPolicy policy;
    policy.machine_faults = true;
    for (const bool saved_as_registered : {false, true}) {
        Host host(policy);
        host.resume_unregistered({{FaultKind::vm_crashed, "panicked", "", {}},
                                  {FaultKind::stopped_by_host, "io_error", "", {}},
                                  {FaultKind::watchdog_fired, "none", "", {}}},
                                 {std::nullopt, saved_as_registered});
        EXPECT_THAT(host.on(Found{"1"}), IsEmpty());
        EXPECT_THAT(host.on(Found{""}), IsEmpty());
    }
}

TEST(HostSession, AMachineThatIsFoundOffKeepsItsFaults) {
    Host host;
    host.resume({{FaultKind::heartbeat_lost, "channel_closed", "", {}}});
    EXPECT_THAT(host.on(FoundOff{}), ElementsAre("expect back"));
    EXPECT_THAT(host.on(FoundOff{}), IsEmpty());
    EXPECT_THAT(host.run(std::chrono::hours(1)), IsEmpty());
    host.on(Started{});
    EXPECT_THAT(host.on(Stopped{StopReason::removed}), ElementsAre("forget", "clear heartbeat_lost removed"));
    Host well;
    well.resume({});
    EXPECT_THAT(well.on(FoundOff{}), ElementsAre("forget"));
    EXPECT_TRUE(well.session().stopped());
}

TEST(HostSession, AMachineThatRunsAfterACrashHasBeenStarted) {
    HostPolicy policy;
    policy.machine_faults = true;
    Host host(policy);
    host.resume_unregistered({{FaultKind::vm_crashed, "panicked", "", {}}});
    host.on(Found{});
    EXPECT_THAT(host.on(Released{}), ElementsAre("clear vm_crashed started"));
}

TEST(HostSession, H22_AnotherRunThanBeforeARestartOfTheAgentIsAReboot) {
    Host host;
    host.resume({{FaultKind::heartbeat_lost, "silent", "", {}}}, "run 1");
    EXPECT_THAT(host.on(Found{"run 2"}), ElementsAre("expect back"));
    EXPECT_THAT(host.run(Millis(119'999)), IsEmpty());
    host.connect();
    host.init();
    host.tick();
    EXPECT_THAT(host.answer(2, true, "", "s1"), ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H28_TheSameRunGoesOn) {
    Host host;
    host.resume({}, "run 1");
    EXPECT_THAT(host.on(Found{"run 1"}), IsEmpty());
    EXPECT_TRUE(host.session().registration());
    Host unknown;
    unknown.resume({});
    EXPECT_THAT(unknown.on(Found{"run 1"}), ElementsAre("keep s0")) << "an agent before this did not keep it";
    EXPECT_THAT(unknown.on(Found{"run 2"}), ElementsAre("expect back"));
}

TEST(HostSession, ARegistrationIsOfTheRunInWhichItWasMade) {
    Host host;
    host.on(Started{});
    host.on(Found{"run 1"});
    host.beating();
    EXPECT_EQ(host.session().registration()->run, "run 1");
    host.on(Crashed{CrashReason::failed});
    host.on(Started{});
    host.init();
    EXPECT_EQ(host.session().registration()->run, "");
    EXPECT_THAT(host.on(Found{"run 2"}), ElementsAre("keep s2"));
}

TEST(HostSession, AGuestThatNobodyWatchesHasNoFaultsOfItsMachineUnlessTheOperatorWantsThem) {
    Host unwatched;
    EXPECT_THAT(unwatched.on(WatchdogFired{"reset"}), IsEmpty());
    EXPECT_THAT(unwatched.on(StoppedByHost{"io_error", ""}), IsEmpty());
    HostPolicy policy;
    policy.machine_faults = true;
    Host host(policy);
    EXPECT_THAT(host.on(WatchdogFired{"reset"}), ElementsAre("open watchdog_fired reset"));
    EXPECT_THAT(host.on(Crashed{CrashReason::panicked}), ElementsAre("open vm_crashed panicked"));
    EXPECT_THAT(host.on(Started{}), ElementsAre("clear vm_crashed started", "clear watchdog_fired started"));
}

TEST(HostSession, AClosedChannelIsNotLostBeforeTheMachinesEndCanBeKnown) {
    Host host;
    host.beating();
    host.on(Closed{Dialect::native, Millis(3000)});
    EXPECT_THAT(host.after(Millis(2999)).tick(), IsEmpty());
    EXPECT_THAT(host.on(Stopped{StopReason::domain_stopped}), ElementsAre("forget"));
    Host lost;
    lost.beating();
    lost.on(Closed{Dialect::native, Millis(3000)});
    lost.after(Millis(2999)).tick();
    EXPECT_THAT(lost.after(Millis(1)).tick(), testing::Contains("open heartbeat_lost channel_closed"));
}

TEST(HostSession, AnAdoptedFaultEndsWithTheFirstAnswer) {
    Host host;
    host.connect();
    EXPECT_THAT(host.on(FaultAdopted{FaultKind::heartbeat_lost, "silent"}), IsEmpty());
    EXPECT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, H21_AfterAHoldTheGuestGetsTimeToSettle) {
    Host host;
    host.beating().on(Inhibited{Inhibit::paused});
    EXPECT_THAT(host.after(Millis(60'000)).on(Released{}), IsEmpty());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 4"));
}

TEST(HostSession, H21_ADeadlineFromBeforeAHoldIsOver) {
    Host host;
    host.beating().after(Millis(500)).init();
    host.on(Inhibited{Inhibit::paused});
    host.after(Millis(60'000)).on(Released{});
    EXPECT_THAT(host.tick(), ElementsAre(HasSubstr("challenge")));
    EXPECT_THAT(host.after(Millis(900)).tick(), Not(Contains("open heartbeat_lost silent")));
}

TEST(HostSession, H21_AMachineFoundRunningIsNotPausedAnyMore) {
    Host host;
    host.beating().on(Inhibited{Inhibit::paused});
    host.after(Millis(5000)).on(Started{});
    EXPECT_FALSE(host.session().inhibited());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_EQ(host.due_in(), Millis(1000));
}

TEST(HostSession, H20_AMachineThatMigratesRunsAllTheTime) {
    Host host;
    host.beating().on(Inhibited{Inhibit::migrating});
    host.on(Started{});
    EXPECT_EQ(host.session().inhibited(), Inhibit::migrating);
}

TEST(HostSession, H24_ACrashIsReportedAtOnce) {
    Host host;
    host.beating();
    EXPECT_THAT(host.on(Crashed{CrashReason::panicked}), ElementsAre("expect back", "open vm_crashed panicked"));
    EXPECT_TRUE(host.idle());
    EXPECT_THAT(host.after(Millis(5000)).tick(), IsEmpty()) << "no heartbeat_lost for the same death";
}

TEST(HostSession, H24_ACrashOfAGuestNobodyMonitorsIsNoFault) {
    Host host;
    EXPECT_THAT(host.on(Crashed{CrashReason::failed}), IsEmpty());
}

TEST(HostSession, H24_ACrashOfALostGuestKeepsTheFirstFault) {
    Host host;
    host.lost();
    EXPECT_THAT(host.on(Crashed{CrashReason::failed}), ElementsAre("expect back", "open vm_crashed failed"));
    host.after(Millis(5000)).on(Started{});
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2"));
    host.tick();
    EXPECT_THAT(host.answer(3, true, "", "s2"),
                ElementsAre("clear heartbeat_lost recovered", "clear vm_crashed registered"));
}

TEST(HostSession, H25_AStopOnPurposeClearsEverything) {
    Host host;
    host.lost();
    EXPECT_THAT(host.on(Stopped{StopReason::migrated}), ElementsAre("forget", "clear heartbeat_lost migrated"));
    EXPECT_TRUE(host.idle());
}

TEST(HostSession, H26_SwitchingOffTellsTheGuestAndClearsItsFaults) {
    Host host;
    host.beating();
    host.answer(1, false, "x");
    HostPolicy off;
    off.enabled = false;
    EXPECT_THAT(host.on(PolicyChanged{off}), ElementsAre("exit s1", "forget", "clear unhealthy disabled"));
    EXPECT_TRUE(host.idle());
}

TEST(HostSession, H26_FaultsOfTheMachineNeedNoHeartbeat) {
    HostPolicy policy;
    policy.enabled = false;
    policy.machine_faults = true;
    Host host(policy);
    EXPECT_THAT(host.on(Crashed{CrashReason::panicked}), ElementsAre("open vm_crashed panicked"));
    EXPECT_TRUE(host.idle());
    EXPECT_THAT(host.on(PolicyChanged{policy}), IsEmpty());
    EXPECT_THAT(host.on(Started{}), ElementsAre("clear vm_crashed started"));
    EXPECT_THAT(host.on(WatchdogFired{"none"}), ElementsAre("open watchdog_fired none"));
    EXPECT_THAT(host.on(StoppedByHost{"io_error", ""}), ElementsAre("open stopped_by_host io_error"));
    EXPECT_TRUE(host.idle());
    policy.machine_faults = false;
    EXPECT_THAT(host.on(PolicyChanged{policy}),
                ElementsAre("clear stopped_by_host disabled", "clear watchdog_fired disabled"));
}

TEST(HostSession, H26_SwitchingHeartbeatOffLeavesFaultsOfTheMachine) {
    Host host;
    host.lost();
    host.on(Crashed{CrashReason::failed});
    HostPolicy policy;
    policy.enabled = false;
    policy.machine_faults = true;
    EXPECT_THAT(host.on(PolicyChanged{policy}), ElementsAre("forget", "clear heartbeat_lost disabled"));
    EXPECT_THAT(host.on(Started{}), ElementsAre("clear vm_crashed started"));
}

TEST(HostSession, H28_ACrashFromBeforeTheStartEndsWithTheMachinesStartWhereHeartbeatIsOffSince) {
    HostPolicy policy;
    policy.enabled = false;
    policy.machine_faults = true;
    Host host(policy);
    host.resume_unregistered({{FaultKind::vm_crashed, "failed", "", {}}}, {std::nullopt, true});
    EXPECT_THAT(host.tick(), ElementsAre("forget"));
    EXPECT_THAT(host.on(Started{}), ElementsAre("clear vm_crashed started"));
}

TEST(HostSession, H27_AGuestThatMustRegisterAndDoesNotIsAFault) {
    Host host;
    host.connect();
    EXPECT_TRUE(host.idle());
    host.on(PolicyChanged{required()});
    EXPECT_THAT(host.after(Millis(120'000)).tick(), ElementsAre("open not_established"));
    EXPECT_THAT(host.on(PolicyChanged{HostPolicy{}}), ElementsAre("clear not_established disabled"));
}

TEST(HostSession, H27_TheWaitStartsAgainWithTheMachine) {
    Host host(required());
    host.on(Stopped{StopReason::domain_stopped});
    EXPECT_TRUE(host.idle());
    host.on(Started{});
    EXPECT_THAT(host.run(Millis(120'000)), ElementsAre("120000 open not_established"));
}

TEST(HostSession, H27_ThePolicyMayHaveBeenKnownBeforeTheGuest) {
    Host host(required());
    host.connect();
    EXPECT_THAT(host.run(Millis(120'000)), ElementsAre("120000 open not_established"));
}

TEST(HostSession, H27_ARestartWhileARegistrationIsAwaitedDoesNotEndTheWait) {
    Host host(required());
    host.resume_unregistered({});
    host.connect();
    EXPECT_THAT(host.run(Millis(120'000)), ElementsAre("120000 open not_established"));
    Host open(required());
    open.resume_unregistered({{FaultKind::not_established, "", "", {}}});
    EXPECT_THAT(open.run(Millis(1'000'000)), IsEmpty()) << "it is open";
}

TEST(HostSession, H18_ExitIsNoEvidenceThatTheGuestIsWell) {
    Host host;
    host.lost();
    EXPECT_THAT(host.exit("s1"), ElementsAre("forget"));
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2"));
    EXPECT_THAT(host.tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.answer(3, true, "", "s2"), ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H18_ASickGuestWhoseDaemonIsRestartedStaysUnhealthyUntilItAnswersOtherwise) {
    Host host;
    host.beating();
    host.answer(1, false, "disk");
    EXPECT_THAT(host.exit("s1"), ElementsAre("forget"));
    host.init();
    host.tick();
    EXPECT_THAT(host.answer(2, false, "disk", "s2"), IsEmpty());
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.answer(3, true, "", "s2"), ElementsAre("clear unhealthy recovered"));
}

TEST(HostSession, H18_AFaultOfAGuestThatHasLeftEndsWithItsMachine) {
    Host host;
    host.lost();
    host.exit("s1");
    EXPECT_THAT(host.on(Stopped{StopReason::domain_stopped}), ElementsAre("clear heartbeat_lost domain_stopped"));
}

TEST(HostSession, H18_AnInitWithoutAnAnswerDoesNotStartTheWaitAgain) {
    Host host(required());
    host.connect();
    Lines seen;
    for (int i = 0; i < 25; ++i) {
        host.init_detected_within(Millis(200'000));
        host.run(Millis(1));
        host.exit("s" + std::to_string(i + 1));
        for (const std::string& line : host.run(Millis(5'000)))
            seen.push_back(line.substr(line.find(' ') + 1));
    }
    EXPECT_THAT(seen, testing::Contains("open not_established"));
}

TEST(HostSession, H28_WhatIsSwitchedOffSinceIsNotContinued) {
    HostPolicy off;
    off.enabled = false;
    Host host(off);
    host.resume({{FaultKind::heartbeat_lost, "silent", "", {}}});
    EXPECT_THAT(host.tick(), ElementsAre("forget", "clear heartbeat_lost disabled"));
    EXPECT_THAT(host.run(Millis(60'000)), IsEmpty());
    EXPECT_THAT(host.connect(), ElementsAre("exit s0")) << "the guest learns it when its channel is there";
    EXPECT_THAT(host.connect(), IsEmpty());
}

TEST(HostSession, H32_SwitchingOnInvitesTheGuest) {
    HostPolicy off;
    off.enabled = false;
    Host host(off);
    EXPECT_THAT(host.connect(), IsEmpty());
    EXPECT_THAT(host.on(PolicyChanged{required()}), ElementsAre("nack no_session"));
    EXPECT_THAT(host.on(PolicyChanged{required()}), IsEmpty());
}

TEST(HostSession, AGuestThatDeclaresNoDetectionTimeHasThePolicys) {
    HostPolicy slow;
    slow.detection_time = Millis(3000);
    Host host(slow);
    host.connect();
    EXPECT_THAT(host.init_detected_within({}), ElementsAre("keep s1", "init_ack s1 1000+2000"));
    host.tick();
    host.answer(1);
    HostPolicy quick;
    quick.detection_time = Millis(600);
    EXPECT_THAT(host.on(PolicyChanged{quick}), ElementsAre("keep s1"));
    EXPECT_THAT(host.run(Millis(600)),
                ElementsAre("200 challenge 2", "400 challenge 3", "600 open heartbeat_lost silent", "600 challenge 4"));
}

TEST(HostSession, H28_AnAgentThatRestartsContinuesTheSession) {
    Host host;
    host.resume({});
    host.connect();
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.answer(2, true, "", "s0"), IsEmpty());
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
}

TEST(HostSession, H28_AGuestThatHungWhileTheAgentWasAwayIsFoundWithinTheGrace) {
    Host host;
    host.resume({});
    host.connect();
    Lines seen;
    for (int second = 0; second < 5; ++second) {
        for (const auto& line : host.tick())
            seen.push_back(line);
        host.after(Millis(1000));
    }
    EXPECT_THAT(seen, testing::Not(testing::Contains("open heartbeat_lost silent")));
    EXPECT_THAT(host.tick(), testing::Contains("open heartbeat_lost silent"));
}

TEST(HostSession, H28_AFaultThatWasOpenIsNotOpenedTwice) {
    Host host;
    host.resume({{FaultKind::heartbeat_lost, "silent", "", {}}});
    host.connect();
    Lines seen;
    for (int second = 0; second < 10; ++second) {
        for (const auto& line : host.tick())
            seen.push_back(line);
        host.after(Millis(1000));
    }
    EXPECT_THAT(seen, testing::Not(testing::Contains(testing::StartsWith("open heartbeat_lost"))));
    EXPECT_THAT(host.tick(), testing::Not(IsEmpty()));
    EXPECT_THAT(host.answer(static_cast<std::int64_t>(host.session().counters().challenges) + 1, true, "", "s0"),
                ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H29_AnAnswerDuringAHoldTellsOnlyHealth) {
    Host host;
    host.beating().on(Inhibited{Inhibit::paused});
    EXPECT_THAT(host.answer(1, false, "x"), ElementsAre("open unhealthy: x"));
    EXPECT_EQ(host.session().counters().late, 0U);
}

TEST(HostSession, H30_AMachineThatIgnoresItsShutdownIsJudgedAgainInTheEnd) {
    Host host;
    host.beating().on(Inhibited{Inhibit::shutting_down});
    Lines seen;
    for (int second = 0; second < 130; ++second) {
        for (const auto& line : host.after(Millis(1000)).tick())
            seen.push_back(line);
    }
    EXPECT_THAT(seen, testing::Contains("open heartbeat_lost silent"));
}

TEST(HostSession, H20_ARequestToShutDownDoesNotEndWhatTheHypervisorHasStopped) {
    Host host;
    host.beating();
    host.on(StoppedByHost{"io_error", "no space"});
    host.on(Inhibited{Inhibit::shutting_down});
    EXPECT_THAT(host.run(Millis(1'000'000)), IsEmpty()) << "it stands still, whatever it was asked";
    EXPECT_THAT(host.on(Released{}), Contains("clear stopped_by_host resumed"));
    Host paused;
    paused.beating().on(Inhibited{Inhibit::paused});
    paused.on(Inhibited{Inhibit::migrating});
    EXPECT_THAT(paused.run(Millis(1'000'000)), IsEmpty());
}

TEST(HostSession, H28_AMachineThatStoodStillIsNotJudgedBeforeSomebodyTellsHowItIs) {
    Host host;
    host.resume({});
    host.resume_inhibited(Inhibit::paused);
    host.connect();
    EXPECT_THAT(host.run(Millis(9000)), IsEmpty());
    host.on(Inhibited{Inhibit::paused});
    EXPECT_THAT(host.run(Millis(1'000'000)), IsEmpty()) << "it still does";
    host.on(Released{});
    EXPECT_THAT(host.run(Millis(5000)), Contains(testing::HasSubstr("open heartbeat_lost")));
}

TEST(HostSession, H28_AMachineThatStoodStillIsJudgedAgainWhereNobodyTells) {
    Host host;
    host.resume({});
    host.resume_inhibited(Inhibit::paused);
    host.connect();
    EXPECT_THAT(host.run(Millis(15'000)), Contains("12000 open heartbeat_lost silent"));
}

TEST(HostSession, H30_TheTimeOfAShutdownIsNoEvidence) {
    Host host;
    host.beating().on(Inhibited{Inhibit::shutting_down});
    host.on(StoppedByHost{"io_error", "no space"});
    EXPECT_THAT(host.run(Millis(1'000'000)), Not(Contains(testing::HasSubstr("clear"))));
}

TEST(HostSession, H31_ASilentGuestWhoseChannelIsTakenAwayIsNoFault) {
    Host host;
    host.lost();
    EXPECT_THAT(host.on(ChannelRemoved{Dialect::native}), ElementsAre("forget", "clear heartbeat_lost removed"));
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
