#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/delivery/alarm_filter.hpp"
#include "tests/unit/controller/support/alarms.hpp"

namespace vitalwire::controller {
namespace {

using base::Millis;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Decision = AlarmFilter::Decision;

Policy without_io(Millis no_io_for, Millis hold_off = {}) {
    Policy policy;
    policy.name = "act";
    policy.sinks = {"s"};
    policy.no_io_for = no_io_for;
    policy.hold_off = hold_off;
    return policy;
}

/// A filter whose policy waits for 120 s without I/O, in virtual time. The guest was lost at the beginning.
class AlarmFilterIoTest : public ::testing::Test {
protected:
    void given(std::vector<Policy> policies) { filter = AlarmFilter(std::move(policies)); }
    /// What is held is offered again with each reading.
    Decision offer(Alarm alarm) {
        alarm.received = base::TimePoint(seconds(100));
        FilterContext context{true, seconds(1), steady()};
        context.io = io;
        context.guest_reported = reported;
        return filter.offer(std::make_shared<const Alarm>(std::move(alarm)), context);
    }
    void read(Millis idle, Millis watched = std::chrono::hours(1)) { io = {began + passed, watched, idle}; }
    Decision offer_read(Millis idle, Millis watched = std::chrono::hours(1)) {
        read(idle, watched);
        return offer(lost);
    }
    std::size_t due() { return filter.take_due(steady()).size(); }
    base::TimePoint steady() const { return base::TimePoint(seconds(100)) + passed; }
    std::vector<std::string> decided() {
        std::vector<std::string> lines;
        for (const IoDecision& decision : filter.take_io_decisions())
            lines.push_back((decision.held ? "held: " : "released: ") + decision.why);
        return lines;
    }

    const base::WallTime began{seconds(1'800'000'000)};
    base::Duration passed{};
    std::optional<model::GuestIo> io;
    bool reported = true;
    AlarmFilter filter{std::vector<Policy>{without_io(seconds(120))}};
    const Alarm lost = [this] {
        Alarm alarm = open_alarm("g1", "a1");
        alarm.opened_at = began;
        return alarm;
    }();
};

TEST_F(AlarmFilterIoTest, AGuestThatDidIoIsNotActedUponUntilItHasDoneNoneForThatLong) {
    EXPECT_EQ(offer_read(seconds(12)), Decision::hold);
    EXPECT_EQ(filter.io_hold(lost.id), "I/O seen 12 s ago");
    passed = seconds(100);
    EXPECT_EQ(offer_read(seconds(112)), Decision::hold);
    EXPECT_EQ(filter.io_hold(lost.id), "I/O seen 112 s ago");
    passed = seconds(108);
    EXPECT_EQ(offer_read(seconds(120)), Decision::pass);
    EXPECT_THAT(decided(), ElementsAre("held: I/O seen 12 s ago", "released: no I/O for 120 s"));
}

TEST_F(AlarmFilterIoTest, AGuestThatGoesOnWithIoIsHeldAllTheTime) {
    for (; passed < seconds(3600); passed += seconds(10)) {
        EXPECT_EQ(offer_read(seconds(1)), Decision::hold);
        EXPECT_EQ(due(), 0U);
    }
    EXPECT_THAT(decided(), ElementsAre("held: I/O seen 1 s ago"));
}

TEST_F(AlarmFilterIoTest, AGuestThatHasBeenIdleIsActedUponAsSoonAsThatIsRead) {
    io = {began - seconds(5), std::chrono::hours(1), seconds(300)};
    EXPECT_EQ(offer(lost), Decision::hold) << "a reading from before the fault shows nothing of it";
    passed = seconds(1);
    EXPECT_EQ(offer_read(seconds(306)), Decision::pass);
    EXPECT_THAT(decided(), ElementsAre("held: waits for the guest's I/O to be read", "released: no I/O for 306 s"));
}

TEST_F(AlarmFilterIoTest, AHostWhoseClockIsSetBackKeepsNoFaultHeld) {
    io = {began - seconds(5), std::chrono::hours(1), seconds(300)};
    EXPECT_EQ(offer(lost), Decision::hold);
    io = {began - std::chrono::hours(1), std::chrono::hours(1), seconds(301)};
    EXPECT_EQ(offer(lost), Decision::pass);
}

TEST_F(AlarmFilterIoTest, NoIoInAWatchThatIsTooShortIsNoProof) {
    EXPECT_EQ(offer_read(seconds(40), seconds(40)), Decision::hold);
    EXPECT_THAT(decided(), ElementsAre("held: no I/O seen, but watched for 40 s only"));
    passed = seconds(80);
    EXPECT_EQ(offer_read(seconds(120), seconds(120)), Decision::pass);
}

TEST_F(AlarmFilterIoTest, UnknownIoHoldsNothing) {
    EXPECT_EQ(offer(lost), Decision::pass) << "an older agent, or no libvirt";
    EXPECT_THAT(decided(), ElementsAre("released: the guest's I/O is not known"));
}

TEST_F(AlarmFilterIoTest, IoThatCannotBeReadAnyMoreHoldsNothingForLong) {
    EXPECT_EQ(offer_read(seconds(1)), Decision::hold);
    passed = seconds(29);
    EXPECT_EQ(due(), 0U);
    EXPECT_EQ(offer(lost), Decision::hold) << "offered again without a new reading";
    passed = seconds(30);
    EXPECT_EQ(due(), 1U);
    EXPECT_TRUE(filter.has_passed(lost.id));
    EXPECT_THAT(decided(), ElementsAre("held: I/O seen 1 s ago", "released: the guest's I/O is not known"));
}

TEST_F(AlarmFilterIoTest, AnAgentThatStartsAgainDoesNotReleaseWhatItHeld) {
    EXPECT_EQ(offer_read(seconds(1)), Decision::hold);
    io.reset();
    passed = seconds(10);
    EXPECT_EQ(offer(lost), Decision::hold) << "it has no reading yet";
    EXPECT_EQ(offer_read(seconds(0), seconds(0)), Decision::hold);
    passed = seconds(39);
    EXPECT_EQ(due(), 0U);
}

TEST_F(AlarmFilterIoTest, AfterARestartOfTheControllerTheAgentsReportIsWaitedFor) {
    reported = false;
    EXPECT_EQ(offer(lost), Decision::hold);
    passed = seconds(2);
    EXPECT_EQ(offer(lost), Decision::hold);
    reported = true;
    EXPECT_EQ(offer_read(seconds(3)), Decision::hold);
    EXPECT_EQ(due(), 0U);
}

TEST_F(AlarmFilterIoTest, AnAgentThatNeverReportsIsWaitedForOnce) {
    reported = false;
    EXPECT_EQ(offer(lost), Decision::hold);
    passed = seconds(30);
    EXPECT_EQ(due(), 1U);
}

TEST_F(AlarmFilterIoTest, WhatIsOverWhileItIsHeldIsNotSent) {
    EXPECT_EQ(offer_read(seconds(1)), Decision::hold);
    passed = seconds(600);
    EXPECT_EQ(offer(cleared(lost)), Decision::stop);
    EXPECT_EQ(filter.suppressed(), 1U);
    EXPECT_EQ(filter.held(), 0U);
}

TEST_F(AlarmFilterIoTest, WhatWasSentGetsItsClearWhateverIoThereIs) {
    EXPECT_EQ(offer_read(seconds(500)), Decision::pass);
    EXPECT_EQ(offer_read(seconds(0)), Decision::pass);
    EXPECT_EQ(offer(cleared(lost)), Decision::pass);
}

TEST_F(AlarmFilterIoTest, TheHypervisorsWordAndTheGuestsOwnStandWhateverIoThereIs) {
    for (const char* kind : {"vm_crashed", "stopped_by_host", "watchdog_fired", "unhealthy", "agent_lost"}) {
        Alarm alarm = lost;
        alarm.id = base::FaultId(kind);
        alarm.kind = kind;
        read(seconds(0));
        EXPECT_EQ(offer(alarm), Decision::pass) << kind;
    }
    EXPECT_THAT(decided(), IsEmpty());
}

TEST_F(AlarmFilterIoTest, TheHoldOffCountsBesideIt) {
    given({without_io(seconds(20), seconds(60))});
    passed = seconds(10);
    EXPECT_EQ(offer_read(seconds(30)), Decision::hold);
    EXPECT_EQ(filter.io_hold(lost.id), "") << "it is the hold-off that lasts";
    passed = seconds(50);
    EXPECT_EQ(offer_read(seconds(5)), Decision::hold);
    passed = seconds(60);
    EXPECT_EQ(due(), 0U);
    passed = seconds(70);
    EXPECT_EQ(offer_read(seconds(25)), Decision::pass);
}

TEST_F(AlarmFilterIoTest, AnotherPolicyThatMatchesSendsItAfterItsOwnHoldOff) {
    given({without_io(seconds(120)), without_io({}, seconds(300))});
    for (; passed < seconds(300); passed += seconds(10)) {
        EXPECT_EQ(offer_read(seconds(0)), Decision::hold);
        EXPECT_EQ(due(), 0U);
    }
    EXPECT_EQ(due(), 1U);
}

TEST_F(AlarmFilterIoTest, WhoseIoIsAskedForDependsOnThePlace) {
    Policy gold = without_io(seconds(120));
    gold.projects = {"gold"};
    given({gold});
    Alarm alarm = lost;
    EXPECT_FALSE(filter.asks_io(alarm));
    alarm.project = "gold";
    EXPECT_TRUE(filter.asks_io(alarm));
    given({without_io({})});
    EXPECT_FALSE(filter.asks_io(alarm));
}

}  // namespace
}  // namespace vitalwire::controller
