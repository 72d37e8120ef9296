#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using heartbeat::Inhibit;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

/// A machine that stood still when the agent ended.
class AgentCoreStandingTest : public AgentCoreTest {
protected:
    void be_paused() {
        found();
        registered();
        machine(heartbeat::Inhibited{Inhibit::paused});
        after(seconds(3));
        ASSERT_THAT(open_faults(), IsEmpty());
    }
    /// The source finds the channel, and knows nothing of the machine yet.
    void restart_and_find(const std::string& boot = "boot-1") {
        restart(boot);
        core_->channel_found(kGuest, ChannelKind::native, Millis(300), at());
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    }
    void machine(const heartbeat::HostEvent& event) { core_->machine(kGuest, event, at()); }
    std::vector<std::string> kept() const {
        std::vector<std::string> rows;
        for (const auto& [guest, row] : disk_.at("standing"))
            rows.push_back(guest + ' ' + row);
        return rows;
    }
};

TEST_F(AgentCoreStandingTest, ItIsNotJudgedWhileNobodyCanBeAskedHowItIs) {
    be_paused();
    restart_and_find();
    after(seconds(5));
    core_->machine_unreadable(kGuest, "its QEMU monitor does not answer");
    after(std::chrono::hours(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(core_->monitor().report(kGuest)->state, "held");
    core_->machine_unreadable(kGuest, "");
    machine(heartbeat::Found{});
    machine(heartbeat::Released{});
    after(seconds(5));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent")) << "its hypervisor has said that it runs";
}

TEST_F(AgentCoreStandingTest, ItStandsStillAsLongAsItsHypervisorSaysSo) {
    be_paused();
    restart_and_find();
    machine(heartbeat::Found{});
    machine(heartbeat::Inhibited{Inhibit::paused});
    after(std::chrono::hours(1));
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreStandingTest, ItIsJudgedAgainWhereNobodyWatchesMachines) {
    be_paused();
    restart_and_find();
    after(seconds(10));
    EXPECT_THAT(open_faults(), IsEmpty());
    after(seconds(5));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
}

TEST_F(AgentCoreStandingTest, WithItsHostItWentDown) {
    be_paused();
    restart_and_find("boot-2");
    core_->machine_unreadable(kGuest, "its QEMU monitor does not answer");
    after(seconds(10));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    EXPECT_THAT(kept(), IsEmpty());
}

TEST_F(AgentCoreStandingTest, AGuestThatIsSavedAndRestoredIsAsItWas) {
    for (const bool lost : {true, false}) {
        disk_.clear();
        restart();
        core_->channel_found(kGuest, ChannelKind::native, Millis(300), at());
        machine(heartbeat::Found{"1"});
        registered();
        if (lost) after(seconds(3));
        machine(heartbeat::Inhibited{Inhibit::saving});
        core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
        core_->channel_unreachable(kGuest, ChannelKind::native, "/a", "No such file or directory");
        EXPECT_EQ(core_->problems().list().size(), 0U) << "nothing of it runs";
        after(std::chrono::hours(24));
        EXPECT_EQ(open_faults().size(), lost ? 1U : 0U);
        EXPECT_EQ(core_->monitor().report(kGuest)->state, "held");
        machine(heartbeat::Found{"2"});
        machine(heartbeat::Released{});
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        after(seconds(130));
        EXPECT_THAT(open_faults(), ElementsAre(testing::HasSubstr(lost ? "heartbeat_lost" : "not_established")));
    }
}

TEST_F(AgentCoreStandingTest, WhatIsKeptOfItGoesWithTheStandstillAndWithTheGuest) {
    be_paused();
    EXPECT_THAT(kept(), ElementsAre("g1 {\"why\":\"paused\"}"));
    machine(heartbeat::Released{});
    EXPECT_THAT(kept(), IsEmpty());
    machine(heartbeat::Inhibited{Inhibit::saving});
    machine(heartbeat::Stopped{heartbeat::StopReason::domain_stopped});
    EXPECT_THAT(kept(), IsEmpty());
    machine(heartbeat::Started{});
    machine(heartbeat::Inhibited{Inhibit::suspended});
    EXPECT_THAT(kept(), ElementsAre("g1 {\"why\":\"suspended\"}"));
    restart();
    listed();
    EXPECT_THAT(kept(), IsEmpty()) << "nobody found it";
}

TEST_F(AgentCoreStandingTest, AGuestThatMustRegisterIsNotAwaitedMeanwhile) {
    model::GuestPolicy policy;
    policy.guest = kGuest;
    policy.heartbeat = true;
    connect_controller();
    core_->controller_sent(0, bus::Policies{true, {policy}}, at());
    found();
    machine(heartbeat::Inhibited{Inhibit::paused});
    restart_and_find();
    core_->machine_unreadable(kGuest, "its QEMU monitor does not answer");
    after(std::chrono::hours(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    core_->machine_unreadable(kGuest, "");
    machine(heartbeat::Released{});
    after(seconds(121));
    EXPECT_THAT(open_faults(), ElementsAre("f1 not_established "));
}

}  // namespace
}  // namespace vitalwire::host
