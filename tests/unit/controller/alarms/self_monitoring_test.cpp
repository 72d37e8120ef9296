#include "controller/alarms/self_monitoring.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A controller with the agent of compute-1, in virtual time.
class SelfMonitoringTest : public ::testing::Test {
protected:
    SelfMonitoringTest() { up(); }

    void up() { fleet.up(kNode, {}, "peer", wall); }
    void down() { fleet.down(kNode, {now, wall}); }
    void pass(milliseconds time) {
        now += time;
        wall += time;
    }
    /// "agent_lost compute-1 opened 1".
    std::vector<std::string> check() {
        std::vector<std::string> lines;
        for (const Alarm& alarm : watch.check({fleet, sinks, twice}, {now, wall})) {
            last = alarm;
            lines.push_back(alarm.kind + " " + alarm.host.str() + (alarm.open() ? " opened " : " cleared ") +
                            std::to_string(alarm.revision));
        }
        return lines;
    }

    const base::HostId kNode{"compute-1"};
    Fleet fleet;
    std::vector<SelfMonitoring::SinkState> sinks;
    std::vector<Authority::Twice> twice;
    base::TimePoint now{seconds(1000)};
    base::WallTime wall{seconds(1'700'000'000)};
    SelfMonitoring::Options options{base::HostId("ctl-1"), seconds(3), seconds(10), seconds(30)};
    SelfMonitoring watch{options};
    Alarm last;
};

TEST_F(SelfMonitoringTest, AnAgentThatIsAwayForItsTimeIsAnAlarmOfItsHost) {
    EXPECT_THAT(check(), IsEmpty());
    down();
    EXPECT_THAT(check(), IsEmpty());
    pass(milliseconds(2999));
    EXPECT_THAT(check(), IsEmpty());
    pass(milliseconds(1));
    EXPECT_THAT(check(), ElementsAre("agent_lost compute-1 opened 1"));
    EXPECT_TRUE(last.guest.empty());
    EXPECT_EQ(last.severity, "critical");
    pass(seconds(60));
    EXPECT_THAT(check(), IsEmpty()) << "once";
}

TEST_F(SelfMonitoringTest, ItIsOverWhenTheAgentIsBack) {
    down();
    check();
    pass(seconds(3));
    check();
    up();
    EXPECT_THAT(check(), ElementsAre("agent_lost compute-1 cleared 2"));
    EXPECT_EQ(last.clear_reason, "connected");
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(SelfMonitoringTest, ARestartOfTheAgentIsNoAlarm) {
    for (int i = 0; i < 10; ++i) {
        down();
        check();
        pass(seconds(2));
        EXPECT_THAT(check(), IsEmpty());
        up();
        EXPECT_THAT(check(), IsEmpty());
    }
}

TEST_F(SelfMonitoringTest, TwoControllersRaiseTheSameAlarm) {
    SelfMonitoring other({base::HostId("ctl-2"), seconds(3), seconds(10), seconds(30)});
    down();
    check();
    other.check({fleet}, {now, wall});
    pass(seconds(3));
    check();
    const auto others = other.check({fleet}, {now, wall});
    ASSERT_EQ(others.size(), 1U);
    EXPECT_EQ(others[0], last);
}

TEST_F(SelfMonitoringTest, TheTimeWeWereStoppedOurselvesDoesNotCount) {
    check();
    pass(std::chrono::minutes(10));  // then the loop finds all connections dead
    down();
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(1));
    up();
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(SelfMonitoringTest, WhenAllAgentsAreLostItIsTheControllerThatIsCutOff) {
    for (const char* host : {"compute-2", "compute-3"})
        fleet.up(base::HostId(host), {}, "peer", wall);
    for (const char* host : {"compute-1", "compute-2", "compute-3"})
        fleet.down(base::HostId(host), {now, wall});
    check();
    pass(seconds(3));
    EXPECT_THAT(check(), ElementsAre("agent_lost ctl-1 opened 1"));
    EXPECT_EQ(last.detail, "all agents");
    EXPECT_THAT(check(), IsEmpty());
    fleet.up(base::HostId("compute-2"), {}, "peer", wall);
    EXPECT_THAT(check(), ElementsAre("agent_lost ctl-1 cleared 2", "agent_lost compute-1 opened 1",
                                     "agent_lost compute-3 opened 1"))
        << "one is back: the others are lost indeed";
}

TEST_F(SelfMonitoringTest, AfterOurStartAgentsHaveTimeToReturn) {
    Fleet known;
    known.restore(kNode, {});
    fleet = known;
    check();
    pass(seconds(9));
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(1));
    EXPECT_THAT(check(), ElementsAre("agent_lost compute-1 opened 1"));
}

TEST_F(SelfMonitoringTest, AnAlarmOfBeforeARestartEndsWithItsAgentsReturn) {
    down();
    check();
    pass(seconds(3));
    check();
    SelfMonitoring restarted(options);
    restarted.restore(last);
    up();
    const auto changed = restarted.check({fleet}, {now, wall});
    ASSERT_EQ(changed.size(), 1U);
    EXPECT_FALSE(changed[0].open());
}

TEST_F(SelfMonitoringTest, AHostThatIsRemovedHasNoAlarm) {
    down();
    check();
    pass(seconds(3));
    check();
    fleet.erase(kNode);
    EXPECT_THAT(check(), ElementsAre("agent_lost compute-1 cleared 2"));
    EXPECT_EQ(last.clear_reason, "forgotten");
}

TEST_F(SelfMonitoringTest, TheNextLossIsNewerThanTheClearThatIsStillOnItsWay) {
    down();
    check();
    pass(seconds(3));
    check();
    up();
    check();
    down();
    check();
    pass(seconds(3));
    EXPECT_THAT(check(), ElementsAre("agent_lost compute-1 opened 3"));
    watch.erase(last.id);
    EXPECT_EQ(watch.open_of_kind(kAgentLost), 1U) << "it is not over";
}

TEST_F(SelfMonitoringTest, ASinkThatFailsForLongIsAnAlarmOfTheControllersHost) {
    sinks = {{"rca", now, "HTTP 503"}, {"log", std::nullopt, ""}};
    pass(seconds(29));
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(1));
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 opened 1"));
    EXPECT_EQ(last.detail, "rca");
    EXPECT_EQ(last.reason, "HTTP 503");
    sinks[0].away_since.reset();
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 cleared 2"));
}

TEST_F(SelfMonitoringTest, ASinkThatFailedBeforeARestartFailsUntilItHasAnswered) {
    sinks = {{"rca", now, "timeout"}};
    pass(seconds(30));
    check();
    watch = SelfMonitoring(options);
    watch.restore(last);
    sinks = {{"rca", std::nullopt, "", false}};
    EXPECT_THAT(check(), IsEmpty()) << "whether it is away is not known yet";
    sinks[0].away_since = now;
    sinks[0].error = "timeout";
    pass(seconds(60));
    EXPECT_THAT(check(), IsEmpty());
    sinks[0] = {"rca", std::nullopt, "", true};
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 cleared 2"));
}

TEST_F(SelfMonitoringTest, LeavesALostAgentToTheControllerThatIsItsPrimary) {
    down();
    const auto watched = [&](bool by_peer) {
        return watch.check({fleet, {}, {}, [by_peer](const base::HostId&) { return by_peer; }}, {now, wall});
    };
    watched(true);
    pass(seconds(60));
    EXPECT_THAT(watched(true), IsEmpty());
    EXPECT_EQ(watched(false).size(), 1U);
}

TEST_F(SelfMonitoringTest, ProblemsOfAnAgentAreAnAlarmOfItsHostUntilItReportsThatTheyAreOver) {
    EXPECT_THAT(check(), IsEmpty());
    fleet.set_problems(kNode, {{"libvirt cannot be reached", "EOF", wall, {}}, {"disk full", "", wall, {}}});
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(2));
    EXPECT_THAT(check(), ElementsAre("agent_degraded compute-1 opened 1"));
    EXPECT_EQ(last.detail, "libvirt cannot be reached");
    EXPECT_EQ(last.reason, "EOF (and 1 more)");
    fleet.down(kNode, {now, wall});
    fleet.up(kNode, {}, "peer", wall);
    EXPECT_THAT(check(), IsEmpty()) << "it has not sent its list yet";
    fleet.set_problems(kNode, {});
    EXPECT_THAT(check(), IsEmpty()) << "it may just have started, and not have found them yet";
    pass(seconds(2));
    EXPECT_THAT(check(), ElementsAre("agent_degraded compute-1 cleared 2"));
}

TEST_F(SelfMonitoringTest, AProblemThatAnAgentFindsAgainAfterItsRestartEndsNoAlarm) {
    fleet.set_problems(kNode, {{"disk full", "", wall, {}}});
    check();
    pass(seconds(2));
    ASSERT_THAT(check(), ElementsAre("agent_degraded compute-1 opened 1"));
    fleet.set_problems(kNode, {});
    check();
    pass(seconds(1));
    fleet.set_problems(kNode, {{"disk full", "", wall, {}}});
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(2));
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(SelfMonitoringTest, AnAlarmOfBeforeARestartEndsWithTheAgentsEmptyList) {
    Alarm before;
    before.id = base::FaultId("agent_degraded.compute-1");
    before.kind = kAgentDegraded;
    before.host = kNode;
    watch.restore(before);
    fleet.set_problems(kNode, {});
    check();
    pass(seconds(2));
    EXPECT_THAT(check(), ElementsAre("agent_degraded compute-1 cleared 2"));
}

TEST_F(SelfMonitoringTest, AnOpenAlarmWhoseCauseIsAnotherOneIsUpdated) {
    fleet.set_problems(kNode, {{"channels cannot be connected", "g7", wall, {}}});
    check();
    pass(seconds(2));
    ASSERT_THAT(check(), ElementsAre("agent_degraded compute-1 opened 1"));
    fleet.set_problems(kNode, {{"channels cannot be connected", "g8", wall, {}}});
    EXPECT_THAT(check(), IsEmpty()) << "one that changes all the time is not sent all the time";
    pass(seconds(10));
    EXPECT_THAT(check(), ElementsAre("agent_degraded compute-1 opened 2"));
    EXPECT_EQ(last.reason, "g8");
    EXPECT_THAT(check(), IsEmpty());
}

TEST_F(SelfMonitoringTest, AGuestWhoseCopiesAnswerOnTwoHostsIsAnAlarmOfTheGuest) {
    const base::HostId other("compute-2");
    fleet.up(other, {}, "peer", wall);
    for (const base::HostId& host : {kNode, other}) {
        fleet.begin_snapshot(host);
        fleet.end_snapshot(host);
    }
    twice = {{base::GuestId("g1"), {kNode, other}}};
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(3));
    EXPECT_THAT(check(), ElementsAre("running_twice compute-1 opened 1"));
    EXPECT_EQ(last.guest, base::GuestId("g1"));
    EXPECT_EQ(last.detail, "compute-1 compute-2");
    twice.clear();
    fleet.down(other, {now, wall});
    EXPECT_THAT(check(), IsEmpty()) << "a host that is away may still run its copy";
    fleet.up(other, {}, "peer", wall);
    fleet.begin_snapshot(other);
    fleet.end_snapshot(other);
    EXPECT_THAT(check(), ElementsAre("running_twice compute-1 cleared 2"));
}

TEST_F(SelfMonitoringTest, ASinkThatHasNothingToSendForLongFailsNoMore) {
    sinks = {{"rca", now, "timeout"}};
    pass(seconds(30));
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 opened 1"));
    sinks = {{"rca", std::nullopt, "timeout", false, true}};
    EXPECT_THAT(check(), IsEmpty());
    pass(seconds(30));
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 cleared 2"));
    EXPECT_EQ(last.clear_reason, "nothing is to be sent to it any more");
}

TEST_F(SelfMonitoringTest, ASinkThatIsConfiguredNoMoreDoesNotFail) {
    sinks = {{"rca", now, "HTTP 503"}};
    pass(seconds(30));
    check();
    sinks.clear();
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 cleared 2"));
    EXPECT_EQ(last.clear_reason, "it is no longer configured") << "it never delivered";
}

TEST_F(SelfMonitoringTest, ACauseThatChangesIsToldThoughTheClockIsSetBack) {
    sinks = {{"rca", now, "HTTP 503"}};
    pass(seconds(30));
    check();
    wall -= std::chrono::hours(1);
    sinks[0].error = "timeout";
    pass(seconds(10));
    EXPECT_THAT(check(), ElementsAre("sink_failing ctl-1 opened 2"));
    EXPECT_EQ(last.reason, "timeout");
}

TEST_F(SelfMonitoringTest, ATestEventEndsByItself) {
    const auto opened = watch.open_test_event({now, wall});
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->id.str(), "test_event.ctl-1");
    EXPECT_EQ(opened->severity, "warning");
    EXPECT_FALSE(watch.open_test_event({now, wall})) << "one at a time";
    pass(kTestEventLasts - milliseconds(1));
    EXPECT_THAT(check(), IsEmpty());
    pass(milliseconds(1));
    EXPECT_THAT(check(), ElementsAre("test_event ctl-1 cleared 2"));
    ASSERT_TRUE(watch.open_test_event({now, wall})) << "its clear may still be on its way";
}

TEST_F(SelfMonitoringTest, ATestEventOfBeforeARestartIsOver) {
    SelfMonitoring before{options};
    watch.restore(*before.open_test_event({now, wall}));
    EXPECT_THAT(check(), ElementsAre("test_event ctl-1 cleared 2"));
}

}  // namespace
}  // namespace vitalwire::controller
