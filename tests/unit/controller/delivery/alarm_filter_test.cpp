#include "controller/delivery/alarm_filter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "tests/unit/controller/support/alarms.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Decision = AlarmFilter::Decision;

Alarm lasted(Alarm alarm, base::Duration time) {
    alarm = cleared(std::move(alarm));
    alarm.cleared_at = alarm.opened_at + time;
    return alarm;
}

Policy policy(base::Millis hold_off = {}) {
    Policy policy;
    policy.sinks = {"s"};
    policy.hold_off = hold_off;
    return policy;
}

/// A filter in virtual time. Alarm a1 is received at the beginning.
class AlarmFilterTest : public ::testing::Test {
protected:
    void given(std::vector<Policy> policies) { filter = AlarmFilter(std::move(policies)); }
    Decision offer(Alarm alarm, bool inventory_known = true) {
        alarm.received_at = received_at;
        alarm.received = received;
        return filter.offer(std::make_shared<const Alarm>(std::move(alarm)),
                            {inventory_known, seconds(1), base::TimePoint(seconds(100)) + passed, maintained});
    }
    /// For a minute from now.
    void maintain() { maintained = {began + passed, base::TimePoint(seconds(100)) + passed + seconds(60)}; }
    std::vector<std::string> due() {
        std::vector<std::string> ids;
        for (const AlarmPtr& alarm : filter.take_due(base::TimePoint(seconds(100)) + passed))
            ids.push_back(alarm->id.str() + " " + std::to_string(alarm->revision));
        return ids;
    }

    AlarmFilter filter{std::nullopt};
    const Alarm a1 = open_alarm("g1", "a1");
    const base::WallTime began{seconds(1'800'000'000)};  ///< by the controller's clock, which no agent's agrees with
    base::WallTime received_at = began;
    base::TimePoint received{seconds(100)};
    base::Duration passed{};
    std::optional<Maintained> maintained;
};

TEST_F(AlarmFilterTest, MaintenanceHoldsWithoutAnyPolicyUntilItEnds) {
    maintain();
    EXPECT_EQ(offer(a1), Decision::hold);
    EXPECT_FALSE(filter.has_passed(a1.id));
    passed = seconds(59);
    EXPECT_THAT(due(), IsEmpty());
    passed = seconds(60);
    EXPECT_THAT(due(), ElementsAre("a1 1"));
    maintained.reset();
    EXPECT_EQ(offer(cleared(a1)), Decision::pass);
}

TEST_F(AlarmFilterTest, MaintenanceStopsWhatIsOverBeforeItsEnd) {
    maintain();
    offer(a1);
    EXPECT_EQ(offer(cleared(a1)), Decision::stop);
    EXPECT_EQ(filter.suppressed(), 1U);
    EXPECT_EQ(filter.held(), 0U);
}

TEST_F(AlarmFilterTest, MaintenanceLetsTheEndPassOfWhatMayHaveBeenSentBeforeIt) {
    passed = seconds(1);
    maintain();
    EXPECT_EQ(offer(a1), Decision::hold);
    EXPECT_EQ(offer(cleared(a1)), Decision::pass);
    EXPECT_EQ(filter.suppressed(), 0U);
}

TEST_F(AlarmFilterTest, MaintenanceStopsTheEndOfWhatItsHoldOffHadKeptBack) {
    given({policy(seconds(90))});
    passed = seconds(89);
    maintain();
    EXPECT_EQ(offer(cleared(a1)), Decision::stop);
}

TEST_F(AlarmFilterTest, AnAlarmOfTheControllersOwnCountsFromItsOpening) {
    received_at = {};
    received = {};
    Alarm own = a1;
    own.opened_at = began;
    passed = seconds(1);
    maintain();
    EXPECT_EQ(offer(cleared(own)), Decision::pass);
}

TEST_F(AlarmFilterTest, MaintenanceDoesNotEndAHoldOff) {
    given({policy(seconds(90))});
    maintain();
    EXPECT_EQ(offer(a1), Decision::hold);
    passed = seconds(60);
    EXPECT_THAT(due(), IsEmpty());
    passed = seconds(90);
    EXPECT_THAT(due(), ElementsAre("a1 1"));
}

TEST_F(AlarmFilterTest, WithoutPoliciesEverythingPasses) {
    EXPECT_EQ(offer(a1), Decision::pass);
    EXPECT_EQ(offer(cleared(a1)), Decision::pass);
    EXPECT_TRUE(filter.has_passed(a1.id));
}

TEST_F(AlarmFilterTest, ASinkThatNoPolicyNamesIsSentNothing) {
    given({});
    EXPECT_EQ(offer(a1), Decision::stop);
    EXPECT_EQ(offer(cleared(a1)), Decision::stop);
    EXPECT_TRUE(filter.stops(a1.id));
}

TEST_F(AlarmFilterTest, WithoutAHoldOffAFaultThatIsOverIsStillSent) {
    given({policy()});
    EXPECT_EQ(offer(lasted(a1, milliseconds(1))), Decision::pass);
}

TEST_F(AlarmFilterTest, HoldsAFaultOffAndThenLetsItsNewestStateThrough) {
    given({policy(seconds(5))});
    EXPECT_EQ(offer(a1), Decision::hold);
    passed = seconds(3);
    EXPECT_EQ(offer(open_alarm("g1", "a1", 2)), Decision::hold);
    EXPECT_EQ(filter.next_due(), base::TimePoint(seconds(105))) << "an update does not prolong it";
    EXPECT_THAT(due(), IsEmpty());
    passed = seconds(5);
    EXPECT_THAT(due(), ElementsAre("a1 2"));
    EXPECT_EQ(filter.held(), 0U);
    EXPECT_EQ(filter.next_due(), base::kNever);
}

TEST_F(AlarmFilterTest, AFaultThatClearsWithinItsHoldOffIsSuppressed) {
    given({policy(seconds(5))});
    offer(a1);
    passed = seconds(4);
    EXPECT_EQ(offer(lasted(a1, seconds(4))), Decision::stop);
    passed = seconds(60);
    EXPECT_THAT(due(), IsEmpty());
    EXPECT_EQ(filter.suppressed(), 1U);
}

TEST_F(AlarmFilterTest, WhatWasSentGetsItsClearHoweverShortItWas) {
    given({policy(seconds(5))});
    offer(a1);
    passed = seconds(5);
    due();
    EXPECT_EQ(offer(lasted(a1, seconds(4))), Decision::pass) << "the agent's clock is behind ours";
}

TEST_F(AlarmFilterTest, AFaultThatWasOverWhenItCameIsSentIfItLasted) {
    given({policy(seconds(5))});
    EXPECT_EQ(offer(lasted(a1, seconds(4))), Decision::stop);
    EXPECT_EQ(offer(lasted(open_alarm("g1", "a2"), seconds(5))), Decision::pass);
}

TEST_F(AlarmFilterTest, TheHoldOffDoesNotBeginAgainAfterARestart) {
    given({policy(seconds(5))});
    passed = seconds(3);
    EXPECT_EQ(offer(a1), Decision::hold);
    EXPECT_EQ(filter.next_due(), base::TimePoint(seconds(105)));
    passed = seconds(6);
    EXPECT_EQ(offer(open_alarm("g2", "a2")), Decision::pass);
}

TEST_F(AlarmFilterTest, TheAgentsClockDoesNotMatter) {
    given({policy(seconds(5))});
    for (const auto opened : {seconds(-86400), seconds(0), seconds(86400)}) {
        Alarm alarm = open_alarm("g1", "of" + std::to_string(opened.count()));
        alarm.opened_at = began + opened;
        EXPECT_EQ(offer(alarm), Decision::hold);
        EXPECT_EQ(filter.next_due(), base::TimePoint(seconds(105)));
        alarm = cleared(alarm);
        alarm.cleared_at = alarm.opened_at + std::chrono::hours(1);
        EXPECT_EQ(offer(alarm), Decision::stop) << "it has just come, and is over";
    }
}

TEST_F(AlarmFilterTest, AnEndThatWasSeenHereCountsByOurClock) {
    given({policy(seconds(5))});
    Alarm alarm = lasted(a1, std::chrono::hours(1));  // its agent's clock is behind
    alarm.ended = base::TimePoint(seconds(103));
    passed = seconds(9);
    EXPECT_EQ(offer(alarm), Decision::stop);
}

TEST_F(AlarmFilterTest, AnEndThatWasSeenHerePassesWhenAnotherControllerMayHaveSentTheFault) {
    given({policy(seconds(5))});
    Alarm alarm = lasted(a1, seconds(-30));  // its agent's clock is ahead
    passed = seconds(5) - milliseconds(200);
    alarm.ended = base::TimePoint(seconds(100)) + passed;
    EXPECT_EQ(offer(alarm), Decision::pass);
}

TEST_F(AlarmFilterTest, AFaultWhoseAgentSetItsClockBackIsNotSaidToHaveBeenShort) {
    given({policy(seconds(5))});
    EXPECT_EQ(offer(lasted(a1, seconds(-3600))), Decision::pass);
}

TEST_F(AlarmFilterTest, CountsInIntervalsOfTheGuest) {
    Policy two_intervals = policy();
    two_intervals.hold_off_intervals = 2;
    given({two_intervals});
    EXPECT_EQ(offer(a1), Decision::hold);
    EXPECT_EQ(filter.next_due(), base::TimePoint(seconds(102)));
}

TEST_F(AlarmFilterTest, WhatAnEarlierPrimaryHasDeliveredPassesAtOnce) {
    given({policy(seconds(5))});
    Alarm delivered = lasted(a1, seconds(1));
    delivered.delivered = 1;
    EXPECT_EQ(offer(delivered), Decision::pass);
}

TEST_F(AlarmFilterTest, WhatIsDroppedIsHeldNoMoreAndIsANewFaultTheNextTime) {
    given({policy(seconds(5))});
    offer(a1);
    filter.drop(a1.id);
    EXPECT_EQ(filter.held(), 0U);
    EXPECT_EQ(filter.next_due(), base::kNever);
    EXPECT_FALSE(filter.stops(a1.id));
    EXPECT_EQ(offer(a1), Decision::hold);
}

TEST_F(AlarmFilterTest, AFlappingGuestThatIsNeverLostForLongIsNeverSent) {
    given({policy(seconds(5))});
    for (int i = 0; i < 1000; ++i) {
        const Alarm alarm = open_alarm("g1", "flap" + std::to_string(i));
        passed = {};
        EXPECT_EQ(offer(alarm), Decision::hold);
        passed = seconds(1);
        EXPECT_EQ(offer(lasted(alarm, seconds(1))), Decision::stop);
        filter.erase(alarm.id);
    }
    EXPECT_EQ(filter.suppressed(), 1000U);
    EXPECT_EQ(filter.held(), 0U);
}

TEST_F(AlarmFilterTest, WaitsForTheInventoryWhereItDecides) {
    Policy gold = policy();
    gold.projects = {"gold"};
    given({gold});
    Alarm alarm = a1;
    EXPECT_EQ(offer(alarm, false), Decision::hold);
    EXPECT_EQ(filter.next_due(), base::kNever);
    EXPECT_TRUE(filter.holds(a1.id));
    alarm.project = "gold";
    EXPECT_EQ(offer(alarm), Decision::pass);
}

TEST_F(AlarmFilterTest, AGuestThatMovesIntoAPolicyIsSentFromThenOnAndToTheEnd) {
    Policy gold = policy();
    gold.projects = {"gold"};
    given({gold});
    Alarm alarm = a1;
    EXPECT_EQ(offer(alarm), Decision::stop);
    alarm.project = "gold";
    EXPECT_EQ(offer(alarm), Decision::pass);
    alarm.project = "silver";
    EXPECT_EQ(offer(cleared(alarm)), Decision::pass);
}

// What policies decide.

class PolicyTest : public ::testing::Test {
protected:
    PolicyDecision decision(bool inventory_known = true) const {
        return decide(policies, alarm, inventory_known, seconds(2));
    }
    bool delivers() const { return decision().kind == PolicyDecision::Kind::deliver; }

    static Alarm of_the_web_pair() {
        Alarm lost = open_alarm("g1", "a1");
        lost.group = base::GroupId("0f8fad5b");
        lost.group_name = "web-pair";
        lost.project = "gold";
        lost.flavor = "nfv.large";
        return lost;
    }

    Alarm alarm = of_the_web_pair();
    std::vector<Policy> policies = {Policy{}};
};

TEST_F(PolicyTest, OneWithoutConditionsMatchesEverything) {
    EXPECT_TRUE(delivers());
    alarm = Alarm{};
    EXPECT_TRUE(delivers());
}

TEST_F(PolicyTest, EveryConditionHasToHold) {
    policies[0].kinds = {"unhealthy", "heartbeat_lost"};
    policies[0].groups = {"db-*", "web-*"};
    policies[0].projects = {"gold"};
    policies[0].flavors = {"nfv.*"};
    EXPECT_TRUE(delivers());
    alarm.flavor = "m1.small";
    EXPECT_FALSE(delivers());
}

TEST_F(PolicyTest, AGroupIsKnownByItsIdOrItsName) {
    policies[0].groups = {"0f8fad5b"};
    EXPECT_TRUE(delivers());
    policies[0].groups = {"web-pair"};
    EXPECT_TRUE(delivers());
    policies[0].groups = {"web"};
    EXPECT_FALSE(delivers());
}

TEST_F(PolicyTest, TheShortestHoldOffOfThoseThatMatchCounts) {
    policies[0].hold_off = seconds(10);
    Policy sooner;
    sooner.hold_off_intervals = 2;
    policies.push_back(sooner);
    EXPECT_EQ(decision(), (PolicyDecision{PolicyDecision::Kind::deliver, seconds(4)}));
    policies[1].kinds = {"unhealthy"};
    EXPECT_EQ(decision(), (PolicyDecision{PolicyDecision::Kind::deliver, seconds(10)}));
}

TEST_F(PolicyTest, WithoutAnInventoryOnlyWhatDoesNotAskForItIsKnown) {
    policies[0].flavors = {"nfv.*"};
    EXPECT_EQ(decision(false).kind, PolicyDecision::Kind::unknown);
    policies.push_back(Policy{});
    EXPECT_EQ(decision(false).kind, PolicyDecision::Kind::deliver);
}

TEST_F(PolicyTest, AnAlarmOfAHostBelongsToNobody) {
    alarm = Alarm{};
    alarm.host = base::HostId("compute-1");
    policies[0].projects = {"*"};
    EXPECT_FALSE(delivers());
    EXPECT_EQ(decision(false).kind, PolicyDecision::Kind::suppress);
}

}  // namespace
}  // namespace vitalwire::controller
