#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/core/agent_core.hpp"

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::ChannelKind;
using wire::Dialect;

const GuestId kVm("vm-1");

class GuestAgentIds final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++last_; }
    base::SessionId session_id() override { return base::SessionId("s" + std::to_string(++last_)); }
    base::FaultId fault_id() override { return base::FaultId("f" + std::to_string(++last_)); }

private:
    std::int64_t last_ = 0;
};

/// An agent's core and a guest that has nothing but a QEMU guest agent. The guest's answers take no time.
class AgentCoreGuestAgentTest : public testing::Test, protected AgentCore::Output {
protected:
    AgentCoreGuestAgentTest() { restart(); }

    void restart(Monitor::GuestAgents whose = Monitor::GuestAgents::all) {
        AgentCore::Settings settings;
        settings.heartbeat.guest_agents = whose;
        AgentCore::Output& output = *this;
        core_ = std::make_unique<AgentCore>(
            AgentCore::Identity{{base::HostId("node"), "1", "instance", "boot"}, {Millis(60'000)}, false, "s"},
            settings, ids_, output);
        core_->add_source("hypervisor");
        core_->start(at());
    }
    void after(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (core_->next_due() <= until) {
            advance_to(std::max(now_, core_->next_due()));
            core_->tick(at());
            deliver();
        }
        advance_to(until);
    }
    void advance_to(base::TimePoint until) {
        while (now_ + Millis(50) < until) {
            now_ += Millis(50);
            core_->probe(now_);
        }
        now_ = until;
        core_->probe(now_);
    }
    void deliver() {
        for (const wire::Challenge& command : std::exchange(commands_, {})) {
            if (!hangs_)
                core_->heartbeat_received(GuestKey(kVm), Dialect::guest_agent,
                                          wire::ChallengeResponse{{}, command.value, true, "", {}}, at());
        }
        for (const std::int64_t challenge : std::exchange(calls_, {})) {
            const auto result = hangs_ ? GuestAgentResult::silent : GuestAgentResult::answered;
            core_->guest_agent_returned(kVm, challenge, result, at());
        }
    }
    base::Moment at() const { return {now_, base::WallTime{} + std::chrono::hours(1)}; }
    void runs_with_channel() {
        core_->channel_found(kVm, ChannelKind::guest_agent, Millis(300), at());
        core_->machine(kVm, heartbeat::Started{}, at());
        core_->channel_up(GuestKey(kVm), ChannelKind::guest_agent, at());
    }
    std::string state() const {
        const auto report = core_->monitor().report(kVm);
        return report ? report->state : "unknown";
    }
    std::vector<std::string> open_faults() const {
        std::vector<std::string> out;
        core_->monitor().faults().for_each([&](const model::Fault& fault) {
            if (fault.open()) out.push_back(std::string(to_string(fault.kind)) + ' ' + fault.detail);
        });
        return out;
    }

    std::map<std::string, std::string> load(const std::string& table) override { return disk_[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        disk_[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { disk_[table].erase(key); }
    void send(const GuestKey&, Dialect dialect, const wire::HeartbeatPdu& pdu) override {
        const auto* challenge = std::get_if<wire::Challenge>(&pdu);
        if (dialect == Dialect::guest_agent && challenge != nullptr) commands_.push_back(*challenge);
    }
    void call_guest_agent(const GuestAgentCall&, std::int64_t challenge) override { calls_.push_back(challenge); }
    void final_drain(const GuestKey&, Dialect) override {}
    bool channel_idle(const GuestId&, Dialect) override { return true; }
    void write_group(const GuestId&, Dialect, std::string) override {}
    void group_not_read(const GuestId&, Dialect, std::uint64_t) override {}
    void allow(const GuestId&, const group::Limits&) override {}
    void send(AgentCore::LinkId, const bus::ToController&) override {}
    void leave_at_broker(const bus::Faults&) override {}
    void await_durable() override {}
    void ask_machine(const GuestId&) override {}
    void want(const WantedChannels& wanted) override { wanted_ = wanted; }

    GuestAgentIds ids_;
    base::TimePoint now_{std::chrono::hours(1)};
    std::unique_ptr<AgentCore> core_;
    std::map<std::string, std::map<std::string, std::string>> disk_;
    std::vector<wire::Challenge> commands_;
    std::vector<std::int64_t> calls_;
    WantedChannels wanted_;
    bool hangs_ = false;
};

TEST_F(AgentCoreGuestAgentTest, WatchesAGuestOverItsChannel) {
    runs_with_channel();
    after(seconds(1));
    EXPECT_EQ(state(), "registered");
    EXPECT_THAT(core_->monitor().report(kVm)->channels, ElementsAre("org.qemu.guest_agent.0"));
    hangs_ = true;
    after(seconds(40));
    EXPECT_THAT(open_faults(), ElementsAre("heartbeat_lost guest_agent"));
    hangs_ = false;
    after(seconds(10));
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreGuestAgentTest, SpeaksOverAChannelBesideThatOfTheServerGroup) {
    core_->channel_found(kVm, ChannelKind::native, Millis(300), at());
    core_->channel_up(GuestKey(kVm), ChannelKind::native, at());
    runs_with_channel();
    core_->spoke(kVm, Dialect::guest_agent, wire::kBaseVersion);
    core_->channel_drained(kVm, Dialect::guest_agent);
    after(seconds(1));
    EXPECT_EQ(state(), "registered");
}

TEST_F(AgentCoreGuestAgentTest, WatchesAGuestThroughCallsOfTheHypervisorsDaemon) {
    core_->machine(kVm, heartbeat::Started{}, at());
    core_->guest_agent_port(kVm, true, at());
    after(seconds(1));
    EXPECT_EQ(state(), "registered");
    hangs_ = true;
    after(seconds(40));
    EXPECT_THAT(open_faults(), ElementsAre("heartbeat_lost guest_agent"));
}

TEST_F(AgentCoreGuestAgentTest, AsksNobodyWhoseFlavorDoesNotSaySo) {
    restart(Monitor::GuestAgents::flavor);
    runs_with_channel();
    after(seconds(60));
    EXPECT_EQ(state(), "unknown") << "a port for a guest agent alone makes no guest of ours";
    model::GuestPolicy policy;
    policy.guest = kVm;
    policy.heartbeat = policy.guest_agent = true;
    const auto link = core_->add_link("controller", at());
    core_->link_up(link, at());
    core_->controller_sent(link, bus::Policies{true, {policy}, {}}, at());
    after(seconds(2));
    EXPECT_EQ(state(), "registered");
}

TEST_F(AgentCoreGuestAgentTest, AnAgentThatWasRestartedFindsTheGuestThatHungInBetween) {
    runs_with_channel();
    after(seconds(1));
    hangs_ = true;
    restart();
    runs_with_channel();
    after(seconds(45));
    EXPECT_THAT(open_faults(), ElementsAre("heartbeat_lost guest_agent"));
}

TEST_F(AgentCoreGuestAgentTest, APausedGuestIsNotAsked) {
    runs_with_channel();
    after(seconds(1));
    core_->machine(kVm, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    hangs_ = true;
    after(seconds(120));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(state(), "held");
}

TEST_F(AgentCoreGuestAgentTest, AGuestWithTwoPortsIsWatchedAsLongAsItHasOne) {
    for (const bool channel_goes : {true, false}) {
        hangs_ = false;
        restart();
        runs_with_channel();
        core_->guest_agent_port(kVm, true, at());
        after(seconds(1));
        ASSERT_EQ(state(), "registered");
        hangs_ = true;
        after(seconds(40));
        ASSERT_THAT(open_faults(), ElementsAre("heartbeat_lost guest_agent"));
        if (channel_goes) {
            core_->channel_removed(kVm, ChannelKind::guest_agent, at());
        } else {
            core_->guest_agent_port(kVm, std::nullopt, at());
        }
        after(seconds(60));
        EXPECT_THAT(open_faults(), ElementsAre("heartbeat_lost guest_agent")) << "nobody has seen it answer";
        hangs_ = false;
        after(seconds(20));
        EXPECT_THAT(open_faults(), IsEmpty()) << "it is asked on its other port";
        core_->machine_gone(kVm, heartbeat::StopReason::removed, at());
    }
}

TEST_F(AgentCoreGuestAgentTest, APortThatIsRemovedWhileItIsAskedThereIsNoSilence) {
    runs_with_channel();
    core_->guest_agent_port(kVm, true, at());
    after(seconds(1));
    hangs_ = true;
    after(seconds(10));
    commands_.clear();
    core_->channel_removed(kVm, ChannelKind::guest_agent, at());
    hangs_ = false;
    after(seconds(1));
    EXPECT_EQ(core_->monitor().counters().misses, 0U);
    EXPECT_EQ(state(), "registered");
}

TEST_F(AgentCoreGuestAgentTest, AGuestWhoseOnePortIsClosedIsAskedOnTheOther) {
    runs_with_channel();
    core_->guest_agent_port(kVm, true, at());
    after(seconds(1));
    core_->channel_down(GuestKey(kVm), ChannelKind::guest_agent, at());
    after(seconds(60));
    EXPECT_EQ(state(), "registered");
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreGuestAgentTest, NobodyIsAttachedAPortForAGuestAgent) {
    model::GuestPolicy policy;
    policy.guest = kVm;
    policy.channels = {"org.qemu.guest_agent.0", "org.vitalwire.0"};
    const auto link = core_->add_link("controller", at());
    core_->link_up(link, at());
    core_->controller_sent(link, bus::Policies{true, {policy}, {}}, at());
    EXPECT_EQ(wanted_[kVm], std::set{ChannelKind::native});
}

}  // namespace
}  // namespace vitalwire::host
