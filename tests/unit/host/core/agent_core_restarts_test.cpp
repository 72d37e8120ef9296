#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// An agent that is restarted all the time.
class AgentCoreRestartsTest : public AgentCoreTest {
protected:
    void live(Millis time, bool answers) {
        restart();
        connect_controller();
        found();
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        after(Millis(0));
        if (answers) answer();
        after(time);
    }
    void begin() {
        found();
        listed();
        registered();
    }
    std::vector<std::string> problems() const {
        std::vector<std::string> out;
        for (const auto& problem : core_->problems().list())
            out.push_back(problem.what + ": " + problem.detail);
        return out;
    }
    std::size_t awaited() { return disk_["awaited"].size(); }
    void must_register() {
        model::GuestPolicy policy;
        policy.guest = kGuest;
        policy.heartbeat = true;
        connect_controller();
        core_->controller_sent(0, bus::Policies{true, {policy}}, at());
    }
};

TEST_F(AgentCoreRestartsTest, AGuestThatHangsIsFoundThoughItsAgentOutlivesNoGrace) {
    begin();
    for (int life = 0; life < 6; ++life)
        live(Millis(2000), false);
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    EXPECT_EQ(awaited(), 0U) << "the fault is what is kept now";
}

TEST_F(AgentCoreRestartsTest, AGuestThatHangsIsFoundByAnAgentThatLivesForOneDeadlineEachTime) {
    begin();
    int lives = 0;
    for (; lives < 20 && open_faults().empty(); ++lives)
        live(Millis(1100), false);
    EXPECT_LE(lives, 10);
}

TEST_F(AgentCoreRestartsTest, AGuestThatHadNoChanceToAnswerIsNotLost) {
    begin();
    for (int life = 0; life < 500; ++life)
        live(Millis(50), false);
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreRestartsTest, AGuestWhoseChannelIsNotConnectedHasNoChance) {
    begin();
    for (int life = 0; life < 10; ++life) {
        restart();
        found();
        listed();
        after(Millis(4000));
    }
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreRestartsTest, AnAnswerGivesAGuestItsWholeGraceAgain) {
    begin();
    for (int life = 0; life < 2; ++life)
        live(Millis(2000), false);
    EXPECT_EQ(awaited(), 1U);
    live(Millis(0), true);
    EXPECT_EQ(awaited(), 0U);
    live(Millis(4900), false);
    EXPECT_THAT(open_faults(), IsEmpty());
    after(Millis(1000));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
}

TEST_F(AgentCoreRestartsTest, ACgcsGuestIsLostAfterItsTwoMissesInTwoLives) {
    const auto challenged = [&] {
        core_->channel_found(kGuest, ChannelKind::cgcs_heartbeat, Millis(300), at());
        core_->machine(kGuest, heartbeat::Found{}, at());
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::cgcs_heartbeat, at());
        after(Millis(0));
    };
    challenged();
    wire::Init init;
    init.interval = Millis(3000);
    core_->heartbeat_received(GuestKey(kGuest), Dialect::cgcs, init, at());
    after(Millis(0));
    core_->heartbeat_received(GuestKey(kGuest), Dialect::cgcs,
                              wire::ChallengeResponse{{}, challenge_.value, true, "", {}}, at());
    int lives = 0;
    for (; lives < 10 && open_faults().empty(); ++lives) {
        restart();
        challenged();
        after(Millis(3500));
    }
    EXPECT_EQ(lives, 3) << "5 s of grace, and two deadlines of 3 s";
}

TEST_F(AgentCoreRestartsTest, ARegistrationIsAwaitedOnThroughThem) {
    must_register();
    found();
    listed();
    for (int life = 0; life < 11; ++life) {
        restart();
        found();
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        after(seconds(13));
    }
    EXPECT_THAT(open_faults(), ElementsAre("f1 not_established "));
}

TEST_F(AgentCoreRestartsTest, WhatWasAwaitedEndsWithTheHostAndWithTheGuest) {
    begin();
    live(Millis(2000), false);
    EXPECT_EQ(awaited(), 1U);
    core_->machine_gone(kGuest, heartbeat::StopReason::removed, at());
    EXPECT_EQ(awaited(), 0U);
    begin();
    live(Millis(2000), false);
    EXPECT_EQ(awaited(), 1U);
    restart("boot-2");
    EXPECT_EQ(awaited(), 0U);
}

TEST_F(AgentCoreRestartsTest, ALifeOfAnEarlierReleaseInBetweenMayHaveSeenItAnswer) {
    begin();
    live(Millis(2000), false);
    disk_["agent"]["starts"] = std::to_string(std::stoi(disk_["agent"]["starts"]) + 1);
    live(Millis(0), false);
    EXPECT_EQ(awaited(), 0U);
}

TEST_F(AgentCoreRestartsTest, ManyOfThemAreAProblemUntilTheyAreOver) {
    for (int life = 0; life < 4; ++life)
        live(seconds(60), true);
    EXPECT_THAT(problems(), IsEmpty());
    live(seconds(60), true);
    EXPECT_THAT(problems(), ElementsAre("the agent is restarted again and again: 5 times in 4 min"));
    const auto reported = sent<bus::AgentProblems>();
    ASSERT_FALSE(reported.empty());
    EXPECT_EQ(reported.back().problems.front().what, "the agent is restarted again and again");
    after(std::chrono::minutes(10));
    EXPECT_THAT(problems(), IsEmpty());
    EXPECT_TRUE(sent<bus::AgentProblems>().back().problems.empty());
}

TEST_F(AgentCoreRestartsTest, RestartsOfTheHostAreNone) {
    for (int life = 0; life < 10; ++life)
        restart("boot-" + std::to_string(life));
    connect_controller();
    EXPECT_THAT(problems(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
