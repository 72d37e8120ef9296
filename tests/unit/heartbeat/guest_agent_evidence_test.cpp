#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

HostPolicy asking() {
    HostPolicy policy;
    policy.guest_agent = true;
    return policy;
}

/// A guest that has a QEMU guest agent and nothing of ours.
class GuestAgentEvidence : public testing::Test {
protected:
    Lines answered() { return host_.on(GuestAgentAnswered{Millis(1)}); }
    Lines silent() { return host_.on(GuestAgentSilent{"no answer"}); }
    void lose() {
        answered();
        for (int i = 0; i < 3; ++i)
            silent();
        ASSERT_TRUE(host_.session().fault_open(FaultKind::heartbeat_lost));
    }

    Host host_{asking()};
};

TEST_F(GuestAgentEvidence, TheFirstAnswerIsTheRegistration) {
    EXPECT_THAT(answered(), ElementsAre("keep s1"));
    EXPECT_EQ(host_.session().registration()->dialect, Dialect::guest_agent);
}

TEST_F(GuestAgentEvidence, IsOffUnlessThePolicyAsksForIt) {
    Host plain;
    EXPECT_FALSE(plain.session().guest_agent_due());
    EXPECT_THAT(plain.on(GuestAgentAnswered{}), IsEmpty());
    EXPECT_FALSE(plain.session().registration());
}

TEST_F(GuestAgentEvidence, TheThirdSilenceInARowOpensTheFaultThatNamesIts) {
    answered();
    EXPECT_THAT(silent(), IsEmpty());
    EXPECT_THAT(silent(), IsEmpty());
    EXPECT_THAT(silent(), ElementsAre("open heartbeat_lost guest_agent: no answer"));
    EXPECT_THAT(silent(), IsEmpty());
}

TEST_F(GuestAgentEvidence, AnAnswerBetweenStartsTheCountAgain) {
    answered();
    silent();
    silent();
    answered();
    silent();
    EXPECT_THAT(silent(), IsEmpty());
}

TEST_F(GuestAgentEvidence, AnAnswerEndsTheFault) {
    lose();
    EXPECT_THAT(answered(), ElementsAre("clear heartbeat_lost recovered"));
}

TEST_F(GuestAgentEvidence, TheSilenceOfOneThatNeverAnsweredIsNoLoss) {
    for (int i = 0; i < 10; ++i)
        EXPECT_THAT(silent(), IsEmpty());
}

TEST_F(GuestAgentEvidence, OneThatMustAnswerAndNeverDoesIsNotEstablished) {
    HostPolicy policy = asking();
    policy.required = true;
    Host host(policy);
    host.on(Started{});
    EXPECT_THAT(host.run(std::chrono::minutes(3)), ElementsAre("120000 open not_established"));
    EXPECT_THAT(host.on(GuestAgentAnswered{}), ElementsAre("keep s1", "clear not_established registered"));
}

TEST_F(GuestAgentEvidence, IsSentNoChallengeByTheSession) {
    host_.connect(Dialect::guest_agent);
    answered();
    EXPECT_THAT(host_.run(std::chrono::minutes(5)), IsEmpty());
}

TEST_F(GuestAgentEvidence, IsNotAskedNorJudgedWhileItsMachineIsPaused) {
    answered();
    host_.on(Inhibited{Inhibit::paused});
    EXPECT_FALSE(host_.session().guest_agent_due());
    for (int i = 0; i < 5; ++i)
        EXPECT_THAT(silent(), IsEmpty());
    host_.on(Released{});
    EXPECT_TRUE(host_.session().guest_agent_due());
    EXPECT_THAT(silent(), IsEmpty()) << "it catches up first";
}

TEST_F(GuestAgentEvidence, AnAnswerEndsAReboot) {
    answered();
    host_.on(Rebooted{});
    EXPECT_TRUE(host_.session().guest_agent_due());
    EXPECT_THAT(silent(), IsEmpty());
    EXPECT_THAT(answered(), ElementsAre("keep s2"));
    EXPECT_FALSE(host_.session().inhibited());
}

TEST_F(GuestAgentEvidence, OneThatDoesNotComeBackFromARebootIsNotEstablished) {
    answered();
    host_.on(Rebooted{});
    EXPECT_THAT(host_.run(std::chrono::minutes(3)), ElementsAre("120000 open not_established"));
}

TEST_F(GuestAgentEvidence, AStopOnPurposeEndsItsFaults) {
    lose();
    EXPECT_THAT(host_.on(Stopped{StopReason::domain_stopped}), Contains("clear heartbeat_lost domain_stopped"));
    EXPECT_FALSE(host_.session().guest_agent_due());
}

TEST_F(GuestAgentEvidence, AHeartbeatOfTheGuestsOwnTakesItsPlace) {
    lose();
    host_.beating();
    EXPECT_FALSE(host_.session().wants_guest_agent());
    EXPECT_THAT(answered(), IsEmpty());
    EXPECT_TRUE(host_.session().fault_open(FaultKind::heartbeat_lost)) << "ends with the guest's own answer";
    EXPECT_EQ(host_.session().registration()->dialect, Dialect::native);
}

TEST_F(GuestAgentEvidence, DoesNotStandInForAHeartbeatThatIsExpectedBack) {
    host_.beating();
    host_.on(Rebooted{});
    EXPECT_THAT(answered(), IsEmpty());
    EXPECT_THAT(host_.run(std::chrono::minutes(3)), ElementsAre("120000 open not_established"));
}

TEST_F(GuestAgentEvidence, DoesNotStandInForItAfterARestartOfTheAgentEither) {
    host_.beating();
    host_.on(Rebooted{});
    Host restarted{asking()};
    restarted.resume_unregistered({}, host_.saved());
    EXPECT_THAT(restarted.on(GuestAgentAnswered{}), IsEmpty());
    EXPECT_THAT(restarted.run(std::chrono::minutes(3)), ElementsAre("120000 open not_established"));
}

TEST_F(GuestAgentEvidence, ComesBackItselfAfterARestartOfTheAgentWithinAReboot) {
    answered();
    host_.on(Rebooted{});
    Host restarted{asking()};
    restarted.resume_unregistered({}, host_.saved());
    EXPECT_THAT(restarted.on(GuestAgentAnswered{}), ElementsAre("keep s1"));
}

TEST_F(GuestAgentEvidence, TakesOverWhenTheGuestUnregisters) {
    host_.beating();
    host_.exit("s1");
    EXPECT_THAT(answered(), ElementsAre("keep s2"));
}

TEST_F(GuestAgentEvidence, EndsWithThePolicyThatAskedForIt) {
    lose();
    EXPECT_THAT(host_.on(PolicyChanged{HostPolicy()}), ElementsAre("forget", "clear heartbeat_lost disabled"));
}

TEST_F(GuestAgentEvidence, EndsWithItsPort) {
    host_.connect(Dialect::guest_agent);
    lose();
    EXPECT_THAT(host_.on(ChannelRemoved{Dialect::guest_agent}), ElementsAre("forget", "clear heartbeat_lost removed"));
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
