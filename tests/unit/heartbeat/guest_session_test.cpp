// Every row of the guest's state table (proto-spec/heartbeat.md, section 3), in virtual time. Tests are named after
// rows.

#include "heartbeat/guest_session.hpp"

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
using Lines = std::vector<std::string>;

GuestSettings of_interval(Millis interval) {
    GuestSettings settings;
    settings.name = "vm1";
    settings.interval = interval;
    return settings;
}

/// A guest and its clock; every call returns what the guest does, as words.
class Guest {
public:
    explicit Guest(GuestSettings settings = of_interval(Millis(1000))) : session_(std::move(settings), 0) {}

    Guest& after(Millis time) {
        now_ += time;
        return *this;
    }

    Lines connect() {
        return run([&](auto& actions) { session_.connected(now_, actions); });
    }
    Lines disconnect() {
        return run([&](auto& actions) { session_.disconnected(actions); });
    }
    Lines tick() {
        return run([&](auto& actions) { session_.tick(now_, actions); });
    }
    Lines receives(const wire::HeartbeatPdu& pdu, const Health& health = {}) {
        return run([&](auto& actions) { session_.received(pdu, health, now_, actions); });
    }
    Lines reconfigure(const GuestSettings& settings) {
        return run([&](auto& actions) { session_.reconfigure(settings, now_, actions); });
    }
    Lines stop() {
        return run([&](auto& actions) { session_.stop("bye", actions); });
    }

    /// Connected and registered as session "s1", by the first init.
    Guest& registered() {
        connect();
        receives(ack(1, "s1"));
        return *this;
    }
    /// Refused by its host, and so in state waiting.
    Guest& refused() {
        connect();
        receives(wire::Nack{Errc::not_enabled, "no", "init", 1, {}, {}});
        return *this;
    }

    static wire::InitAck ack(std::int64_t invocation, const std::string& session, int revision = 0) {
        return {invocation, revision, SessionId(session), Millis(1000), Millis(1000)};
    }

    /// The init that a connect sends.
    wire::Init first_init() {
        GuestSession::Actions actions;
        session_.connected(now_, actions);
        return std::get<wire::Init>(std::get<GuestSession::SendPdu>(actions.at(0)).pdu);
    }
    const GuestSession& session() const { return session_; }
    Millis due_in() const { return std::chrono::duration_cast<Millis>(session_.next_deadline() - now_); }

private:
    struct Words {
        std::string operator()(const GuestSession::SendPdu& action) const { return std::visit(*this, action.pdu); }
        std::string operator()(const GuestSession::Registered& action) const {
            return "registered " + action.session.str();
        }
        std::string operator()(const GuestSession::Unregistered& action) const { return "unregistered: " + action.why; }
        std::string operator()(const GuestSession::Refused& action) const {
            return "refused " + std::string(to_string(action.nack.code)) + " retry " +
                   std::to_string(action.retry_in.count());
        }
        std::string operator()(const GuestSession::Asked& action) const {
            return "asked " + std::string(model::to_string(action.notify.event));
        }
        std::string operator()(const wire::Init& pdu) const {
            return "init " + std::to_string(pdu.invocation_id) + " every " + std::to_string(pdu.interval.count());
        }
        std::string operator()(const wire::ChallengeResponse& pdu) const {
            return "response " + std::to_string(pdu.value) + (pdu.healthy ? " healthy" : " unhealthy " + pdu.reason) +
                   (pdu.corrective_action ? ", wants " + std::string(to_string(*pdu.corrective_action)) : "");
        }
        std::string operator()(const wire::Exit& pdu) const { return "exit " + pdu.session.str(); }
        template <class T>
        std::string operator()(const T&) const {
            return "a message only a host sends";
        }
    };

    template <class F>
    Lines run(F&& step) {
        GuestSession::Actions actions;
        step(actions);
        Lines lines;
        for (const auto& action : actions)
            lines.push_back(std::visit(Words{}, action));
        return lines;
    }

    base::TimePoint now_{std::chrono::hours(1)};
    GuestSession session_;
};

wire::Challenge challenge(const std::string& session, std::int64_t value) {
    return {SessionId(session), value};
}
wire::Nack nack(Errc code, std::int64_t invocation) {
    return {code, "no", "init", invocation, {}, {}};
}

TEST(GuestSession, G01_AsksAsSoonAsAHostIsThere) {
    Guest guest;
    EXPECT_THAT(guest.connect(), ElementsAre("init 1 every 1000"));
}

TEST(GuestSession, G02_ForgetsTheSessionWhenTheHostHangsUp) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.disconnect(), ElementsAre("unregistered: the host disconnected"));
    EXPECT_EQ(guest.session().next_deadline(), base::kNever);
    EXPECT_THAT(guest.receives(challenge("s1", 5)), IsEmpty());
}

TEST(GuestSession, G03_AReconnectWithoutAHangUpRegistersAnew) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.connect(), ElementsAre("unregistered: the host disconnected", "init 2 every 1000"));
}

TEST(GuestSession, G04_RepeatsAnUnansweredInitAfterOneTwoAndThenEveryFiveSeconds) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.after(Millis(999)).tick(), IsEmpty());
    EXPECT_THAT(guest.after(Millis(1)).tick(), ElementsAre("init 2 every 1000"));
    EXPECT_THAT(guest.after(Millis(2000)).tick(), ElementsAre("init 3 every 1000"));
    EXPECT_THAT(guest.after(Millis(5000)).tick(), ElementsAre("init 4 every 1000"));
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

TEST(GuestSession, G05_IsRegisteredByTheAckOfItsLastInit) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(Guest::ack(1, "s1")), ElementsAre("registered s1"));
    EXPECT_TRUE(guest.session().registered());
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

TEST(GuestSession, G05_OfTwoSessionsForTheSameInitTheLaterCounts) {
    Guest guest;
    guest.connect();
    guest.receives(Guest::ack(1, "s1"));
    EXPECT_THAT(guest.receives(Guest::ack(1, "s1")), IsEmpty());
    EXPECT_THAT(guest.receives(Guest::ack(1, "s2")), ElementsAre("registered s2"));
    EXPECT_THAT(guest.receives(challenge("s2", 5)), ElementsAre("response 5 healthy"));
}

TEST(GuestSession, G06_IgnoresTheAckOfAnEarlierInit) {
    Guest guest;
    guest.connect();
    guest.after(Millis(1000)).tick();
    EXPECT_THAT(guest.receives(Guest::ack(1, "old")), IsEmpty());
    EXPECT_THAT(guest.receives(Guest::ack(2, "new")), ElementsAre("registered new"));
}

TEST(GuestSession, G07_AnswersAChallengeAtOnceWithItsHealth) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(challenge("s1", 5)), ElementsAre("response 5 healthy"));
    EXPECT_THAT(guest.after(Millis(3000)).receives(challenge("s1", 6), {false, "disk full"}),
                ElementsAre("response 6 unhealthy disk full"));
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

TEST(GuestSession, G07_AnAnswerNamesTheActionThatTheIllHealthCallsFor) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(challenge("s1", 5), {false, "disk full", model::CorrectiveAction::stop}),
                ElementsAre("response 5 unhealthy disk full, wants stop"));
}

TEST(GuestSession, G08_AChallengeOfAnotherSessionMakesItRegisterAgain) {
    Guest guest;
    guest.registered().after(Millis(2000));
    EXPECT_THAT(guest.receives(challenge("s9", 5)), ElementsAre("init 2 every 1000"));
}

TEST(GuestSession, G08_G27_StaleChallengesDoNotMakeItFloodTheHost) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(challenge("s9", 5)), IsEmpty());
    EXPECT_THAT(guest.receives(challenge("s9", 6)), IsEmpty());
    EXPECT_THAT(guest.after(Millis(1000)).tick(), ElementsAre("init 2 every 1000"));
}

TEST(GuestSession, G05_AnAckEndsAnInitThatWasDueSoon) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(wire::Nack{Errc::no_session, "", "unknown", {}, {}, {}}), IsEmpty());
    EXPECT_EQ(guest.due_in(), Millis(1000));
    EXPECT_THAT(guest.receives(Guest::ack(1, "s1")), ElementsAre("registered s1"));
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

TEST(GuestSession, G27_IgnoresChallengesBeforeItIsRegistered) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.after(Millis(900)).receives(challenge("s1", 5)), IsEmpty());
    Guest waiting;
    EXPECT_THAT(waiting.refused().receives(challenge("s1", 5)), IsEmpty());
    EXPECT_EQ(waiting.due_in(), Millis(60'000));
}

TEST(GuestSession, G09_AnswersTheKnownSessionUntilTheNextOneIsAcknowledged) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.reconfigure(of_interval(Millis(200))), IsEmpty()) << "the last init was just now";
    EXPECT_THAT(guest.receives(challenge("s1", 5)), ElementsAre("response 5 healthy"));
    EXPECT_THAT(guest.after(Millis(1000)).tick(), ElementsAre("init 2 every 200"));
    EXPECT_THAT(guest.receives(challenge("s1", 6)), ElementsAre("response 6 healthy"));
    EXPECT_TRUE(guest.session().registered());
    EXPECT_THAT(guest.receives(Guest::ack(2, "s2")), ElementsAre("registered s2"));
    EXPECT_THAT(guest.receives(challenge("s1", 7)), IsEmpty());
}

TEST(GuestSession, G09_AnswersTheKnownSessionAlsoWhenItsNewSettingsAreRejected) {
    Guest guest;
    guest.registered().after(Millis(2000)).reconfigure(of_interval(Millis(200)));
    guest.receives(nack(Errc::bad_field, 2));
    EXPECT_THAT(guest.after(Millis(30'000)).receives(challenge("s1", 5)), ElementsAre("response 5 healthy"));
    EXPECT_EQ(guest.due_in(), Millis(30'000));
}

TEST(GuestSession, G10_RegistersAgainWhenTheHostDoesNotKnowTheSession) {
    for (const std::optional<SessionId>& named : {std::optional<SessionId>(), std::optional(SessionId("s1"))}) {
        Guest guest;
        guest.registered().after(Millis(2000));
        wire::Nack unknown{Errc::no_session, "", "unknown", {}, {}, {}};
        unknown.session = named;
        EXPECT_THAT(guest.receives(unknown),
                    ElementsAre("unregistered: the host does not know the session", "init 2 every 1000"));
    }
}

TEST(GuestSession, G26_ANackAboutASessionThatItLeftMeansNothing) {
    Guest guest;
    guest.registered().after(Millis(2000)).reconfigure(of_interval(Millis(200)));
    guest.receives(Guest::ack(2, "s2"));
    wire::Nack crossed{Errc::no_session, "", "challenge_response", {}, {}, {}};
    crossed.session = SessionId("s1");
    EXPECT_THAT(guest.after(Millis(2000)).receives(crossed), IsEmpty());
    EXPECT_TRUE(guest.session().registered());
}

TEST(GuestSession, G11_TakesTheSmallestIntervalOfAHostOfRevision0) {
    Guest guest(of_interval(Millis(50)));
    guest.connect();
    EXPECT_THAT(guest.receives(wire::Nack{Errc::interval_too_small, "", "init", 1, {}, Millis(100)}),
                ElementsAre("refused interval_too_small retry 0"));
    EXPECT_THAT(guest.after(Millis(1000)).tick(), ElementsAre("init 2 every 100"));
}

TEST(GuestSession, G11_TakesTheSmallestDetectionTime) {
    Guest guest;
    guest.first_init();
    wire::Nack refusal{Errc::interval_too_small, "", "init", 1, {}, Millis(2000)};
    refusal.min_detection_time = Millis(4000);
    EXPECT_THAT(guest.receives(refusal), ElementsAre("refused interval_too_small retry 0"));
    const wire::Init init = guest.first_init();
    EXPECT_EQ(init.detection_time, Millis(4000));
    refusal.invocation_id = 2;
    EXPECT_THAT(guest.receives(refusal), ElementsAre("refused interval_too_small retry 60000")) << "it rejects its own";
}

TEST(GuestSession, G11_AMinimumIsComparedWithTheRejectedInitAndNotWithNewSettings) {
    Guest guest(of_interval(Millis(100)));
    guest.connect();
    guest.reconfigure(of_interval(Millis(300)));
    wire::Nack refusal{Errc::interval_too_small, "", "init", 1, {}, {}};
    refusal.min_detection_time = Millis(600);
    EXPECT_THAT(guest.receives(refusal), ElementsAre("refused interval_too_small retry 0"));
    EXPECT_THAT(guest.after(Millis(1000)).tick(), ElementsAre("init 2 every 300"));
}

TEST(GuestSession, G11_AHostThatRejectsItsOwnFloorIsWaitedFor) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(wire::Nack{Errc::interval_too_small, "", "init", 1, {}, Millis(1000)}),
                ElementsAre("refused interval_too_small retry 60000"));
}

TEST(GuestSession, G12_G14_WaitsAMinuteAfterARefusalThatOnlyAnOperatorCanEnd) {
    for (const Errc code : {Errc::not_enabled, Errc::bad_field, Errc::unknown_msg_type, Errc::unsupported_version}) {
        Guest guest;
        guest.connect();
        EXPECT_THAT(guest.receives(nack(code, 1)),
                    ElementsAre("refused " + std::string(to_string(code)) + " retry 60000"));
        EXPECT_EQ(guest.due_in(), Millis(60000));
    }
}

TEST(GuestSession, G12_ABaseNackWithoutInvocationIdAnswersTheLastInitToo) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(wire::Nack{Errc::unknown_address, "", "init", {}, {}, {}}),
                ElementsAre("refused unknown_address retry 60000"));
}

TEST(GuestSession, G12_TheRefusalOfAnEarlierInitMeansNothing) {
    Guest guest;
    guest.connect();
    guest.after(Millis(1000)).tick();
    EXPECT_THAT(guest.receives(nack(Errc::not_enabled, 1)), IsEmpty());
    EXPECT_EQ(guest.due_in(), Millis(2000));
}

TEST(GuestSession, G13_AHostThatOffersTheVersionItRejectsIsWaitedFor) {
    Guest guest;
    guest.connect();
    wire::Nack refusal = nack(Errc::unsupported_version, 1);
    refusal.supported_versions = {wire::kHeartbeatVersion};
    EXPECT_THAT(guest.receives(refusal), ElementsAre("refused unsupported_version retry 60000"));
    EXPECT_EQ(guest.due_in(), Millis(60000));
}

TEST(GuestSession, G15_SlowsDownWhenTheHostSaysItAsksTooOften) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(nack(Errc::rate_limited, 1)), IsEmpty());
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

TEST(GuestSession, G16_AnotherNackLeavesTheSessionAlone) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(nack(Errc::bad_field, 1)), IsEmpty());
    EXPECT_TRUE(guest.session().registered());
}

TEST(GuestSession, G16_ANackOfALaterRevisionLeavesTheSessionAlone) {
    Guest guest;
    guest.connect();
    wire::Nack unknown = nack(Errc::bad_field, 1);
    unknown.unknown_code = "too_sunny";
    EXPECT_THAT(guest.receives(unknown), IsEmpty());
    EXPECT_EQ(guest.due_in(), Millis(1000));
}

TEST(GuestSession, G17_WaitsWhenTheHostEndsTheSession) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(wire::Exit{SessionId("s1"), "switched off"}),
                ElementsAre("unregistered: the host ended the session: switched off"));
    EXPECT_EQ(guest.due_in(), Millis(60000));
}

TEST(GuestSession, G17_IgnoresTheExitOfAnotherSession) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.receives(wire::Exit{SessionId("s0"), ""}), IsEmpty());
    EXPECT_TRUE(guest.session().registered());
}

TEST(GuestSession, G18_RegistersAgainWhenTheHostIsSilentForFiveSecondsOrTwoIntervals) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.after(Millis(4999)).tick(), IsEmpty());
    EXPECT_THAT(guest.after(Millis(1)).tick(),
                ElementsAre("unregistered: no challenge from the host", "init 2 every 1000"));
    EXPECT_EQ(guest.due_in(), Millis(1000));
    Guest slow;
    slow.connect();
    slow.receives(wire::InitAck{1, 0, SessionId("s1"), Millis(4000), Millis(4000)});
    EXPECT_EQ(slow.due_in(), Millis(8000));
    slow.after(Millis(7000)).receives(challenge("s1", 1));
    EXPECT_THAT(slow.after(Millis(7999)).tick(), IsEmpty());
    EXPECT_THAT(slow.after(Millis(1)).tick(), testing::Contains("init 2 every 1000"));
}

TEST(GuestSession, G18_AHostThatComesBackFindsItsSessionAnswered) {
    Guest guest;
    guest.registered().after(Millis(5000)).tick();
    EXPECT_THAT(guest.receives(challenge("s1", 5)), ElementsAre("response 5 healthy"));
    EXPECT_FALSE(guest.session().registered());
}

TEST(GuestSession, G19_AsksAgainWhenItHasWaited) {
    Guest guest;
    guest.refused();
    EXPECT_THAT(guest.after(Millis(60000)).tick(), ElementsAre("init 2 every 1000"));
    EXPECT_EQ(guest.due_in(), Millis(1000));
}

TEST(GuestSession, G20_AHostThatCallsEndsTheWait) {
    Guest guest;
    guest.refused().after(Millis(2000));
    EXPECT_THAT(guest.receives(nack(Errc::no_session, 0)), ElementsAre("init 2 every 1000"));
}

TEST(GuestSession, G21_SaysExitWhenItStops) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.stop(), ElementsAre("exit s1", "unregistered: bye"));
    Guest registering;
    registering.registered().reconfigure(of_interval(Millis(200)));
    EXPECT_THAT(registering.stop(), ElementsAre("exit s1", "unregistered: bye"));
}

TEST(GuestSession, G22_StopsInSilenceWhenNotRegistered) {
    Guest away;
    EXPECT_THAT(away.stop(), IsEmpty());
    Guest asking;
    asking.connect();
    EXPECT_THAT(asking.stop(), IsEmpty());
    Guest waiting;
    EXPECT_THAT(waiting.refused().stop(), IsEmpty());
}

TEST(GuestSession, G23_TellsAChangeOfHealthWithTheNextAnswerOnly) {
    Guest guest;
    guest.registered();
    EXPECT_THAT(guest.tick(), IsEmpty());
    EXPECT_THAT(guest.receives(challenge("s1", 1), {false, "x"}), ElementsAre("response 1 unhealthy x"));
}

TEST(GuestSession, G24_RegistersAgainWithANewConfiguration) {
    Guest guest;
    guest.registered().after(Millis(2000));
    EXPECT_THAT(guest.reconfigure(of_interval(Millis(1000))), IsEmpty());
    EXPECT_THAT(guest.reconfigure(of_interval(Millis(200))), ElementsAre("init 2 every 200"));
    Guest waiting;
    EXPECT_THAT(waiting.refused().after(Millis(2000)).reconfigure(of_interval(Millis(200))),
                ElementsAre("init 2 every 200"));
}

TEST(GuestSession, G25_SettingsThatChangeWhileItRegistersAreNotLost) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.after(Millis(400)).reconfigure(of_interval(Millis(200))), IsEmpty());
    EXPECT_THAT(guest.receives(Guest::ack(1, "s1")), ElementsAre("registered s1"));
    EXPECT_THAT(guest.receives(challenge("s1", 5)), ElementsAre("response 5 healthy"));
    EXPECT_EQ(guest.due_in(), Millis(600));
    EXPECT_THAT(guest.after(Millis(600)).tick(), ElementsAre("init 2 every 200"));
    EXPECT_THAT(guest.receives(Guest::ack(2, "s2")), ElementsAre("registered s2"));
    EXPECT_EQ(guest.due_in(), Millis(5000));
}

struct Declared {
    std::optional<Millis> detection_time, interval, deadline;  // of the settings
    std::optional<Millis> asked_detection_time, asked_challenge_interval;
    Millis asked_interval;                 // of a host of revision 0
    std::optional<Millis> asked_deadline;  // likewise
};

TEST(GuestSession, DeclaresTheTimesThatAreConfiguredToHostsOfBothRevisions) {
    constexpr std::nullopt_t kNone = std::nullopt;
    for (const Declared& each : {
             Declared{kNone, kNone, kNone, kNone, kNone, Millis(450), kNone},
             Declared{Millis(600), kNone, kNone, Millis(600), kNone, Millis(300), kNone},
             Declared{kNone, Millis(1000), kNone, Millis(3000), Millis(1000), Millis(1000), kNone},
             Declared{kNone, Millis(1000), Millis(200), Millis(1200), Millis(1000), Millis(1000), Millis(200)},
             Declared{kNone, kNone, Millis(400), Millis(600), Millis(200), Millis(300), Millis(300)},
             Declared{kNone, kNone, Millis(50), Millis(200), Millis(150), Millis(100), Millis(50)},
             Declared{kNone, kNone, Millis(133), Millis(233), Millis(100), Millis(116), Millis(116)},
             Declared{kNone, kNone, Millis(3599900), Millis(3600000), Millis(100), Millis(1800000), Millis(1800000)},
             Declared{Millis(900), Millis(100), kNone, Millis(900), Millis(100), Millis(100), kNone},
             Declared{Millis(900), kNone, Millis(700), Millis(900), Millis(200), Millis(450), Millis(450)},
         }) {
        GuestSettings settings;
        settings.detection_time = each.detection_time;
        settings.interval = each.interval;
        settings.response_deadline = each.deadline;
        const wire::Init init = Guest(settings).first_init();
        EXPECT_EQ(init.revision, 1);
        EXPECT_EQ(init.detection_time, each.asked_detection_time);
        EXPECT_EQ(init.challenge_interval, each.asked_challenge_interval);
        EXPECT_EQ(init.interval, each.asked_interval);
        EXPECT_EQ(init.response_deadline, each.asked_deadline);
    }
}

TEST(GuestSession, RejectsAnAckOfARevisionItDoesNotSpeak) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(Guest::ack(1, "s1", 7)), IsEmpty());
}

wire::ActionNotify about_a_stop(const std::string& session) {
    return {SessionId(session), 7, model::LifecycleEvent::stop, true, Millis(1000)};
}

TEST(GuestSession, G28_AsksAboutAnActionInEveryStateInWhichItHasASession) {
    Guest guest;
    EXPECT_THAT(guest.registered().receives(about_a_stop("s1")), ElementsAre("asked stop"));
    guest.after(Millis(60'000)).tick();
    EXPECT_THAT(guest.receives(about_a_stop("s1")), ElementsAre("asked stop"));
}

TEST(GuestSession, G29_IgnoresAnActionOfAnotherSession) {
    Guest guest;
    guest.connect();
    EXPECT_THAT(guest.receives(about_a_stop("s1")), IsEmpty());
    EXPECT_THAT(Guest().registered().receives(about_a_stop("s2")), IsEmpty());
}

TEST(GuestSession, DeclaresWhatItMayTakeBeforeAnAction) {
    GuestSettings settings;
    settings.notice_times = {Millis(1), Millis(2), Millis(3), Millis(4)};
    EXPECT_EQ(Guest(settings).first_init().notice_times, settings.notice_times);
}

}  // namespace
}  // namespace vitalwire::heartbeat
