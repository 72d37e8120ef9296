#include "tests/unit/controller/delivery/sink_queue_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(SinkQueueTest, SendsAtOnce) {
    offer(open_alarm("g1", "a1"));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
    EXPECT_TRUE(queue.settled(open_alarm("g1", "a1")));
    EXPECT_EQ(queue.queued(), 0U);
}

TEST_F(SinkQueueTest, OfAReceiverThatIsNewItIsNotNewAgainWhenTheClockIsSetBack) {
    const auto at = [](int second) { return base::WallTime(seconds(1'000'000 + second)); };
    options.receiver_since = at(1000);
    SinkQueue known{options, std::nullopt, [](const Alarm&) { return std::string(); }, 1};
    EXPECT_EQ(known.clock_was_set(seconds(-500)), at(500));
    Alarm delivered = open_alarm("g1", "a1");
    delivered.delivered = 1;
    delivered.received_at = at(600);
    known.offer(shared(delivered), context());
    EXPECT_FALSE(known.next(now)) << "it was received after the receiver had changed";
}

TEST_F(SinkQueueTest, HasNothingDueWhenNothingWaits) {
    EXPECT_EQ(queue.next_due(), base::kNever);
    offer(open_alarm("g1", "a1"));
    pump();
    EXPECT_EQ(queue.next_due(), base::kNever);
}

TEST_F(SinkQueueTest, SendsAboutDifferentGuestsInParallelUpToTheLimit) {
    for (int i = 0; i < 10; ++i)
        offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    int under_way = 0;
    while (queue.next(now))
        ++under_way;
    EXPECT_EQ(under_way, options.parallel);
    EXPECT_EQ(queue.queued(), 10U);
}

TEST_F(SinkQueueTest, SendsOneMessageAtATimeAboutOneGuest) {
    offer(open_alarm("g1", "a1"));
    offer(cleared(open_alarm("g1", "a1")));
    const auto first = queue.next(now);
    ASSERT_TRUE(first);
    EXPECT_FALSE(queue.next(now));
    queue.ended(first->ticket, Outcome::confirmed(), now);
    EXPECT_THAT(pump(), ElementsAre("a1 cleared 2"));
}

TEST_F(SinkQueueTest, WhatCannotHaveArrivedWhenMaintenanceBeginsWaitsForItsEnd) {
    const auto maintained = [this] {
        FilterContext context = this->context();
        context.maintained = Maintained{{}, now + seconds(60)};
        return context;
    };
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    const auto first = queue.next(now);
    const auto second = queue.next(now);
    answer(*first, Answer::unsent);
    answer(*second, Answer::fail);
    for (const char* guest : {"g1", "g2"})
        queue.offer(shared(open_alarm(guest, guest == std::string("g1") ? "a1" : "a2")), maintained());
    now += seconds(10);
    EXPECT_THAT(pump(), ElementsAre("a2 opened 1")) << "that may have arrived";
    EXPECT_TRUE(queue.filter().holds(base::FaultId("a1")));
    now += seconds(60);
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(SinkQueueTest, ANewSinkIsNotToldInMaintenanceWhatAnEarlierPrimaryDelivered) {
    DeliveryOptions fresh;
    fresh.fresh = true;
    SinkQueue new_queue{fresh, std::nullopt, [](const Alarm&) { return std::string(); }, 1};
    FilterContext maintained = context();
    maintained.maintained = Maintained{{}, now + seconds(60)};
    Alarm alarm = open_alarm("g1", "a1");
    alarm.delivered = alarm.revision;
    new_queue.offer(shared(alarm), maintained);
    EXPECT_FALSE(new_queue.next(now));
    EXPECT_TRUE(new_queue.filter().holds(base::FaultId("a1")));
}

TEST_F(SinkQueueTest, WhatIsOverWithinTheMaintenanceThatKeptItBackIsSentToNobody) {
    FilterContext maintained = context();
    maintained.maintained = Maintained{base::WallTime(seconds(1'700'000'100)), now + seconds(60)};
    offer(open_alarm("g1", "a1"));
    pump(Answer::unsent);
    queue.offer(shared(open_alarm("g1", "a1")), maintained);
    queue.offer(shared(cleared(open_alarm("g1", "a1"))), maintained);
    now += seconds(100);
    EXPECT_THAT(pump(), IsEmpty());
}

TEST_F(SinkQueueTest, BacksOffFrom200MsDoublingTo30SForEver) {
    offer(open_alarm("g1", "a1"));
    pump(Answer::fail);
    milliseconds expected(200);
    for (int i = 0; i < 50; ++i) {
        const auto waited = advance_to_due();
        EXPECT_GE(waited, expected * 3 / 4) << "attempt " << i;
        EXPECT_LE(waited, expected) << "attempt " << i;
        EXPECT_THAT(pump(Answer::fail), ElementsAre("a1 opened 1"));
        expected = std::min<milliseconds>(expected * 2, seconds(30));
    }
    EXPECT_EQ(queue.failures_in_a_row(), 51U);
    EXPECT_TRUE(queue.away_since());
}

TEST_F(SinkQueueTest, TriesNoSoonerThanTheReceiverAskedFor) {
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    const auto first = queue.next(now);
    ASSERT_TRUE(first);
    queue.ended(first->ticket, Outcome::retry("HTTP 503", seconds(20)), now);
    pump(Answer::fail);
    EXPECT_GE(advance_to_due(), seconds(20));
    EXPECT_EQ(pump().size(), 2U);
}

TEST_F(SinkQueueTest, WhatTheReceiverAskedForHoldsWhateverElseItAnswers) {
    for (const char* guest : {"g1", "g2", "g3"})
        offer(open_alarm(guest, guest));
    const auto first = queue.next(now);
    const auto second = queue.next(now);
    const auto third = queue.next(now);
    ASSERT_TRUE(first && second && third);
    queue.ended(first->ticket, Outcome::retry("HTTP 500"), now);
    queue.ended(second->ticket, Outcome::retry("HTTP 429", seconds(20)), now);
    queue.ended(third->ticket, Outcome::confirmed(), now);
    EXPECT_THAT(pump(), IsEmpty());
    EXPECT_TRUE(queue.asked_to_wait(now));
    EXPECT_GE(advance_to_due(), seconds(20));
    EXPECT_FALSE(queue.asked_to_wait(now));
    EXPECT_EQ(pump().size(), 2U);
}

TEST_F(SinkQueueTest, AMessageThatIsRefusedForAWhileWaitsAndHoldsUpNoOther) {
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    queue.ended(queue.next(now)->ticket, Outcome::refused("HTTP 413", seconds(20)), now);
    EXPECT_THAT(pump(), ElementsAre("a2 opened 1"));
    EXPECT_GE(advance_to_due(), seconds(20));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(SinkQueueTest, ProbesWithOneMessageWhileTheReceiverIsAway) {
    for (int i = 0; i < 5; ++i)
        offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    EXPECT_EQ(pump(Answer::fail).size(), 1U);
    advance_to_due();
    EXPECT_EQ(pump(Answer::fail).size(), 1U);
    advance_to_due();
    EXPECT_EQ(pump().size(), 5U) << "when it is back everything goes out at once";
    EXPECT_FALSE(queue.away_since());
    EXPECT_EQ(queue.failures_in_a_row(), 0U);
}

TEST_F(SinkQueueTest, AReceiverAnswersOnceItHasAcknowledgedOrRefusedSomething) {
    offer(open_alarm("g1", "a1"));
    EXPECT_FALSE(queue.answers());
    pump(Answer::fail);
    EXPECT_FALSE(queue.answers());
    advance_to_due();
    pump(Answer::refuse);
    EXPECT_TRUE(queue.answers());
    queue.receiver_changed();
    EXPECT_FALSE(queue.answers()) << "it is another one";
    advance_to_due();
    pump();
    EXPECT_TRUE(queue.answers());
}

TEST_F(SinkQueueTest, AReceiverThatHasAnsweredDoesNotAnswerForOneThatHasNot) {
    routes = {{"g1", "here"}, {"g2", "there"}};
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    pump(Answer::confirm, "g2");
    EXPECT_FALSE(queue.answers());
    advance_to_due();
    pump();
    EXPECT_TRUE(queue.answers());
}

TEST_F(SinkQueueTest, CountsTheFailuresOfOneOutageOnce) {
    for (int i = 0; i < 8; ++i)
        offer(open_alarm("g" + std::to_string(i), "a" + std::to_string(i)));
    std::vector<std::uint64_t> tickets;
    while (const auto attempt = queue.next(now))
        tickets.push_back(attempt->ticket);
    now += seconds(5);
    for (const auto ticket : tickets) {
        queue.ended(ticket, Outcome::retry("timeout"), now);
        now += milliseconds(1);
    }
    EXPECT_LE(queue.next_due() - now, milliseconds(200)) << "eight timeouts are one outage, not eight";
}

TEST_F(SinkQueueTest, SendsInOrderWhatCameAndWentWhileTheReceiverWasAway) {
    const Alarm alarm = open_alarm("g1", "a1");
    offer(alarm);
    pump(Answer::fail);
    offer(cleared(alarm));
    advance_to_due();
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1", "a1 cleared 2"));
}

TEST_F(SinkQueueTest, ARefusedMessageDoesNotHoldUpOtherGuests) {
    offer(open_alarm("bad", "b"));
    offer(open_alarm("good", "g"));
    EXPECT_THAT(pump(Answer::confirm, "bad", Answer::refuse), ElementsAre("b opened 1", "g opened 1"));
    EXPECT_FALSE(queue.away_since());
    EXPECT_EQ(queue.stuck_subjects(), 1U);
}

TEST_F(SinkQueueTest, TriesARefusedMessageAgainWithGrowingPauses) {
    offer(open_alarm("bad", "b"));
    pump(Answer::refuse);
    EXPECT_LE(advance_to_due(), milliseconds(200));
    EXPECT_THAT(pump(Answer::refuse), ElementsAre("b opened 1"));
    EXPECT_GT(advance_to_due(), milliseconds(200));
    EXPECT_THAT(pump(), ElementsAre("b opened 1"));
    EXPECT_EQ(queue.stuck_subjects(), 0U);
}

TEST_F(SinkQueueTest, AMessageThatAloneFailsDoesNotHoldUpOtherGuestsForLong) {
    offer(open_alarm("bad", "b"));
    pump(Answer::confirm, "bad");
    offer(open_alarm("g1", "a1"));
    advance_to_due();
    pump(Answer::confirm, "bad");  // a1 arrives, so the receiver is there; b fails again
    now += seconds(1);
    pump(Answer::confirm, "bad");
    offer(open_alarm("g2", "a2"));
    EXPECT_THAT(pump(Answer::confirm, "bad"), ElementsAre("a2 opened 1")) << "only guest bad may wait";
    EXPECT_EQ(queue.stuck_subjects(), 1U);
}

TEST_F(SinkQueueTest, PacesAFlappingGuestAndGetsItsLastStateRight) {
    std::vector<std::string> lines;
    const auto collect = [&] {
        for (const auto& text : pump())
            lines.push_back(text);
    };
    for (int i = 0; i < 1000; ++i) {  // 100 s of flapping, ten times a second
        const Alarm alarm = open_alarm("flapper", "a" + std::to_string(i));
        offer(alarm);
        collect();
        offer(cleared(alarm));
        now += milliseconds(100);
        collect();
    }
    offer(open_alarm("flapper", "last"));
    EXPECT_LE(lines.size(), 121U) << "20 at once and one each second";
    while (advance_to_due() >= milliseconds(0))
        collect();
    EXPECT_LE(lines.size(), 135U);
    EXPECT_EQ(lines.back(), "last opened 1");
    EXPECT_EQ(queue.queued(), 0U);
}

TEST_F(SinkQueueTest, AFlappingGuestDoesNotSlowOthers) {
    for (int i = 0; i < 50; ++i) {
        offer(cleared(open_alarm("flapper", "f" + std::to_string(i))));
        pump();
    }
    offer(open_alarm("g1", "a1"));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(SinkQueueTest, ReportsWhatWasAcknowledgedToBeKept) {
    offer(open_alarm("g1", "a1"));
    EXPECT_THAT(queue.take_changes(), IsEmpty());
    pump();
    const auto changes = queue.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].acked, (Acked{Acked::Phase::open, 1}));
    EXPECT_THAT(queue.take_changes(), IsEmpty());
}

TEST_F(SinkQueueTest, SendsTheClearOfWhatWasRaisedBeforeARestart) {
    queue.restore(shared(open_alarm("g1", "a1")), {Acked::Phase::open, 1}, context());
    offer(cleared(open_alarm("g1", "a1")));
    EXPECT_THAT(pump(), ElementsAre("a1 cleared 2"));
}

TEST_F(SinkQueueTest, AnAttemptOfAnErasedAlarmEndsQuietly) {
    offer(open_alarm("g1", "a1"));
    const auto attempt = queue.next(now);
    queue.erase(open_alarm("g1", "a1"));
    queue.ended(attempt->ticket, Outcome::retry("HTTP 503"), now);
    while (advance_to_due() >= milliseconds(0))
        EXPECT_THAT(pump(), IsEmpty());
    EXPECT_EQ(queue.queued(), 0U);
}

TEST_F(SinkQueueTest, IgnoresAnAnswerToAnAttemptThatHasEnded) {
    offer(open_alarm("g1", "a1"));
    const auto attempt = queue.next(now);
    queue.ended(attempt->ticket, Outcome::confirmed(), now);
    queue.ended(attempt->ticket, Outcome::retry("late"), now);
    EXPECT_EQ(queue.failures_in_a_row(), 0U);
    EXPECT_EQ(queue.queued(), 0U);
}

TEST_F(SinkQueueTest, DropsGuestsThatHaveNothingLeftToSend) {
    for (int i = 0; i < 5000; ++i) {
        const Alarm alarm = open_alarm("g" + std::to_string(i), "a" + std::to_string(i));
        offer(cleared(alarm));
        pump();
        queue.erase(cleared(alarm));
        now += seconds(1);
    }
    EXPECT_LE(queue.subjects(), 2048U);
}

Alarm of_host(const std::string& host, const std::string& guest, const std::string& severity = "critical") {
    Alarm alarm = open_alarm(guest, "of-" + guest);
    alarm.host = base::HostId(host);
    alarm.severity = severity;
    return alarm;
}

TEST_F(SinkQueueTest, OneHostsFloodHoldsUpOnlyItself) {
    for (int i = 0; i < 1000; ++i)
        offer(of_host("evil", "e" + std::to_string(i)));
    offer(of_host("good", "g1"));
    std::size_t before = 0;
    while (const auto attempt = queue.next(now)) {
        if (attempt->event.alarm.host.str() == "good") break;
        ++before;
        queue.ended(attempt->ticket, Outcome::confirmed(), now);
    }
    EXPECT_LE(before, 1U);
}

TEST_F(SinkQueueTest, CriticalGoesBeforeNotes) {
    offer(of_host("h1", "n1", "warning"));
    offer(of_host("h1", "n2", "major"));
    offer(of_host("h1", "c1", "critical"));
    EXPECT_THAT(pump(), ElementsAre("of-c1 opened 1", "of-n1 opened 1", "of-n2 opened 1"));
}

TEST_F(SinkQueueTest, ANoteThatGetsCriticalCompanyIsPreferredToo) {
    offer(of_host("h1", "n1", "warning"));
    offer(of_host("h1", "n2", "warning"));
    Alarm worse = of_host("h1", "n2", "critical");
    worse.id = base::FaultId("worse");
    worse.kind = "vm_crashed";
    offer(worse);
    EXPECT_THAT(pump(), ElementsAre("of-n2 opened 1", "worse opened 1", "of-n1 opened 1"));
    EXPECT_EQ(queue.queued(), 0U);
}

TEST_F(SinkQueueTest, WhatIsSkippedIsSettledAndNotAcknowledged) {
    const Alarm alarm = open_alarm("g1", "a1");
    offer(alarm);
    queue.ended(queue.next(now)->ticket, Outcome::skipped("no uuid"), now);
    EXPECT_TRUE(queue.settled(alarm));
    EXPECT_FALSE(queue.acknowledged(alarm));
    EXPECT_EQ(queue.view(alarm).state, DeliveryView::State::skipped);
    EXPECT_EQ(queue.view(alarm).last_error, "no uuid");
    const auto changes = queue.take_changes();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].acked, (Acked{Acked::Phase::open, 1, "no uuid"})) << "also after a restart";
    EXPECT_TRUE(queue.resend(alarm)) << "when the receiver has a use for it now";
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
    EXPECT_TRUE(queue.acknowledged(alarm));
}

TEST_F(SinkQueueTest, ASkippedUpdateOrClearLeavesTheRaiseAcknowledged) {
    offer(open_alarm("g1", "a1"));
    pump();
    offer(open_alarm("g1", "a1", 2));
    queue.ended(queue.next(now)->ticket, Outcome::skipped("no updates"), now);
    EXPECT_EQ(queue.view(open_alarm("g1", "a1")).state, DeliveryView::State::acknowledged);
    EXPECT_TRUE(queue.acknowledged(open_alarm("g1", "a1", 2)));
}

TEST_F(SinkQueueTest, WhatIsPostponedIsNoFailure) {
    offer(open_alarm("g1", "a1"));
    queue.ended(queue.next(now)->ticket, Outcome::later("recovering", milliseconds(5000)), now);
    EXPECT_EQ(queue.stuck_subjects(), 0U);
    EXPECT_FALSE(queue.away_since());
    EXPECT_EQ(queue.view(open_alarm("g1", "a1")).last_error, "recovering");
    EXPECT_EQ(queue.view(open_alarm("g1", "a1")).attempts, 0U);
    EXPECT_EQ(advance_to_due(), milliseconds(5000));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(SinkQueueTest, AReceiverThatIsAnotherNowGetsAtOnceWhatFailed) {
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    pump(Answer::fail);
    ASSERT_TRUE(queue.away_since());
    EXPECT_THAT(pump(), IsEmpty());
    queue.receiver_changed();
    EXPECT_FALSE(queue.away_since());
    EXPECT_EQ(queue.last_error(), "");
    EXPECT_THAT(pump(), ::testing::UnorderedElementsAre("a1 opened 1", "a2 opened 1"));
}

TEST_F(SinkQueueTest, NewPoliciesConcernWhatHasNotPassed) {
    offer(open_alarm("g1", "a1"));
    pump();
    Policy policy;
    policy.kinds = {"no_such_kind"};
    queue.set_policies(std::vector<Policy>{policy});
    offer(open_alarm("g2", "a2"));
    EXPECT_THAT(pump(), IsEmpty());
    offer(cleared(open_alarm("g1", "a1")));
    EXPECT_THAT(pump(), ElementsAre("a1 cleared 2")) << "a raise that was sent gets its clear";
    queue.set_policies(std::nullopt);
    offer(open_alarm("g2", "a2"));
    EXPECT_THAT(pump(), ElementsAre("a2 opened 1"));
}

TEST_F(SinkQueueTest, NewLimitsCountFromTheNextMessage) {
    DeliveryOptions one = options;
    one.parallel = 1;
    queue.set_limits(one);
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    ASSERT_TRUE(queue.next(now));
    EXPECT_FALSE(queue.next(now));
}

}  // namespace
}  // namespace vitalwire::controller
