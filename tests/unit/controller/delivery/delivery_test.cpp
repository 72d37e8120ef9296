#include "controller/delivery/delivery.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/controller/support/alarms.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A receiver in virtual time: each attempt is answered at once with what the script says.
class DeliveryTest : public ::testing::Test {
protected:
    enum class Answer { confirm, fail, refuse };

    void answer(const Delivery::Attempt& attempt, Answer how) {
        if (how == Answer::confirm) delivery.confirmed(attempt.ticket, now);
        if (how == Answer::fail) delivery.failed(attempt.ticket, "HTTP 503", now);
        if (how == Answer::refuse) delivery.refused(attempt.ticket, "HTTP 400", now);
    }

    /// Everything that may be sent now; messages about guest `bad` get `otherwise`.
    std::vector<std::string> pump(Answer how = Answer::confirm, const std::string& bad = {},
                                  Answer otherwise = Answer::fail) {
        std::vector<std::string> lines;
        while (const auto attempt = delivery.next(now)) {
            lines.push_back(line(attempt->event));
            answer(*attempt, attempt->event.alarm.guest.str() == bad ? otherwise : how);
        }
        return lines;
    }

    /// Advances to the moment `next` may have something, as a timer would; negative when there is none.
    milliseconds advance_to_due() {
        const auto due = delivery.next_due();
        if (due == base::kNever) return milliseconds(-1);
        const auto waited = std::max(due - now, base::Duration::zero());
        now += waited;
        return std::chrono::duration_cast<milliseconds>(waited);
    }

    base::TimePoint now{seconds(1000)};
    DeliveryOptions options;
    Delivery delivery{options, 1};
};

TEST_F(DeliveryTest, SendsAtOnce) {
    delivery.offer(open_alarm("g1", "a1"));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
    EXPECT_TRUE(delivery.settled(open_alarm("g1", "a1")));
    EXPECT_EQ(delivery.queued(), 0U);
}

TEST_F(DeliveryTest, HasNothingDueWhenNothingWaits) {
    EXPECT_EQ(delivery.next_due(), base::kNever);
    delivery.offer(open_alarm("g1", "a1"));
    pump();
    EXPECT_EQ(delivery.next_due(), base::kNever);
}

TEST_F(DeliveryTest, SendsAboutDifferentGuestsInParallelUpToTheLimit) {
    for (int i = 0; i < 10; ++i)
        delivery.offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    int under_way = 0;
    while (delivery.next(now))
        ++under_way;
    EXPECT_EQ(under_way, options.parallel);
    EXPECT_EQ(delivery.queued(), 10U);
}

TEST_F(DeliveryTest, SendsOneMessageAtATimeAboutOneGuest) {
    delivery.offer(open_alarm("g1", "a1"));
    delivery.offer(cleared(open_alarm("g1", "a1")));
    const auto first = delivery.next(now);
    ASSERT_TRUE(first);
    EXPECT_FALSE(delivery.next(now));
    delivery.confirmed(first->ticket, now);
    EXPECT_THAT(pump(), ElementsAre("a1 cleared 2"));
}

TEST_F(DeliveryTest, BacksOffFrom200MsDoublingTo30SForEver) {
    delivery.offer(open_alarm("g1", "a1"));
    pump(Answer::fail);
    milliseconds expected(200);
    for (int i = 0; i < 50; ++i) {
        const auto waited = advance_to_due();
        EXPECT_GE(waited, expected * 3 / 4) << "attempt " << i;
        EXPECT_LE(waited, expected) << "attempt " << i;
        EXPECT_THAT(pump(Answer::fail), ElementsAre("a1 opened 1"));
        expected = std::min<milliseconds>(expected * 2, seconds(30));
    }
    EXPECT_EQ(delivery.failures_in_a_row(), 51U);
    EXPECT_TRUE(delivery.away_since());
}

TEST_F(DeliveryTest, ProbesWithOneMessageWhileTheReceiverIsAway) {
    for (int i = 0; i < 5; ++i)
        delivery.offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    EXPECT_EQ(pump(Answer::fail).size(), 1U);
    advance_to_due();
    EXPECT_EQ(pump(Answer::fail).size(), 1U);
    advance_to_due();
    EXPECT_EQ(pump().size(), 5U) << "when it is back everything goes out at once";
    EXPECT_FALSE(delivery.away_since());
    EXPECT_EQ(delivery.failures_in_a_row(), 0U);
}

TEST_F(DeliveryTest, CountsTheFailuresOfOneOutageOnce) {
    for (int i = 0; i < 8; ++i)
        delivery.offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    std::vector<std::uint64_t> tickets;
    while (const auto attempt = delivery.next(now))
        tickets.push_back(attempt->ticket);
    now += seconds(5);
    for (const auto ticket : tickets) {
        delivery.failed(ticket, "timeout", now);
        now += milliseconds(1);
    }
    EXPECT_LE(delivery.next_due() - now, milliseconds(200)) << "eight timeouts are one outage, not eight";
}

TEST_F(DeliveryTest, TellsInOrderWhatCameAndWentWhileTheReceiverWasAway) {
    const Alarm alarm = open_alarm("g1", "a1");
    delivery.offer(alarm);
    pump(Answer::fail);
    delivery.offer(cleared(alarm));
    advance_to_due();
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1", "a1 cleared 2"));
}

TEST_F(DeliveryTest, ARefusedMessageDoesNotHoldUpOtherGuests) {
    delivery.offer(open_alarm("bad", "b"));
    delivery.offer(open_alarm("good", "g"));
    EXPECT_THAT(pump(Answer::confirm, "bad", Answer::refuse), ElementsAre("b opened 1", "g opened 1"));
    EXPECT_FALSE(delivery.away_since());
    EXPECT_EQ(delivery.stuck_subjects(), 1U);
}

TEST_F(DeliveryTest, TriesARefusedMessageAgainWithGrowingPauses) {
    delivery.offer(open_alarm("bad", "b"));
    pump(Answer::refuse);
    EXPECT_LE(advance_to_due(), milliseconds(200));
    EXPECT_THAT(pump(Answer::refuse), ElementsAre("b opened 1"));
    EXPECT_GT(advance_to_due(), milliseconds(200));
    EXPECT_THAT(pump(), ElementsAre("b opened 1"));
    EXPECT_EQ(delivery.stuck_subjects(), 0U);
}

TEST_F(DeliveryTest, AMessageThatAloneFailsDoesNotHoldUpOtherGuestsForLong) {
    delivery.offer(open_alarm("bad", "b"));
    pump(Answer::confirm, "bad");
    delivery.offer(open_alarm("g1", "a1"));
    advance_to_due();
    pump(Answer::confirm, "bad");  // a1 arrives, so the receiver is there; b fails again
    now += seconds(1);
    pump(Answer::confirm, "bad");
    delivery.offer(open_alarm("g2", "a2"));
    EXPECT_THAT(pump(Answer::confirm, "bad"), ElementsAre("a2 opened 1")) << "only guest bad may wait";
    EXPECT_EQ(delivery.stuck_subjects(), 1U);
}

TEST_F(DeliveryTest, PacesAFlappingGuestAndGetsItsLastStateRight) {
    std::vector<std::string> lines;
    const auto collect = [&] {
        for (const auto& text : pump())
            lines.push_back(text);
    };
    for (int i = 0; i < 1000; ++i) {  // 100 s of flapping, ten times a second
        const Alarm alarm = open_alarm("flapper", "a" + std::to_string(i));
        delivery.offer(alarm);
        collect();
        delivery.offer(cleared(alarm));
        now += milliseconds(100);
        collect();
    }
    delivery.offer(open_alarm("flapper", "last"));
    EXPECT_LE(lines.size(), 121U) << "20 at once and one each second";
    while (advance_to_due() >= milliseconds(0))
        collect();
    EXPECT_LE(lines.size(), 135U);
    EXPECT_EQ(lines.back(), "last opened 1");
    EXPECT_EQ(delivery.queued(), 0U);
}

TEST_F(DeliveryTest, AFlappingGuestDoesNotSlowOthers) {
    for (int i = 0; i < 50; ++i) {
        delivery.offer(cleared(open_alarm("flapper", "f" + std::to_string(i))));
        pump();
    }
    delivery.offer(open_alarm("g1", "a1"));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(DeliveryTest, ReportsWhatWasToldToBeKept) {
    delivery.offer(open_alarm("g1", "a1"));
    EXPECT_THAT(delivery.take_changes(), IsEmpty());
    pump();
    const auto changes = delivery.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].told, (Acked{Acked::Phase::open, 1}));
    EXPECT_THAT(delivery.take_changes(), IsEmpty());
}

TEST_F(DeliveryTest, SendsTheClearOfWhatWasRaisedBeforeARestart) {
    delivery.restore(open_alarm("g1", "a1"), {Acked::Phase::open, 1});
    delivery.offer(cleared(open_alarm("g1", "a1")));
    EXPECT_THAT(pump(), ElementsAre("a1 cleared 2"));
}

TEST_F(DeliveryTest, AnAttemptOfAForgottenAlarmEndsQuietly) {
    delivery.offer(open_alarm("g1", "a1"));
    const auto attempt = delivery.next(now);
    delivery.forget(open_alarm("g1", "a1"));
    delivery.failed(attempt->ticket, "HTTP 503", now);
    while (advance_to_due() >= milliseconds(0))
        EXPECT_THAT(pump(), IsEmpty());
    EXPECT_EQ(delivery.queued(), 0U);
}

TEST_F(DeliveryTest, IgnoresAnAnswerToAnAttemptThatHasEnded) {
    delivery.offer(open_alarm("g1", "a1"));
    const auto attempt = delivery.next(now);
    delivery.confirmed(attempt->ticket, now);
    delivery.failed(attempt->ticket, "late", now);
    EXPECT_EQ(delivery.failures_in_a_row(), 0U);
    EXPECT_EQ(delivery.queued(), 0U);
}

TEST_F(DeliveryTest, ForgetsGuestsThatHaveNothingLeftToTell) {
    for (int i = 0; i < 5000; ++i) {
        const Alarm alarm = open_alarm("g" + std::to_string(i), "a" + std::to_string(i));
        delivery.offer(cleared(alarm));
        pump();
        delivery.forget(cleared(alarm));
        now += seconds(1);
    }
    EXPECT_LE(delivery.subjects(), 2048U);
}

}  // namespace
}  // namespace vitalwire::controller
