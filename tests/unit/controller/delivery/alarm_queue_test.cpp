#include "controller/delivery/alarm_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/controller/support/alarms.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Phase = Acked::Phase;

class AlarmQueueTest : public ::testing::Test {
protected:
    static AlarmPtr shared(Alarm alarm) { return std::make_shared<const Alarm>(std::move(alarm)); }
    void offer(Alarm alarm) { queue.offer(shared(std::move(alarm)), true); }

    /// Takes and confirms everything that waits.
    std::vector<std::string> sent() {
        std::vector<std::string> lines;
        while (const auto event = queue.take()) {
            lines.push_back(line(*event));
            queue.confirm();
        }
        return lines;
    }

    AlarmQueue queue{2};
    const Alarm a1 = open_alarm("g", "a1");
};

TEST_F(AlarmQueueTest, SendsARaiseAndItsClearInOrder) {
    offer(a1);
    offer(cleared(a1));
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1", "a1 cleared 2"));
    EXPECT_TRUE(queue.settled(a1.id));
}

TEST_F(AlarmQueueTest, SendsTheRaiseOfAnAlarmThatIsOverWhenItIsFirstOffered) {
    offer(cleared(a1));
    const auto raise = queue.take();
    EXPECT_EQ(line(*raise), "a1 opened 1");
    EXPECT_TRUE(raise->alarm.open());
    EXPECT_EQ(raise->alarm.clear_reason, "");
    queue.confirm();
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 2"));
}

TEST_F(AlarmQueueTest, CollapsesNoAlarmWhoseRaiseMayHaveArrived) {
    offer(a1);
    queue.take();
    queue.requeue("timed out", true);
    offer(cleared(a1));
    for (const char* id : {"a2", "a3", "a4", "a5"}) {
        offer(open_alarm("g", id));
        offer(cleared(open_alarm("g", id)));
    }
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1 collapsed 2", "a1 cleared 2", "a4 opened 1", "a4 cleared 2",
                                    "a5 opened 1", "a5 cleared 2"));
}

TEST_F(AlarmQueueTest, KeepsTheOrderAcrossAlarmsOfDifferentKinds) {
    Alarm unhealthy = open_alarm("g", "u1");
    unhealthy.kind = "unhealthy";
    offer(unhealthy);
    offer(a1);
    offer(cleared(unhealthy));
    offer(cleared(a1));
    EXPECT_THAT(sent(), ElementsAre("u1 opened 1", "a1 opened 1", "u1 cleared 2", "a1 cleared 2"));
}

TEST_F(AlarmQueueTest, MergesUpdatesThatWait) {
    offer(a1);
    sent();
    offer(open_alarm("g", "a1", 2));
    offer(open_alarm("g", "a1", 3));
    EXPECT_THAT(sent(), ElementsAre("a1 updated 3"));
}

TEST_F(AlarmQueueTest, MergesAnUpdateIntoARaiseThatWaits) {
    offer(a1);
    offer(open_alarm("g", "a1", 2));
    EXPECT_THAT(sent(), ElementsAre("a1 opened 2"));
}

TEST_F(AlarmQueueTest, SendsAnUpdateThatCameWhileTheRaiseWasUnderWay) {
    offer(a1);
    queue.take();
    offer(open_alarm("g", "a1", 2));
    EXPECT_FALSE(queue.settled(a1.id));
    queue.confirm();
    EXPECT_FALSE(queue.settled(a1.id));
    EXPECT_THAT(sent(), ElementsAre("a1 updated 2"));
    EXPECT_TRUE(queue.settled(a1.id));
}

TEST_F(AlarmQueueTest, DropsAnUpdateThatTheClearOvertook) {
    offer(a1);
    sent();
    offer(open_alarm("g", "a1", 2));
    offer(cleared(open_alarm("g", "a1", 2)));
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 3"));
}

TEST_F(AlarmQueueTest, GivesOneMessageAtATime) {
    offer(a1);
    offer(open_alarm("g", "a2"));
    ASSERT_TRUE(queue.take());
    EXPECT_FALSE(queue.take());
}

TEST_F(AlarmQueueTest, RepeatsAFailedRaiseBeforeItsClear) {
    offer(a1);
    queue.take();
    offer(cleared(a1));
    queue.requeue("away", true);
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1", "a1 cleared 2"));
}

TEST_F(AlarmQueueTest, RepeatsAFailedRaiseBeforeTheClearThatOvertookItsUpdate) {
    offer(a1);
    queue.take();
    offer(open_alarm("g", "a1", 2));
    queue.requeue("503", true);
    offer(cleared(open_alarm("g", "a1", 2)));
    EXPECT_THAT(sent(), ElementsAre("a1 opened 2", "a1 cleared 3"));
}

TEST_F(AlarmQueueTest, AFailedUpdateGivesWayToTheClear) {
    offer(a1);
    sent();
    offer(open_alarm("g", "a1", 2));
    queue.take();
    offer(cleared(open_alarm("g", "a1", 2)));
    queue.requeue("away", true);
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 3"));
}

TEST_F(AlarmQueueTest, SendsNothingWhenTheSameStateIsOfferedAgain) {
    offer(a1);
    sent();
    offer(a1);
    EXPECT_THAT(sent(), IsEmpty());
    EXPECT_TRUE(queue.settled(a1.id));
}

TEST_F(AlarmQueueTest, RaisesAgainAnAlarmThatIsOpenAgainUnderItsOldId) {
    offer(a1);
    offer(cleared(a1));
    sent();
    offer(a1);
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1"));
}

TEST_F(AlarmQueueTest, CollapsesWhatCameAndWentBeyondTheBacklog) {
    for (int i = 1; i <= 6; ++i) {
        const Alarm alarm = open_alarm("g", "a" + std::to_string(i));
        offer(alarm);
        offer(cleared(alarm));
    }
    offer(open_alarm("g", "last"));
    EXPECT_THAT(sent(),
                ElementsAre("a5 opened 1 collapsed 4", "a5 cleared 2", "a6 opened 1", "a6 cleared 2", "last opened 1"));
    EXPECT_TRUE(queue.settled(base::FaultId("a1"))) << "a collapsed alarm must not wait without end";
}

TEST_F(AlarmQueueTest, ReportsACollapsedAlarmAsAcknowledged) {
    for (const char* id : {"a1", "a2"})
        offer(cleared(open_alarm("g", id)));
    const auto changes = queue.offer(shared(cleared(open_alarm("g", "a3"))), true);
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].fault.str(), "a1");
    EXPECT_EQ(changes[0].acked, (Acked{Phase::cleared, 2}));
}

TEST_F(AlarmQueueTest, KeepsCountingCollapsedAlarmsUntilTheCountIsConfirmed) {
    for (int i = 1; i <= 3; ++i)
        offer(cleared(open_alarm("g", "a" + std::to_string(i))));
    EXPECT_EQ(queue.take()->collapsed, 1U);
    queue.requeue("away", true);
    EXPECT_EQ(queue.take()->collapsed, 1U);
    queue.confirm();
    EXPECT_EQ(queue.take()->change, AlarmChange::cleared);
    queue.confirm();
    EXPECT_EQ(queue.take()->collapsed, 0U);
}

TEST_F(AlarmQueueTest, NeverCollapsesAnAlarmThatTheSinkHas) {
    offer(a1);
    queue.take();
    queue.confirm();
    offer(cleared(a1));
    for (int i = 2; i <= 6; ++i)
        offer(cleared(open_alarm("g", "a" + std::to_string(i))));
    EXPECT_EQ(line(*queue.take()), "a1 cleared 2");
}

TEST_F(AlarmQueueTest, RepeatsNothingThatWasConfirmedBeforeARestart) {
    queue.restore(shared(a1), {Phase::open, 1});
    offer(a1);
    EXPECT_THAT(sent(), IsEmpty());
    offer(cleared(a1));
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 2"));
}

TEST_F(AlarmQueueTest, DoesNotRepeatWhatAnEarlierPrimaryHasDelivered) {
    Alarm alarm = open_alarm("g", "a1", 2);
    alarm.delivered = 2;
    offer(alarm);
    EXPECT_THAT(sent(), IsEmpty());
    EXPECT_TRUE(queue.settled(alarm.id));
}

TEST_F(AlarmQueueTest, SendsWhatHappenedAfterTheEarlierPrimarysLastDelivery) {
    Alarm alarm = cleared(open_alarm("g", "a1", 2));
    alarm.delivered = 1;
    offer(alarm);
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 3"));
}

TEST_F(AlarmQueueTest, SendsANewSinkWhatOthersHaveAcknowledged) {
    Alarm alarm = a1;
    alarm.delivered = 1;
    queue.offer(shared(alarm), false);
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1"));
}

TEST_F(AlarmQueueTest, DropsWhatWaitsWhenAnotherControllerDeliversIt) {
    offer(a1);
    queue.withdraw(a1.id);
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(AlarmQueueTest, ClearsWhatItRaisedThoughAnotherControllerDeliversIt) {
    offer(a1);
    sent();
    queue.withdraw(a1.id);
    queue.finish(shared(cleared(a1)), false);
    EXPECT_TRUE(queue.busy(a1.id));
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 2"));
    EXPECT_FALSE(queue.busy(a1.id));
}

TEST_F(AlarmQueueTest, LeavesToAnotherControllerWhatItNeverRaised) {
    offer(a1);
    queue.withdraw(a1.id);
    queue.finish(shared(cleared(a1)), false);
    EXPECT_FALSE(queue.busy(a1.id));
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(AlarmQueueTest, TakesAFailedRaiseForOneThatMayHaveArrived) {
    offer(a1);
    queue.take();
    queue.withdraw(a1.id);
    queue.requeue("no answer", true);
    queue.finish(shared(cleared(a1)), true);
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 2"));
}

TEST_F(AlarmQueueTest, LeavesWhatMayHaveArrivedToWhoStillDeliversIt) {
    offer(a1);
    queue.take();
    queue.withdraw(a1.id);
    queue.requeue("no answer", true);
    queue.finish(shared(cleared(a1)), false);
    EXPECT_FALSE(queue.busy(a1.id));
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(AlarmQueueTest, DoesNotRepeatAFailedMessageThatWasWithdrawn) {
    offer(a1);
    queue.take();
    queue.withdraw(a1.id);
    queue.requeue("away", true);
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(AlarmQueueTest, SurvivesThatAnAlarmIsErasedWhileItsMessageIsUnderWay) {
    offer(a1);
    queue.take();
    queue.erase(a1.id);
    EXPECT_FALSE(queue.confirm());
    EXPECT_TRUE(queue.idle());
}

TEST_F(AlarmQueueTest, ShowsHowFarAnAlarmIs) {
    offer(a1);
    EXPECT_EQ(queue.view(a1.id).state, DeliveryView::State::queued);
    queue.take();
    EXPECT_EQ(queue.view(a1.id).state, DeliveryView::State::sending);
    queue.requeue("HTTP 503", true);
    EXPECT_EQ(queue.view(a1.id).state, DeliveryView::State::queued);
    EXPECT_EQ(queue.view(a1.id).attempts, 1U);
    EXPECT_EQ(queue.view(a1.id).last_error, "HTTP 503");
    sent();
    EXPECT_EQ(queue.view(a1.id).state, DeliveryView::State::acknowledged);
    EXPECT_EQ(queue.view(a1.id).attempts, 0U);
}

TEST_F(AlarmQueueTest, ResendsWhatTheSinkHasLost) {
    offer(a1);
    sent();
    EXPECT_TRUE(queue.resend(a1.id));
    EXPECT_FALSE(queue.resend(a1.id)) << "it waits already";
    EXPECT_THAT(sent(), ElementsAre("a1 opened 1"));
    offer(cleared(a1));
    EXPECT_FALSE(queue.resend(a1.id)) << "it is over";
    EXPECT_THAT(sent(), ElementsAre("a1 cleared 2"));
}

TEST_F(AlarmQueueTest, MarksARaiseThatComesTooLateAndWhatElseIsOpen) {
    Alarm unhealthy = open_alarm("g", "u1");
    unhealthy.kind = "unhealthy";
    offer(unhealthy);
    offer(a1);
    offer(cleared(unhealthy));
    const auto late = queue.take();
    EXPECT_TRUE(late->over);
    EXPECT_THAT(late->others_open, ElementsAre("heartbeat_lost"));
    queue.confirm();
    const auto raise = queue.take();
    EXPECT_FALSE(raise->over);
    EXPECT_THAT(raise->others_open, IsEmpty());
    queue.confirm();
    EXPECT_FALSE(queue.take()->over) << "a clear is not late";
}

}  // namespace
}  // namespace vitalwire::controller
