#include "controller/alarms/internal_alarms.hpp"

#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class InternalAlarmsTest : public AlarmManagerTest {
protected:
    void deliver(const Alarm& alarm) {
        alarms->internal().deliver(alarm);
        EXPECT_TRUE(loop.until([&] { return !alarms->internal().waits(); }));
        loop.poll();
    }
    static Alarm own(const std::string& kind, const std::string& detail = "") {
        Alarm alarm = open_alarm("", kind);
        alarm.kind = kind;
        alarm.detail = detail;
        return alarm;
    }

    const Alarm lost = own(kAgentLost);
};

TEST_F(InternalAlarmsTest, GoToEverySinkAndEndThere) {
    start({"a", "b"});
    deliver(lost);
    deliver(cleared(lost));
    for (const char* sink : {"a", "b"})
        EXPECT_THAT(take(sink), ElementsAre("agent_lost opened 1", "agent_lost cleared 2"));
    EXPECT_TRUE(alarms->internal().all().empty());
}

TEST_F(InternalAlarmsTest, AreDeliveredOnceTheyAreOnDisk) {
    start();
    alarms->internal().deliver(lost);
    EXPECT_THAT(take("a"), IsEmpty());
    ASSERT_TRUE(loop.until([&] { return !receipts["a"].lines.empty(); }));
    restart();
    EXPECT_EQ(alarms->internal().all().size(), 1U);
}

TEST_F(InternalAlarmsTest, ASinkIsNotNotifiedOfItsOwnFailure) {
    start({"a", "b"});
    deliver(own(kSinkFailing, "a"));
    deliver(cleared(own(kSinkFailing, "a")));
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(take("b"), ElementsAre("sink_failing opened 1", "sink_failing cleared 2"));
    EXPECT_TRUE(alarms->internal().all().empty());
}

TEST_F(InternalAlarmsTest, ASinkOfGuestsOnlyIsNotNotified) {
    receipts["b"].takes_hosts = false;
    start({"a", "b"});
    deliver(lost);
    EXPECT_THAT(take("a"), ElementsAre("agent_lost opened 1"));
    EXPECT_THAT(take("b"), IsEmpty());
}

TEST_F(InternalAlarmsTest, AreSubjectToPolicies) {
    Policy guests_only;
    guests_only.kinds = {"heartbeat_lost"};
    policies["a"] = {guests_only};
    start();
    deliver(lost);
    EXPECT_THAT(take("a"), IsEmpty());
    deliver(cleared(lost));
    EXPECT_TRUE(alarms->internal().all().empty());
}

TEST_F(InternalAlarmsTest, SurviveARestartWithoutBeingDeliveredTwice) {
    start();
    deliver(lost);
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    restart();
    ASSERT_EQ(alarms->internal().all().size(), 1U);
    EXPECT_THAT(take("a"), IsEmpty());
    deliver(cleared(alarms->internal().all().begin()->second));
    EXPECT_THAT(take("a"), ElementsAre("agent_lost cleared 2"));
    restart();
    EXPECT_TRUE(alarms->internal().all().empty());
}

TEST_F(InternalAlarmsTest, WhatIsNotAcknowledgedIsDeliveredAfterARestart) {
    start();
    receipts["a"].hold = true;
    deliver(lost);
    deliver(cleared(lost));
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    receipts["a"].hold = false;
    restart();
    loop.poll();
    EXPECT_THAT(take("a"), ElementsAre("agent_lost opened 1", "agent_lost cleared 2"));
    EXPECT_TRUE(alarms->internal().all().empty());
}

TEST_F(InternalAlarmsTest, AnAgentThatFlapsWhileASinkIsAwayLeavesItsLastState) {
    start();
    receipts["a"].hold = true;
    Alarm alarm = lost;
    deliver(alarm);
    for (int i = 0; i < 100; ++i) {
        alarm = cleared(alarm);
        deliver(alarm);
        alarm.cleared_at.reset();
        ++alarm.revision;
        deliver(alarm);
    }
    receipts["a"].hold = false;
    std::exchange(receipts["a"].held, {}).at(0)(Outcome::confirmed());
    loop.poll();
    EXPECT_LE(receipts["a"].lines.size(), 3U);
    EXPECT_EQ(receipts["a"].lines.back(), "agent_lost opened 201");
}

TEST_F(InternalAlarmsTest, OfManyThatAreOverThoseThatEndedLastAreKept) {
    start();
    const std::size_t more = 3;
    for (std::size_t i = 0; i < InternalAlarms::kMaxKept + more; ++i) {
        Alarm ended = lost;
        ended.id = base::FaultId("agent_lost." + std::to_string(i));
        ended.updated_at += std::chrono::seconds(i);
        ended.cleared_at = ended.updated_at;
        alarms->merge_journal(ended.id, "ctl-2", {{{ended.updated_at, "cleared", "", "connected"}}, 0, ended});
    }
    EXPECT_EQ(alarms->journal().alarms().size(), InternalAlarms::kMaxKept);
    EXPECT_EQ(alarms->internal().find(base::FaultId("agent_lost.2")), nullptr);
    EXPECT_NE(alarms->internal().find(base::FaultId("agent_lost.3")), nullptr);
}

TEST_F(InternalAlarmsTest, ReconciliationResendsWhatAReceiverHasLost) {
    receipts["a"].reconcile = base::Millis(5);
    start();
    deliver(lost);
    take("a");
    ASSERT_TRUE(loop.until([&] { return !receipts["a"].asked.empty(); }));
    std::exchange(receipts["a"].asked, {}).at(0)(std::vector<ShownAlarm>{{base::GuestId(), kAgentLost, lost.id}});
    EXPECT_THAT(take("a"), IsEmpty());
    ASSERT_TRUE(loop.until([&] { return !receipts["a"].asked.empty(); }));
    std::exchange(receipts["a"].asked, {}).at(0)(std::vector<ShownAlarm>{});
    EXPECT_THAT(take("a"), ElementsAre("agent_lost opened 1"));
}

}  // namespace
}  // namespace vitalwire::controller
