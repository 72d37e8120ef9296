#include "tests/unit/host/core/agent_core_fixture.hpp"

namespace vitalwire::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

model::Fault ended(model::Fault fault, const std::string& why) {
    ++fault.revision;
    fault.cleared_at = base::WallTime{} + std::chrono::hours(2);
    fault.clear_reason = why;
    return fault;
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

TEST_F(AgentCoreTest, TellsNobodyOfAFaultOfAGuestThatItDoesNotSee) {
    listed();
    connect_controller();
    sent_.clear();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(asked_, ElementsAre("g1"));
    after(std::chrono::minutes(10));
    EXPECT_THAT(sent<bus::Faults>(), IsEmpty()) << "it stays unconfirmed at the controller";
    core_->machine_gone(kGuest, heartbeat::StopReason::domain_stopped, at());
    ASSERT_THAT(sent<bus::Faults>(), SizeIs(1)) << "by the hypervisor's word";
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().id.str(), "old");
    EXPECT_FALSE(sent<bus::Faults>().back().faults.front().open());
}

TEST_F(AgentCoreTest, ConfirmsAFaultThatWasHandedBackWhenTheGuestIsSeenAndDoesNotAnswer) {
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(open_faults(), IsEmpty());
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
}

TEST_F(AgentCoreTest, AGuestThatWasRegisteredWhereItComesFromIsExpected) {
    listed();
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {}, true, {}}, at());
    model::GuestReport there;
    there.guest = kGuest;
    there.state = "held";
    there.registered_since = base::WallTime{} + std::chrono::seconds(1);
    const bus::HandBack moving{{there}, {}, true, {}, false, true};
    core_->controller_sent(0, moving, at());
    EXPECT_THAT(open_faults(), IsEmpty()) << "nothing is known of it here";
    found();
    core_->machine(kGuest, heartbeat::Inhibited{heartbeat::Inhibit::migrating}, at());
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    core_->controller_sent(0, moving, at());
    after(std::chrono::minutes(5));
    EXPECT_THAT(open_faults(), IsEmpty()) << "it is on its way";
    core_->machine(kGuest, heartbeat::Released{}, at());
    after(std::chrono::seconds(121));
    EXPECT_THAT(open_faults(), ElementsAre(testing::HasSubstr("not_established")));
}

TEST_F(AgentCoreTest, AnOperatorsCloseOfAFaultOfAGuestThatIsNotSeenCounts) {
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}, true}, at());
    core_->controller_sent(0, bus::HandBack{{}, {ended(lost("old"), "cleared_by_operator")}, true, {}}, at());
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().clear_reason, "cleared_by_operator");
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreTest, AControllerHandsBackOnceAfterAHello) {
    found();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {}, true, {}, true}, at());
    core_->controller_sent(0, bus::HandBack{{}, {lost("invented")}, true, {}, true}, at());
    core_->controller_sent(0, bus::HandBack{{}, {lost("invented")}, true, {}}, at());
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(AgentCoreTest, ReportsAGuestThatWentDownWithItsHostThoughItsOwnStateIsLost) {
    listed();
    connect_controller();
    model::GuestReport report;
    report.guest = kGuest;
    report.registered_since = at().wall - at().steady.time_since_epoch() - std::chrono::hours(1);
    core_->controller_sent(0, bus::HandBack{{report}, {}, true, {}}, at());
    EXPECT_THAT(open_faults(), ElementsAre("f1 vm_crashed host_restarted"));
}

/// The clock was set since the guest registered, or is set wrongly.
TEST_F(AgentCoreTest, WhichBootAGuestWasRegisteredInIsKnownWhateverTheClocksSay) {
    listed();
    connect_controller();
    bus::HandBack handed{{{}}, {}, true, {}};
    model::GuestReport& report = handed.guests.front();
    report.guest = kGuest;
    report.registered_since = at().wall - std::chrono::hours(24 * 365);
    handed.boot = "boot-1";
    core_->controller_sent(0, handed, at());
    EXPECT_THAT(open_faults(), IsEmpty());
    report.guest = GuestId("g2");
    report.registered_since = at().wall + std::chrono::hours(24);
    handed.boot = "boot-0";
    core_->controller_sent(0, handed, at());
    EXPECT_THAT(open_faults(), ElementsAre("f1 vm_crashed host_restarted"));
}

TEST_F(AgentCoreTest, ShowsForAWhileThatItCameWithoutItsState) {
    connect_controller();
    model::GuestReport report;
    report.guest = kGuest;
    core_->controller_sent(0, bus::HandBack{{report}, {lost("old")}, true, {}, true}, at());
    after(std::chrono::seconds(1));
    ASSERT_THAT(core_->problems().list(), SizeIs(1));
    EXPECT_EQ(core_->problems().list().front().what, "the agent began without the state that a controller knows");
    EXPECT_EQ(core_->problems().list().front().detail, "registrations handed back: 1, faults: 1");
    EXPECT_THAT(sent<bus::AgentProblems>().back().problems, SizeIs(1));
    after(std::chrono::minutes(10));
    EXPECT_THAT(core_->problems().list(), IsEmpty());
}

TEST_F(AgentCoreTest, ANewHostLacksNoState) {
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {}, true, {}, true}, at());
    EXPECT_THAT(core_->problems().list(), IsEmpty());
}

TEST_F(AgentCoreTest, ShowsWhereAnUnreadableStateIsKept) {
    core_->state_quarantined("/state.unreadable-1");
    ASSERT_THAT(core_->problems().list(), SizeIs(1));
    EXPECT_EQ(core_->problems().list().front().detail, "/state.unreadable-1");
}

TEST_F(AgentCoreTest, SaysNothingOfAGuestThatLeftSinceItsHostStarted) {
    listed();
    connect_controller();
    model::GuestReport report;
    report.guest = kGuest;
    report.registered_since = at().wall - std::chrono::minutes(1);
    core_->controller_sent(0, bus::HandBack{{report}, {}, true, {}}, at());
    after(std::chrono::minutes(10));
    EXPECT_THAT(open_faults(), IsEmpty());
}

/// Without its state the agent has found g1 lost, as a controller knows it, which hands that back.
class FoundOnceMoreTest : public AgentCoreTest {
protected:
    FoundOnceMoreTest() {
        found();
        registered();
        after(std::chrono::seconds(3));
    }
    model::Fault old() const {
        model::Fault fault = lost("old");
        fault.opened_at = fault.updated_at = base::WallTime{} + std::chrono::minutes(1);
        return fault;
    }
    void hand_back() { core_->controller_sent(0, bus::HandBack{{}, {old()}, true, {}, true}, at()); }
    std::vector<std::string> told() const {
        std::vector<std::string> out;
        for (const auto& message : sent<bus::Faults>()) {
            for (const model::Fault& fault : message.faults)
                out.push_back(fault.id.str() + (fault.open() ? " open" : " over"));
        }
        return out;
    }
};

TEST_F(FoundOnceMoreTest, ItsOwnGivesWayToTheOneThatIsHandedBack) {
    connect_controller();
    sent_.clear();
    hand_back();
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
    EXPECT_EQ(core_->monitor().faults().find(base::FaultId("old"))->opened_at, old().opened_at);
    EXPECT_THAT(told(), ElementsAre("old open"));
    answer();
    EXPECT_THAT(told(), ElementsAre("old open", "old over"));
}

TEST_F(FoundOnceMoreTest, ItsOwnGivesWayAlsoOnDisk) {
    connect_controller();
    hand_back();
    restart();
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
}

TEST_F(FoundOnceMoreTest, ItsOwnGivesWayThoughItWasRestartedInBetween) {
    restart();
    connect_controller();
    hand_back();
    found();
    listed();
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
}

TEST_F(FoundOnceMoreTest, ItsOwnGivesWayThoughTheFirstHandBackIsOver) {
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {}, true, {}, true}, at());
    core_->controller_sent(0, bus::HandBack{{}, {old()}, true, {}}, at());
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
}

TEST_F(FoundOnceMoreTest, WhatItSeesNowIsAnUpdateOfTheOneThatIsHandedBack) {
    connect_controller();
    model::Fault late = old();
    late.detail = "late";
    core_->controller_sent(0, bus::HandBack{{}, {late}, true, {}, true}, at());
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().revision, late.revision + 1);
}

TEST_F(FoundOnceMoreTest, WhatReceiversWereNotifiedOfStaysAndIsSentAgain) {
    connect_controller();
    core_->controller_sent(0, bus::FaultsDelivered{{{base::FaultId("f1"), 1}}}, at());
    sent_.clear();
    hand_back();
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    EXPECT_THAT(told(), ElementsAre("f1 open")) << "for the controller that does not know that yet";
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().delivered, 1U);
}

TEST_F(FoundOnceMoreTest, ASecondControllersHandBackChangesNothing) {
    connect_controller();
    core_->add_link("second", at());
    core_->link_up(1, at());
    core_->controller_sent(1, bus::Welcome{1, "ctl-2"}, at());
    hand_back();
    sent_.clear();
    core_->controller_sent(1, bus::HandBack{{}, {old()}, true, {}, true}, at());
    EXPECT_THAT(open_faults(), ElementsAre("old heartbeat_lost silent"));
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(FoundOnceMoreTest, ItsOwnIsAnotherOneWhereASecondControllerKnowsThatTheOlderHasEnded) {
    connect_controller();
    hand_back();
    sent_.clear();
    core_->controller_sent(0, bus::HandBack{{}, {ended(old(), "recovered")}, true, {}}, at());
    EXPECT_THAT(open_faults(), ElementsAre("f1 heartbeat_lost silent"));
    EXPECT_THAT(told(), ElementsAre("f1 open")) << "that controller knows this one";
    answer();
    EXPECT_THAT(told(), ElementsAre("f1 open", "f1 over"));
}

TEST_F(FoundOnceMoreTest, WhatAnOperatorClosesStaysClosed) {
    connect_controller();
    hand_back();
    core_->controller_sent(0, bus::HandBack{{}, {ended(old(), "cleared_by_operator")}, true, {}}, at());
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(FoundOnceMoreTest, WhatHasEndedBeforeTheHandBackStaysEnded) {
    connect_controller();
    answer();
    hand_back();
    EXPECT_THAT(open_faults(), IsEmpty()) << "its answers end it at the controller";
}

TEST_F(AgentCoreTest, ReportsNoFaultThatIsHandedBackOfAGuestThatAnswers) {
    found();
    registered();
    connect_controller();
    sent_.clear();
    core_->controller_sent(0, bus::HandBack{{}, {lost("old")}, true, {}}, at());
    EXPECT_THAT(open_faults(), IsEmpty());
    EXPECT_THAT(sent<bus::Faults>(), IsEmpty()) << "its answers end it at the controller";
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

TEST_F(AgentCoreTest, AFaultEndsByTheClockThatItBeganBy) {
    found();
    registered();
    after(std::chrono::seconds(3));
    connect_controller();
    const model::Fault known = sent<bus::Faults>().back().faults.front();
    core_->controller_sent(0, bus::HandBack{{}, {ended(known, "cleared_by_operator")}, true, {}}, at());
    EXPECT_EQ(sent<bus::Faults>().back().faults.front().cleared_at, at().wall) << "a controller's clock may be ahead";
}

class ClosedFaultTest : public AgentCoreTest {
protected:
    /// The guest hangs, and an operator closes its fault.
    void closed_by_the_operator() {
        found();
        listed();
        registered();
        after(std::chrono::seconds(3));
        connect_controller();
        core_->controller_sent(0, bus::HandBack{{}, {ended(lost("f1"), "cleared_by_operator")}, true, {}}, at());
        ASSERT_THAT(open_faults(), IsEmpty());
    }
    /// The agent restarts and finds the guest as it was.
    void restarted() {
        restart();
        found();
        listed();
        core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    }
};

TEST_F(ClosedFaultTest, StaysClosedOverARestartUntilTheGuestWasWell) {
    closed_by_the_operator();
    for (int restarts = 0; restarts < 2; ++restarts) {
        restarted();
        after(std::chrono::minutes(1));
        EXPECT_THAT(open_faults(), IsEmpty());
    }
    answer();
    after(std::chrono::seconds(3));
    EXPECT_THAT(open_faults(), ElementsAre("f2 heartbeat_lost silent"));
    EXPECT_THAT(disk_["closed"], IsEmpty());
}

TEST_F(ClosedFaultTest, StaysClosedWhenItWasClosedBeforeTheAgentFoundTheGuest) {
    found();
    listed();
    registered();
    after(std::chrono::seconds(3));
    restart();
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {ended(lost("f1"), "cleared_by_operator")}, true, {}}, at());
    found();
    listed();
    core_->channel_up(GuestKey(kGuest), ChannelKind::native, at());
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), IsEmpty());
    restarted();
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), IsEmpty());
}

TEST_F(ClosedFaultTest, IsOfNoMoreCountWhenAReleaseThatDoesNotKnowOfItHasRunSince) {
    closed_by_the_operator();
    disk_["agent"]["starts"] = std::to_string(std::stoi(disk_["agent"]["starts"]) + 1);
    restarted();
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), ElementsAre("f2 heartbeat_lost silent")) << "the guest may have been well since";
    EXPECT_THAT(disk_["closed"], IsEmpty());
}

TEST_F(ClosedFaultTest, IsOfNoMoreCountInAnOldCopyOfTheState) {
    closed_by_the_operator();
    restarted();
    connect_controller();
    core_->controller_sent(0, bus::HandBack{{}, {}, true, {}, true}, at());
    after(std::chrono::minutes(1));
    EXPECT_THAT(open_faults(), ElementsAre("f2 heartbeat_lost silent"));
}

TEST_F(ClosedFaultTest, OfAWatchdogIsAnotherOneWhenItFiresAgain) {
    found();
    listed();
    registered();
    core_->machine(kGuest, heartbeat::WatchdogFired{"reset"}, at());
    connect_controller();
    const model::Fault fired = sent<bus::Faults>().back().faults.front();
    core_->controller_sent(0, bus::HandBack{{}, {ended(fired, "cleared_by_operator")}, true, {}}, at());
    restarted();
    EXPECT_THAT(open_faults(), IsEmpty());
    core_->machine(kGuest, heartbeat::WatchdogFired{"reset"}, at());
    EXPECT_THAT(open_faults(), ElementsAre("f2 watchdog_fired reset"));
    EXPECT_THAT(disk_["closed"], IsEmpty());
}

TEST_F(ClosedFaultTest, GoesWithTheGuest) {
    closed_by_the_operator();
    core_->machine_gone(kGuest, heartbeat::StopReason::domain_stopped, at());
    EXPECT_THAT(disk_["closed"], IsEmpty());
}

TEST_F(ClosedFaultTest, OfAGuestThatWasJustWellAndHangsAgainIsAnotherFault) {
    found();
    registered();
    connect_controller();
    // It flaps, so its clear is withheld for a while.
    for (int times = 0; open_faults().empty() && times < 100; ++times) {
        after(std::chrono::seconds(3));
        ASSERT_EQ(open_faults().size(), 1U);
        answer();
    }
    ASSERT_EQ(open_faults().size(), 1U) << "withheld";
    const std::string open = open_faults().front().substr(0, open_faults().front().find(' '));
    core_->controller_sent(0, bus::HandBack{{}, {ended(lost(open), "cleared_by_operator")}, true, {}}, at());
    ASSERT_THAT(open_faults(), IsEmpty());
    after(std::chrono::seconds(3));
    EXPECT_EQ(open_faults().size(), 1U);
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

}  // namespace
}  // namespace vitalwire::host
