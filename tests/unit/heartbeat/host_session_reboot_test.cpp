// Rows of the host's state table (proto-spec/heartbeat.md, section 4) about reboots and the time to register, in
// virtual time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(HostSession, H22_ARebootEndsTheSessionAndStartsTheWaitForANewOne) {
    Host host;
    host.beating();
    EXPECT_THAT(host.on(Rebooted{}), ElementsAre("expect back"));
    EXPECT_THAT(host.on(Rebooted{}), IsEmpty()) << "reported twice for one reboot";
    EXPECT_THAT(host.after(Millis(60'000)).init(), ElementsAre("keep s2", "init_ack s2"));
    EXPECT_FALSE(host.session().inhibited());
}

TEST(HostSession, H23_AGuestThatDoesNotComeBackFromItsRebootIsAFault) {
    Host host;
    host.beating().on(Rebooted{});
    EXPECT_THAT(host.after(Millis(119'999)).tick(), IsEmpty());
    EXPECT_THAT(host.after(Millis(1)).tick(), ElementsAre("open not_established"));
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2"));
    host.tick();
    EXPECT_THAT(host.answer(2, true, "", "s2"), ElementsAre("clear not_established registered"));
}

TEST(HostSession, H23_ALostGuestThatRebootsStaysLostAndIsNoSecondFault) {
    Host host;
    host.lost().on(Rebooted{});
    EXPECT_THAT(host.after(Millis(120'000)).tick(), IsEmpty());
    EXPECT_THAT(host.init(), ElementsAre("keep s2", "init_ack s2"));
    host.tick();
    EXPECT_THAT(host.answer(3, true, "", "s2"), ElementsAre("clear heartbeat_lost recovered"));
}

TEST(HostSession, H23_APauseStopsTheWaitForARegistration) {
    Host host(required());
    host.on(Started{});
    host.after(Millis(100'000)).on(Inhibited{Inhibit::paused});
    EXPECT_THAT(host.after(Millis(100'000)).tick(), IsEmpty());
    host.on(Released{});
    EXPECT_THAT(host.run(Millis(20'000)), ElementsAre("20000 open not_established"));
}

TEST(HostSession, H22_AGuestThatLeavesBeforeItsRebootIsAwaited) {
    Host host;
    host.beating().answer(1);
    host.exit("s1");
    EXPECT_TRUE(host.idle()) << "it may have left for good";
    host.after(Millis(90'000));
    EXPECT_THAT(host.on(Rebooted{}), ElementsAre("expect back"));
    EXPECT_TRUE(host.saved().own_heartbeat);
    EXPECT_EQ(host.session().inhibited(), Inhibit::rebooting);
    EXPECT_THAT(host.on(Rebooted{}), IsEmpty()) << "reported twice for one reboot";
    EXPECT_THAT(host.run(Millis(120'000)), ElementsAre("120000 open not_established"));
    host.init();
    host.tick();
    EXPECT_THAT(host.answer(2, true, "", "s2"), ElementsAre("clear not_established registered"));
}

TEST(HostSession, H22_AGuestThatHasLeftLongBeforeARebootIsNotAwaited) {
    Host host;
    host.beating().exit("s1");
    host.after(Millis(120'001)).on(Rebooted{});
    EXPECT_TRUE(host.idle());
    Host stopped;
    stopped.beating().exit("s1");
    stopped.on(Stopped{StopReason::domain_stopped});
    stopped.on(Rebooted{});
    EXPECT_TRUE(stopped.idle());
}

TEST(HostSession, H22_ACgcsGuestIsAwaitedForAsLongAsItSaidThatItTakes) {
    Host host;
    host.connect(Dialect::cgcs);
    wire::Init init;
    init.name = "vm1";
    init.restart_time = std::chrono::seconds(600);
    host.on(Received{Dialect::cgcs, init});
    host.tick();
    host.answer_cgcs(1);
    host.on(Rebooted{});
    EXPECT_THAT(host.run(Millis(599'999)), IsEmpty());
    EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open not_established"));
}

TEST(HostSession, H22_AGuestThatRebootsAgainAndAgainAndNeverAnswersIsAFault) {
    for (const bool registers : {false, true}) {
        Host host;
        host.beating().answer(1);
        Lines lines;
        for (int minute = 0; minute < 3; ++minute) {
            host.on(Rebooted{});
            host.on(Rebooted{});
            host.on(Started{});
            for (const std::string& line : host.run(Millis(59'900)))
                lines.push_back(line);
            if (registers) host.init();
            host.after(Millis(100));
        }
        EXPECT_THAT(lines, Contains(HasSubstr("open not_established"))) << registers;
    }
}

TEST(HostSession, H22_AValidAnswerBetweenRebootsBeginsTheTimeAgain) {
    Host host;
    host.beating().answer(1);
    host.on(Rebooted{});
    host.after(Millis(60'000)).init();
    host.tick();
    host.after(Millis(100)).answer(2, true, "", "s2");
    host.on(Rebooted{});
    EXPECT_THAT(host.run(Millis(119'999)), IsEmpty());
    EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open not_established"));
}

TEST(HostSession, H22_AMachineThatIsPausedAndResetStandsStill) {
    for (const Inhibit why : {Inhibit::paused, Inhibit::suspended, Inhibit::saving}) {
        Host host;
        host.beating().on(Inhibited{why});
        EXPECT_THAT(host.on(Rebooted{}), ElementsAre("expect back"));
        EXPECT_THAT(host.run(std::chrono::hours(5)), IsEmpty()) << to_string(why);
        EXPECT_EQ(host.session().inhibited(), why);
        host.on(Released{});
        EXPECT_THAT(host.run(Millis(119'999)), IsEmpty());
        EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open not_established"));
    }
}

TEST(HostSession, H22_APauseNeitherUsesUpTheTimeToRegisterNorBeginsItAgain) {
    Host host;
    host.beating().answer(1);
    host.on(Rebooted{});
    for (int pause = 0; pause < 4; ++pause) {
        EXPECT_THAT(host.run(Millis(29'999)), IsEmpty());
        host.on(Inhibited{Inhibit::paused});
        host.after(std::chrono::hours(1)).on(Released{});
    }
    EXPECT_THAT(host.run(Millis(3)), IsEmpty());
    EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open not_established"));
}

TEST(HostSession, H22_ThatTheMachineRunsDoesNotEndItsReboot) {
    Host host;
    host.beating().on(Rebooted{});
    host.on(Released{});
    EXPECT_EQ(host.session().inhibited(), Inhibit::rebooting);
}

TEST(HostSession, H22_AnAgentThatRestartsWhileACgcsGuestRebootsAwaitsItAsLong) {
    Host host;
    host.resume_unregistered({}, {std::nullopt, true, std::chrono::seconds(600)});
    EXPECT_THAT(host.run(Millis(599'999)), IsEmpty());
    EXPECT_THAT(host.run(Millis(1)), ElementsAre("1 open not_established"));
}

TEST(HostSession, H33_ACgcsSessionTakesThePlaceOfANativeOneThatWasLost) {
    Host host;
    host.lost();
    host.connect(Dialect::cgcs);
    EXPECT_THAT(host.init(Millis(1000), Dialect::cgcs), ElementsAre("keep s2", "init_ack s2"));
    EXPECT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost)) << "an init is a claim";
    EXPECT_THAT(host.tick(), ElementsAre("challenge 3"));
    EXPECT_THAT(host.answer_cgcs(3), ElementsAre("clear heartbeat_lost recovered"));
    EXPECT_THAT(host.answer(1), ElementsAre("nack no_session for s1")) << "the lost one may come back with an init";
}

TEST(HostSession, H33_ACgcsSessionTakesThePlaceOfANativeOneWhoseChannelIsClosedOnceThatIsLost) {
    Host host;
    host.beating();
    host.answer(1);
    host.on(Closed{Dialect::native, Millis(300)});
    host.connect(Dialect::cgcs);
    EXPECT_THAT(host.init(Millis(1000), Dialect::cgcs), ElementsAre("nack unavailable"));
    host.run(Millis(3000));
    ASSERT_TRUE(host.session().fault_open(FaultKind::heartbeat_lost));
    EXPECT_THAT(host.init(Millis(1000), Dialect::cgcs), ElementsAre("keep s2", "init_ack s2"));
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
