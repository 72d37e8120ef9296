// Every row of the host's state table (proto-spec/heartbeat.md, section 4), in virtual time. Tests are named after
// rows. A violated rule (H-06) never gets as far as the session: tests/unit/host/channel_test.cpp.

#include "heartbeat/host_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace vitalwire::heartbeat {
namespace {

using base::Errc;
using base::Millis;
using base::SessionId;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::Dialect;
using Lines = std::vector<std::string>;

/// Challenges count 1, 2, 3 ...; sessions are s1, s2 ...
class CountingEntropy : public Entropy {
public:
    std::int64_t challenge() override { return ++challenges_; }
    SessionId session_id() override { return SessionId("s" + std::to_string(++sessions_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
};

struct Words {
    std::string operator()(const Send& action) const { return std::visit(*this, action.pdu); }
    std::string operator()(const OpenFault& action) const {
        return words("open", action.kind, action.detail, action.reason);
    }
    std::string operator()(const UpdateFault& action) const {
        return words("update", action.kind, action.detail, action.reason);
    }
    std::string operator()(const ClearFault& action) const { return words("clear", action.kind, action.reason, ""); }
    std::string operator()(const SaveRegistration& action) const {
        if (action.registration) return "keep " + action.registration->session.str();
        return action.expected_back ? "expect back" : "forget";
    }
    std::string operator()(const wire::InitAck& pdu) const { return "init_ack " + pdu.session.str(); }
    std::string operator()(const wire::Challenge& pdu) const { return "challenge " + std::to_string(pdu.value); }
    std::string operator()(const wire::Exit& pdu) const { return "exit " + pdu.session.str(); }
    std::string operator()(const wire::Nack& pdu) const {
        return "nack " + std::string(to_string(pdu.code)) +
               (pdu.min_interval ? " min " + std::to_string(pdu.min_interval->count()) : "");
    }
    template <class T>
    std::string operator()(const T&) const {
        return "a message only a guest sends";
    }

    static std::string words(std::string verb, FaultKind kind, const std::string& detail, const std::string& reason) {
        verb += " " + std::string(to_string(kind));
        if (!detail.empty()) verb += " " + detail;
        if (!reason.empty()) verb += ": " + reason;
        return verb;
    }
};

/// One guest as its host sees it; every call returns what the host does, as words.
class Host {
public:
    explicit Host(HostPolicy policy = {}) : session_(policy, entropy_) {}

    Host& after(Millis time) {
        now_ += time;
        return *this;
    }

    Lines on(const HostEvent& event) {
        HostActions actions;
        session_.step(event, now_, wall_, actions);
        Lines lines;
        for (const auto& action : actions)
            lines.push_back(std::visit(Words{}, action));
        return lines;
    }
    Lines tick() { return on(Tick{}); }
    Lines connect(Dialect dialect = Dialect::native) { return on(Connected{dialect}); }
    Lines init(Millis interval = Millis(1000), Dialect dialect = Dialect::native) {
        return on(Received{dialect, wire::Init{7, 0, "vm1", interval, {}, wire::CorrectiveAction::none}});
    }
    Lines answer(std::int64_t value, bool healthy = true, const std::string& reason = "",
                 const std::string& session = "s1") {
        return on(Received{Dialect::native, wire::ChallengeResponse{SessionId(session), value, healthy, reason, {}}});
    }
    Lines answer_existing(std::int64_t value) {
        return on(Received{Dialect::existing, wire::ChallengeResponse{{}, value, true, "", {}}});
    }
    Lines exit(const std::string& session) { return on(Received{Dialect::native, wire::Exit{SessionId(session), ""}}); }

    /// Registered as s1 every 1000 ms, challenge 1 sent just now.
    Host& beating(Dialect dialect = Dialect::native) {
        connect(dialect);
        init(Millis(1000), dialect);
        tick();
        return *this;
    }
    /// beating(), and challenge 1 never answered.
    Host& lost() {
        beating().after(Millis(1000)).tick();
        return *this;
    }
    void resume(const std::vector<OpenFault>& open) {
        const Registration registration{Dialect::native, SessionId("s0"), "vm1", Millis(1000), Millis(1000), {}, {}};
        session_.resume({registration, false}, open, now_);
    }

    const HostSession& session() const { return session_; }
    Millis due_in() const { return std::chrono::duration_cast<Millis>(session_.next_deadline() - now_); }
    bool idle() const { return session_.next_deadline() == base::kNever; }

private:
    CountingEntropy entropy_;
    base::TimePoint now_{std::chrono::hours(1)};
    base::WallTime wall_{std::chrono::hours(500000)};
    HostSession session_;
};

HostPolicy required() {
    HostPolicy policy;
    policy.required = true;
    return policy;
}

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
    EXPECT_EQ(host.due_in(), Millis(1007));
    host.after(Millis(1007)).tick();
    host.answer(2);
    EXPECT_EQ(host.due_in(), Millis(1000));
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
    const auto action = wire::CorrectiveAction::reboot;
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

TEST(HostSession, H20_NobodyIsJudgedWhileTheMachineIsHeld) {
    for (const Hold why : {Hold::paused, Hold::suspended, Hold::saving}) {
        Host host;
        host.beating().after(Millis(500)).on(Held{why});
        EXPECT_THAT(host.after(std::chrono::hours(5)).tick(), IsEmpty()) << to_string(why);
    }
}

TEST(HostSession, H20_AMachineThatMigratesIsAskedButNotJudged) {
    Host host;
    host.beating().after(Millis(500)).on(Held{Hold::migrating});
    EXPECT_THAT(host.after(Millis(500)).tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_FALSE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, H21_AfterAHoldTheGuestGetsTimeToSettle) {
    Host host;
    host.beating().on(Held{Hold::paused});
    EXPECT_THAT(host.after(Millis(60'000)).on(Released{}), IsEmpty());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.after(Millis(1000)).tick(), ElementsAre("open heartbeat_lost silent", "challenge 4"));
}

TEST(HostSession, H21_AMachineFoundRunningIsNotPausedAnyMore) {
    Host host;
    host.beating().on(Held{Hold::paused});
    host.after(Millis(5000)).on(Started{});
    EXPECT_FALSE(host.session().held());
    EXPECT_THAT(host.tick(), ElementsAre("challenge 2"));
    EXPECT_EQ(host.due_in(), Millis(1000));
}

TEST(HostSession, H20_AMachineThatMigratesRunsAllTheTime) {
    Host host;
    host.beating().on(Held{Hold::migrating});
    host.on(Started{});
    EXPECT_EQ(host.session().held(), Hold::migrating);
}

TEST(HostSession, H22_ARebootEndsTheSessionAndStartsTheWaitForANewOne) {
    Host host;
    host.beating();
    EXPECT_THAT(host.on(Rebooted{}), ElementsAre("expect back"));
    EXPECT_THAT(host.on(Rebooted{}), IsEmpty()) << "reported twice for one reboot";
    EXPECT_THAT(host.after(Millis(60'000)).init(), ElementsAre("keep s2", "init_ack s2"));
    EXPECT_FALSE(host.session().held());
}

TEST(HostSession, H23_AGuestThatDoesNotComeBackFromItsRebootIsAFault) {
    Host host;
    host.beating().on(Rebooted{});
    EXPECT_THAT(host.after(Millis(119'999)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(1)).tick(), ElementsAre("open not_established"));
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2", "clear not_established registered"));
}

TEST(HostSession, H23_ALostGuestThatRebootsStaysLostAndIsNoSecondFault) {
    Host host;
    host.lost().on(Rebooted{});
    EXPECT_THAT(host.after(Millis(120'000)).tick(), IsEmpty());
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2", "clear heartbeat_lost registered"));
}

TEST(HostSession, H23_APauseStopsTheWaitForARegistration) {
    Host host(required());
    host.on(Started{});
    host.after(Millis(100'000)).on(Held{Hold::paused});
    EXPECT_THAT(host.after(Millis(100'000)).tick(), IsEmpty());
    host.on(Released{});
    EXPECT_EQ(host.due_in(), Millis(120'000));
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
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2", "clear heartbeat_lost registered",
                                         "clear vm_crashed registered"));
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
    EXPECT_EQ(host.due_in(), Millis(120'000));
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
    host.resume({{FaultKind::heartbeat_lost, "silent", ""}});
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
    host.beating().on(Held{Hold::paused});
    EXPECT_THAT(host.answer(1, false, "x"), ElementsAre("open unhealthy: x"));
    EXPECT_EQ(host.session().counters().late, 0U);
}

TEST(HostSession, H30_AMachineThatIgnoresItsShutdownIsJudgedAgainInTheEnd) {
    Host host;
    host.beating().on(Held{Hold::shutting_down});
    Lines seen;
    for (int second = 0; second < 130; ++second) {
        for (const auto& line : host.after(Millis(1000)).tick())
            seen.push_back(line);
    }
    EXPECT_THAT(seen, testing::Contains("open heartbeat_lost silent"));
}

TEST(HostSession, H31_ASilentGuestWhoseChannelIsTakenAwayIsNoFault) {
    Host host;
    host.lost();
    EXPECT_THAT(host.on(ChannelRemoved{Dialect::native}), ElementsAre("forget", "clear heartbeat_lost removed"));
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
}  // namespace vitalwire::heartbeat
