#include "bus/limits.hpp"
#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

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

TEST_F(AgentCoreTest, NamesItsEarlierLivesAndWhatItsStateHeldAtTheirEnd) {
    connect_controller();
    EXPECT_THAT(sent<bus::Hello>().back().lives, IsEmpty());
    found();
    registered();
    const std::uint64_t at_the_end = std::stoull(disk_["agent"]["changes"]);
    EXPECT_GT(at_the_end, 0U);
    restart();
    found();
    registered();
    after(std::chrono::seconds(3));
    connect_controller();
    EXPECT_GT(sent<bus::Hello>().back().state_changes, at_the_end) << "it found the guest lost before it was connected";
    EXPECT_THAT(sent<bus::Hello>().back().lives, ElementsAre(bus::Hello::Life{"life-1", at_the_end}));
    for (int more = 0; more < 20; ++more)
        restart();
    connect_controller();
    const auto lives = sent<bus::Hello>().back().lives;
    ASSERT_THAT(lives, SizeIs(bus::kMaxLives));
    EXPECT_EQ(lives.front().instance, "life-6");
    EXPECT_EQ(lives.back().instance, "life-21");
}

TEST_F(AgentCoreTest, AnotherStateHadNoLives) {
    restart();
    disk_.clear();
    restart();
    connect_controller();
    EXPECT_THAT(sent<bus::Hello>().back().lives, IsEmpty());
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

TEST_F(AgentCoreTest, AGuestIsToldWhatItIsAndWhatMayBeSentWhenItRegisters) {
    found();
    registered();
    EXPECT_EQ(facts_.instance_id, kGuest.str());
    EXPECT_FALSE(facts_.host_version.empty());
    EXPECT_EQ(facts_.group, false);
    EXPECT_EQ(facts_.max_payload, std::nullopt);
    model::GuestPolicy policy;
    policy.guest = kGuest;
    policy.messaging = true;
    core_->link_up(0, at());
    core_->controller_sent(0, bus::Policies{true, {policy}, {}}, at());
    init();
    after(Millis(0));
    EXPECT_EQ(facts_.group, true);
    EXPECT_EQ(facts_.messages_per_second, 50);
    EXPECT_EQ(facts_.bytes_per_second, 65536);
    EXPECT_EQ(facts_.max_payload, 3050);
}

TEST_F(AgentCoreTest, AGuestThatIsNotListedAfterARestartIsGone) {
    listed();
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

TEST_F(AgentCoreTest, JudgesNobodyWhoseChannelItHasNoRightToConnect) {
    found(Millis(300));
    registered();
    core_->channel_down(GuestKey(kGuest), ChannelKind::native, at());
    core_->channel_barred(kGuest, ChannelKind::native, true, at());
    after(std::chrono::seconds(60));
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_EQ(core_->monitor().report(kGuest)->state, "held");
    EXPECT_EQ(core_->monitor().report(kGuest)->hold, "channel_not_connected");
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

TEST_F(AgentCoreTest, EachEndOfAPauseIsToldToTheGuest) {
    registered_and_asked();
    for (int i = 0; i < 2; ++i) {
        core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
        core_->machine(kGuest, heartbeat::Released{}, at());
    }
    EXPECT_THAT(notified_, ElementsAre("unpause notice", "unpause notice"));
    ask(model::LifecycleEvent::unpause);
    EXPECT_THAT(notified_, SizeIs(2)) << "the cloud reports the same";
}

TEST_F(AgentCoreTest, ADumpOfARunningMachineIsNotToldAsAMigration) {
    registered_and_asked();
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::transferring}, at());
    EXPECT_EQ(core_->monitor().report(kGuest)->hold, "transferring");
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    core_->machine(kGuest, heartbeat::Released{}, at());
    EXPECT_THAT(notified_, IsEmpty()) << "nor that it stood still for an instant at the end";
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    core_->machine(kGuest, heartbeat::Released{}, at());
    EXPECT_THAT(notified_, ElementsAre("unpause notice"));
}

TEST_F(AgentCoreTest, EachMigrationThatWasToldToHaveBegunIsToldToHaveEnded) {
    registered_and_asked();
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::transferring}, at());
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::migrating}, at());
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, at());
    core_->machine(kGuest, heartbeat::Released{}, at());
    EXPECT_THAT(notified_, ElementsAre("live_migrate_begin notice", "live_migrate_end notice"));
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

/// The flavor of its guest is one whose I/O a policy takes into account, or not; reads return at once.
class AgentCoreIoTest : public AgentCoreTest {
protected:
    void watch_io(bool wanted) {
        connect_controller();
        found();
        listed();
        registered();
        model::GuestPolicy policy{kGuest, true};
        policy.watch_io = wanted;
        core_->controller_sent(0, bus::Policies{true, {policy}}, at());
    }
    void pass(base::Duration time) {
        for (const base::TimePoint end = now_ + time; now_ < end;) {
            after(Millis(100));
            for (const std::int64_t number : std::exchange(io_reads_, {})) {
                core_->io_returned(kGuest, number, IoCounters{{"block.0", 1}}, at());
                ++reads_;
            }
            after(Millis(0));
        }
    }
    /// Reports of the guest that say what is known of its I/O.
    std::size_t told() const {
        std::size_t count = 0;
        for (const bus::Guests& message : sent<bus::Guests>()) {
            for (const model::GuestReport& report : message.guests)
                count += report.io ? 1 : 0;
        }
        return count;
    }

    int reads_ = 0;
};

TEST_F(AgentCoreIoTest, IsNotReadUnlessAPolicyTakesItIntoAccount) {
    watch_io(false);
    pass(std::chrono::seconds(30));
    EXPECT_THAT(open_faults(), testing::SizeIs(1));
    EXPECT_EQ(reads_, 0);
}

TEST_F(AgentCoreIoTest, ThatItCanBeReadIsToldBeforeItMatters) {
    watch_io(true);
    sent_.clear();
    for (int i = 0; i < 120; ++i) {
        answer();
        pass(Millis(100));
    }
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_GE(reads_, 1);
    EXPECT_EQ(told(), 1U);
}

TEST_F(AgentCoreIoTest, OfALostGuestItIsReadAtOnceAndToldEachTime) {
    watch_io(true);
    pass(std::chrono::seconds(1));
    while (open_faults().empty())
        after(Millis(1));
    sent_.clear();
    pass(Millis(100));
    EXPECT_EQ(told(), 1U);
    sent_.clear();
    pass(std::chrono::seconds(30));
    EXPECT_EQ(told(), 3U);
}

TEST_F(AgentCoreIoTest, IsReadAgainAfterARestartOfTheAgent) {
    watch_io(true);
    restart();
    pass(std::chrono::seconds(10));
    EXPECT_GE(reads_, 1) << "the policy is kept";
}

TEST_F(AgentCoreTest, ReportsWhoHasAFaultAlsoAfterARestart) {
    found();
    registered();
    connect_controller();
    after(std::chrono::seconds(3));
    core_->controller_sent(0, bus::FaultsDelivered{{{base::FaultId("f1"), 1, {{"mark"}}}}}, at());
    restart();
    sent_.clear();
    connect_controller();
    ASSERT_FALSE(sent<bus::Faults>().empty());
    EXPECT_THAT(sent<bus::Faults>().back().faults.front().delivered_to, testing::Optional(ElementsAre("mark")));
}

}  // namespace
}  // namespace vitalwire::host
