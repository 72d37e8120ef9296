#include "host/core/agent_core.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using wire::ChannelKind;
using wire::Dialect;

const GuestId kGuest("g1");
using Disk = std::map<std::string, std::map<std::string, std::string>>;

class CountingIds final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s" + std::to_string(++sessions_)); }
    base::FaultId fault_id() override { return base::FaultId("f" + std::to_string(++faults_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
    int faults_ = 0;
};

/// An agent's core in virtual time on a disk that outlives it; one source, one controller.
class AgentCoreTest : public testing::Test, protected AgentCore::Output {
protected:
    AgentCoreTest() { restart(); }

    void restart(const std::string& boot = "boot-1") {
        core_.reset();
        AgentCore::Settings settings;
        settings.heartbeat = monitor_settings_;
        AgentCore::Output& output = *this;
        core_ = std::make_unique<AgentCore>(
            AgentCore::Identity{{base::HostId("node"), "1", "instance", {}, 0}, {Millis(60'000)}, false, "fresh", boot},
            settings, ids_, output);
        core_->add_source("hypervisor");
        core_->add_link("controller", at());
        core_->start(at());
    }
    void listed() { core_->source_listed("hypervisor", at()); }
    void connect_controller() {
        core_->link_up(0, at());
        core_->controller_sent(0, bus::Welcome{1, "ctl-1"}, at());
        after(Millis(0));
    }
    void after(base::Duration time) {
        if (disk_writes_ && std::exchange(disk_awaited_, false)) core_->durable(at());
        const base::TimePoint until = now_ + time;
        while (core_->next_due() <= until) {
            advance_to(std::max(now_, core_->next_due()));
            core_->tick(at());
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
    base::Moment at() const { return {now_, base::WallTime{} + std::chrono::hours(1)}; }

    void found(Millis end_known_within = Millis(300)) {
        core_->channel_found(kGuest, ChannelKind::native, end_known_within, at());
        core_->machine(kGuest, heartbeat::Started{}, at());
    }
    void registered() {
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at());
        after(Millis(0));
        answer();
    }
    void answer(bool healthy = true) {
        core_->heartbeat_received(
            GuestKey(kGuest), Dialect::native,
            wire::ChallengeResponse{challenge_.session, challenge_.value, healthy, healthy ? "" : "full", {}}, at());
    }
    void init() { core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at()); }
    template <class Message>
    std::vector<Message> sent() const {
        std::vector<Message> out;
        for (const bus::ToController& message : sent_) {
            if (const auto* found = std::get_if<Message>(&message)) out.push_back(*found);
        }
        return out;
    }
    std::vector<std::string> open_faults() const {
        std::vector<std::string> out;
        core_->monitor().faults().for_each([&](const model::Fault& fault) {
            if (fault.open())
                out.push_back(fault.id.str() + ' ' + std::string(to_string(fault.kind)) + ' ' + fault.detail);
        });
        return out;
    }
    static model::Fault lost(const std::string& id) {
        model::Fault fault;
        fault.id = base::FaultId(id);
        fault.guest = kGuest;
        fault.kind = model::FaultKind::heartbeat_lost;
        fault.detail = "silent";
        return fault;
    }

    std::map<std::string, std::string> load(const std::string& table) override { return disk_[table]; }
    void put(const std::string& table, const std::string& key, std::string value) override {
        disk_[table][key] = std::move(value);
    }
    void erase(const std::string& table, const std::string& key) override { disk_[table].erase(key); }
    void send(const GuestKey&, Dialect, const wire::HeartbeatPdu& pdu) override {
        if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) challenge_ = *challenge;
        if (std::holds_alternative<wire::InitAck>(pdu)) ++acknowledged_;
        if (const auto* notify = std::get_if<wire::ActionNotify>(&pdu))
            notified_.push_back(std::string(model::to_string(notify->event)) +
                                (notify->revocable ? " vote" : " notice"));
        if (const auto* nack = std::get_if<wire::Nack>(&pdu)) nacks_.push_back(nack->code);
    }
    void final_drain(const GuestKey&, Dialect) override {}
    bool channel_idle(const GuestId&, Dialect) override { return true; }
    void write_group(const GuestId&, Dialect, std::string) override {}
    void group_not_read(const GuestId&, Dialect, std::uint64_t) override {}
    void allow(const GuestId&, const group::Limits& limits) override { allowed_ = limits; }
    void send(AgentCore::LinkId, const bus::ToController& message) override { sent_.push_back(message); }
    void leave_at_broker(const bus::Faults&) override {}
    void await_durable() override { disk_awaited_ = true; }
    void ask_machine(const GuestId& guest) override { asked_.push_back(guest.str()); }
    void want(const WantedChannels& wanted) override { wanted_ = wanted; }
    void fault_changed(const model::Fault& fault) override {
        // What is sent to the controllers must not wait for anything.
        const auto faults = sent<bus::Faults>();
        sent_before_logged_ = !faults.empty() && faults.back().faults.front().id == fault.id;
    }

    void registered_and_asked() {
        found();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
        wire::Init init;
        init.notice_times = {Millis(8000), Millis(8000), Millis(8000), Millis(8000)};
        core_->heartbeat_received(GuestKey(kGuest), Dialect::native, init, at());
        after(Millis(0));
        answer();
    }
    void ask(model::LifecycleEvent event) {
        ASSERT_TRUE(core_->ask_guest(
            {kGuest, event, true},
            [this](const GuestActions::Outcome& outcome) { decided_.emplace_back(outcome.answer); }, at()));
    }

    std::vector<std::string> notified_;
    std::vector<std::string> decided_;
    Monitor::Settings monitor_settings_;
    CountingIds ids_;
    Disk disk_;
    base::TimePoint now_{std::chrono::hours(1)};
    std::unique_ptr<AgentCore> core_;
    wire::Challenge challenge_;
    std::vector<base::Errc> nacks_;
    int acknowledged_ = 0;
    std::vector<bus::ToController> sent_;
    std::vector<std::string> asked_;
    WantedChannels wanted_;
    group::Limits allowed_;
    bool sent_before_logged_ = false;
    bool disk_awaited_ = false;
    bool disk_writes_ = true;
};

TEST_F(AgentCoreTest, NamesItsStateAndCountsItsStartsFromIt) {
    connect_controller();
    ASSERT_THAT(sent<bus::Hello>(), SizeIs(1));
    EXPECT_EQ(sent<bus::Hello>().back().state, "fresh");
    EXPECT_EQ(sent<bus::Hello>().back().state_starts, 1U);
    disk_["agent"]["state"] = "kept";
    restart();
    connect_controller();
    EXPECT_EQ(sent<bus::Hello>().back().state, "kept");
    EXPECT_EQ(sent<bus::Hello>().back().state_starts, 2U);
}

TEST_F(AgentCoreTest, NamesTheControllersThatItIsConnectedTo) {
    connect_controller();
    ASSERT_THAT(sent<bus::PrimaryChanged>(), SizeIs(1));
    EXPECT_EQ(sent<bus::PrimaryChanged>().back().primary, "ctl-1");
    EXPECT_THAT(sent<bus::PrimaryChanged>().back().controllers, ElementsAre("ctl-1"));
}

TEST_F(AgentCoreTest, SendsAFaultToTheControllersBeforeItIsLogged) {
    connect_controller();
    found();
    registered();
    after(std::chrono::seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    EXPECT_TRUE(sent_before_logged_);
}

TEST_F(AgentCoreTest, PoliciesReachTheSessionsTheGroupTheDiskAndTheSources) {
    model::GuestPolicy policy;
    policy.guest = kGuest;
    policy.messaging = true;
    policy.channels = {"org.vitalwire.0"};
    core_->link_up(0, at());
    core_->controller_sent(0, bus::Policies{true, {policy}, {}}, at());
    EXPECT_TRUE(core_->monitor().policies().contains(kGuest));
    EXPECT_TRUE(allowed_.enabled);
    EXPECT_TRUE(wanted_.contains(kGuest));
    allowed_ = {};
    wanted_ = {};
    restart();
    EXPECT_TRUE(allowed_.enabled) << "after a restart, before any controller is there";
    EXPECT_TRUE(wanted_.contains(kGuest));
}

TEST_F(AgentCoreTest, AGuestThatIsNotListedAfterARestartIsGone) {
    found();
    registered();
    restart();
    listed();
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_THAT(disk_["guests"], IsEmpty());
}

TEST_F(AgentCoreTest, AGuestThatItsHostTookDownWithItIsAFault) {
    found();
    registered();
    restart("boot-2");
    listed();
    EXPECT_THAT(open_faults(), ElementsAre("f1 vm_crashed host_restarted"));
    core_->machine_gone(kGuest, heartbeat::StopReason::removed, at());
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreTest, AGuestWhoseMachineCannotBeReadIsNotGone) {
    found();
    registered();
    restart();
    core_->machine_unreadable(kGuest, "timed out");
    listed();
    EXPECT_FALSE(disk_["guests"].empty());
    EXPECT_FALSE(core_->problems().empty());
    core_->machine_unreadable(kGuest, "");
    EXPECT_TRUE(core_->problems().empty());
}

TEST_F(AgentCoreTest, WaitsForTheSourcesWordBeforeAClosedChannelIsLost) {
    found(Millis(3000));
    registered();
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    EXPECT_THAT(asked_, ElementsAre("g1"));
    after(Millis(2900));
    EXPECT_THAT(open_faults(), IsEmpty());
    after(Millis(200));
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost channel_closed"));
}

TEST_F(AgentCoreTest, SendsItsProblemsWithTheGuestsThatTheyConcern) {
    core_->channel_unreachable(kGuest, ChannelKind::native, "/run/g1.sock", "Permission denied");
    connect_controller();
    after(std::chrono::seconds(1));
    ASSERT_FALSE(sent<bus::AgentProblems>().empty());
    const auto problems = sent<bus::AgentProblems>().back().problems;
    ASSERT_THAT(problems, SizeIs(1));
    EXPECT_EQ(problems.front().guest, kGuest);
    EXPECT_THAT(problems.front().detail, AllOf(HasSubstr("/run/g1.sock"), HasSubstr("Permission denied")));
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(std::chrono::seconds(2));
    EXPECT_THAT(sent<bus::AgentProblems>().back().problems, IsEmpty());
    EXPECT_TRUE(core_->problems().empty());
}

TEST_F(AgentCoreTest, SendsALongListOfProblemsInBoundedSize) {
    for (int i = 0; i < 500; ++i)
        core_->channel_unreachable(GuestId("g" + std::to_string(i)), ChannelKind::native, "/p", "refused");
    connect_controller();
    after(std::chrono::seconds(1));
    const auto problems = sent<bus::AgentProblems>().back().problems;
    ASSERT_THAT(problems, SizeIs(100));
    EXPECT_EQ(problems.back().what, "and 401 more");
}

TEST_F(AgentCoreTest, AdoptsAFaultUntilTheGuestAnswers) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    connect_controller();
    sent_.clear();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
    EXPECT_THAT(sent<bus::Faults>(), SizeIs(1));
    core_->heartbeat_received(GuestKey(kGuest), Dialect::native, wire::Init{}, at());
    after(Millis(0));
    answer();
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreTest, KeepsAnAdoptedFaultOfAGuestThatItDoesNotSee) {
    listed();
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(asked_, ElementsAre("g1"));
    after(std::chrono::minutes(10));
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
    core_->machine_gone(kGuest, heartbeat::StopReason::domain_stopped, at());
    EXPECT_THAT(open_faults(), IsEmpty()) << "by the hypervisor's word";
}

TEST_F(AgentCoreTest, DoesNotAdoptWhatItKnowsBetter) {
    found();
    registered();
    after(std::chrono::seconds(3));
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
}

TEST_F(AgentCoreTest, EndsAnAdoptedFaultOfAGuestThatHasAnsweredAlready) {
    found();
    registered();
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().clear_reason, "recovered");
}

TEST_F(AgentCoreTest, SaysThatTwoControllersHaveTheSameName) {
    core_->add_link("other", at());
    connect_controller();
    core_->link_up(1, at());
    core_->controller_sent(1, bus::Welcome{1, "ctl-1"}, at());
    ASSERT_THAT(core_->problems().list(), SizeIs(1));
    EXPECT_EQ(core_->problems().list().front().what, "several controllers have the same name");
    EXPECT_EQ(core_->problems().list().front().detail, "ctl-1: controller other");
    core_->link_down(1, "gone", at());
    EXPECT_TRUE(core_->problems().empty());
}

model::Fault ended(model::Fault fault, const std::string& why) {
    ++fault.revision;
    fault.cleared_at = base::WallTime{} + std::chrono::hours(2);
    fault.clear_reason = why;
    return fault;
}

TEST_F(AgentCoreTest, JudgesAnewWhatHasEndedAfterItsOldCopyWasMade) {
    found();
    registered();
    after(std::chrono::seconds(3));
    connect_controller();
    ASSERT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    model::Fault known = sent<bus::Faults>().back().faults.front();
    core_->controller_sent(0, bus::HandBack{{}, {ended(known, "recovered")}, true, {}}, at());
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().revision, known.revision + 1);
    after(std::chrono::seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f2 heartbeat_lost silent")) << "it is still silent: another fault";
}

TEST_F(AgentCoreTest, DoesNotOpenAgainWhatAnOperatorClosedBeforeTheGuestWasWell) {
    found();
    registered();
    after(std::chrono::seconds(3));
    connect_controller();
    const model::Fault known = sent<bus::Faults>().back().faults.front();
    core_->controller_sent(0, bus::HandBack{{}, {ended(known, "cleared_by_operator")}, true, {}}, at());
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().clear_reason, "cleared_by_operator");
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    answer();
    after(std::chrono::seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f2 heartbeat_lost silent"));
}

TEST_F(AgentCoreTest, SaysHowManyChangesItsStateHolds) {
    found();
    registered();
    connect_controller();
    const std::uint64_t at_hello = sent<bus::Hello>().back().state_changes;
    EXPECT_GT(at_hello, 0U);
    after(std::chrono::seconds(3));
    EXPECT_EQ(sent<bus::Faults>().back().state_changes, at_hello + 1);
    restart();
    connect_controller();
    EXPECT_GE(sent<bus::Hello>().back().state_changes, at_hello + 1);
}

TEST_F(AgentCoreTest, ItsStateIsAnotherOnceARowCannotBeRead) {
    disk_["agent"]["state"] = "earlier";
    restart();
    connect_controller();
    EXPECT_EQ(sent<bus::Hello>().back().state, "earlier");
    disk_["faults"]["f9"] = "{";
    restart();
    connect_controller();
    EXPECT_EQ(sent<bus::Hello>().back().state, "fresh") << "the row may have been an open fault";
}

TEST_F(AgentCoreTest, ExpectsAGuestBackThatAControllerKnowsAsRegistered) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    connect_controller();
    model::GuestReport report;
    report.guest = kGuest;
    report.registered_since = base::WallTime{} + std::chrono::hours(1);
    core_->controller_sent(0, bus::HandBack{{report}, {}, true, {}}, at());
    after(std::chrono::minutes(3));
    EXPECT_THAT(open_faults(), ElementsAre("f1 not_established "));
}

TEST_F(AgentCoreTest, AcknowledgesARegistrationWhenItIsOnDisk) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    disk_writes_ = false;
    init();
    after(Millis(100));
    EXPECT_EQ(acknowledged_, 0);
    disk_writes_ = true;
    after(Millis(0));
    EXPECT_EQ(acknowledged_, 1);
}

TEST_F(AgentCoreTest, AcknowledgesARegistrationAlsoWhenTheDiskIsFullAndSaysSo) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    disk_writes_ = false;
    core_->store_problem("database or disk is full");
    init();
    after(Millis(1));
    EXPECT_EQ(acknowledged_, 1);
    EXPECT_FALSE(core_->problems().empty());
}

TEST_F(AgentCoreTest, LimitsHowOftenAGuestRegistersAndTellsItSo) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    nacks_.clear();
    for (int i = 0; i < 100; ++i)
        init();
    EXPECT_THAT(nacks_, SizeIs(94));
    EXPECT_EQ(nacks_.back(), base::Errc::rate_limited);
    EXPECT_EQ(core_->counters().registrations_limited, 94U);
}

TEST_F(AgentCoreTest, AGuestMayRegisterOnANewConnectionAlsoAfterABurst) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    for (int i = 0; i < 7; ++i)
        init();
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    nacks_.clear();
    init();
    EXPECT_THAT(nacks_, IsEmpty());
}

TEST_F(AgentCoreTest, AFlappingGuestsFaultsAreBounded) {
    connect_controller();
    found();
    registered();
    sent_.clear();
    for (int i = 0; i < 300; ++i) {
        after(Millis(1000));
        answer(i % 2 != 0);
    }
    EXPECT_LT(sent<bus::Faults>().size(), 200U) << "of 300 changes";
    const auto before = sent<bus::Faults>().size();
    for (int i = 0; i < 20; ++i) {
        answer(true);
        after(Millis(1000));
    }
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_LE(sent<bus::Faults>().size(), before + 2);
}

TEST_F(AgentCoreTest, WhatTheHypervisorDoesIsToldToTheGuest) {
    registered_and_asked();
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::migrating}, at());
    core_->machine(kGuest, heartbeat::Released{}, at());
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    core_->machine(kGuest, heartbeat::Released{}, at());
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::shutting_down}, at());
    EXPECT_THAT(notified_,
                ElementsAre("live_migrate_begin notice", "live_migrate_end notice", "unpause notice", "stop notice"));
}

TEST_F(AgentCoreTest, AGuestThatHangsIsNotWaitedForWhenItsHeartbeatIsLost) {
    registered_and_asked();
    ask(model::LifecycleEvent::stop);
    EXPECT_THAT(notified_, ElementsAre("stop vote"));
    after(Millis(3000));
    EXPECT_THAT(decided_, ElementsAre("heartbeat_lost"));
}

TEST_F(AgentCoreTest, AGuestThatIsPausedOrEndsIsNotWaitedFor) {
    registered_and_asked();
    ask(model::LifecycleEvent::stop);
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    EXPECT_THAT(decided_, ElementsAre("not_running"));
    core_->machine(kGuest, heartbeat::Released{}, at());
    ask(model::LifecycleEvent::stop);
    core_->machine_gone(kGuest, heartbeat::StopReason::removed, at());
    EXPECT_THAT(decided_, ElementsAre("not_running", "gone"));
}

TEST_F(AgentCoreTest, WhatIsOverIsToldOnlyWhenTheGuestKnowsItsSession) {
    disk_writes_ = false;
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    wire::Init init;
    init.notice_times.resume = Millis(1);
    core_->heartbeat_received(GuestKey(kGuest), Dialect::native, init, at());
    ask(model::LifecycleEvent::live_migrate_end);
    EXPECT_THAT(decided_, ElementsAre("waiting"));
    EXPECT_THAT(notified_, IsEmpty());
    disk_writes_ = true;
    after(Millis(0));
    EXPECT_THAT(notified_, ElementsAre("live_migrate_end notice"));
}

}  // namespace
}  // namespace vitalwire::host
