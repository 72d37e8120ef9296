// A sink whose messages go to several addresses.
#include "tests/unit/controller/delivery/sink_queue_fixture.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(SinkQueueTest, AnAddressThatHangsHoldsUpOnlyWhatGoesToIt) {
    for (int i = 0; i < 20; ++i) {
        const std::string number = std::to_string(i);
        routes["hung" + number] = "10.0.0.1:9890";
        offer(open_alarm("hung" + number, "h" + number));
    }
    int under_way = 0;
    while (queue.next(now))
        ++under_way;
    EXPECT_EQ(under_way, options.parallel) << "none of which is answered";
    routes["g1"] = "10.0.0.2:9890";
    offer(open_alarm("g1", "a1"));
    EXPECT_THAT(pump(), ElementsAre("a1 opened 1"));
}

TEST_F(SinkQueueTest, AnAddressThatIsAwayIsProbedForItself) {
    routes = {{"g1", "one"}, {"g2", "two"}, {"g3", "one"}};
    offer(open_alarm("g1", "a1"));
    pump(Answer::fail);
    offer(open_alarm("g3", "a3"));
    EXPECT_THAT(pump(), IsEmpty()) << "its receiver is away";
    offer(open_alarm("g2", "a2"));
    EXPECT_THAT(pump(), ElementsAre("a2 opened 1"));
    EXPECT_TRUE(queue.away_since()) << "the success of another address does not count for it";
    advance_to_due();
    EXPECT_EQ(pump().size(), 2U);
    EXPECT_FALSE(queue.away_since());
}

TEST_F(SinkQueueTest, ASubjectThatIsTriedAgainIsStuckAllTheWhile) {
    offer(open_alarm("bad", "b"));
    pump(Answer::refuse);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(queue.stuck_subjects(), 1U);
        advance_to_due();
        const auto attempt = queue.next(now);
        ASSERT_TRUE(attempt);
        EXPECT_EQ(queue.stuck_subjects(), 1U) << "under way";
        queue.ended(attempt->ticket, Outcome::refused("HTTP 400"), now);
    }
    queue.erase(open_alarm("bad", "b"));
    EXPECT_EQ(queue.stuck_subjects(), 0U);
}

TEST_F(SinkQueueTest, AReceiverIsNotAwayWhenNothingIsToBeSentToIt) {
    offer(open_alarm("g1", "a1"));
    pump(Answer::unsent);
    ASSERT_TRUE(queue.away_since());
    queue.withdraw(open_alarm("g1", "a1"));
    EXPECT_FALSE(queue.away_since());
    EXPECT_FALSE(queue.answers()) << "nothing has shown that";
}

TEST_F(SinkQueueTest, AReceiverIsNotAwayWhenTheLastMessageFailsThatNobodyWantsSent) {
    offer(open_alarm("g1", "a1"));
    const auto attempt = queue.next(now);
    queue.withdraw(open_alarm("g1", "a1"));
    answer(*attempt, Answer::unsent);
    EXPECT_EQ(queue.queued(), 0U);
    EXPECT_FALSE(queue.away_since());
}

TEST_F(SinkQueueTest, AReceiverWithAnotherAddressStaysAway) {
    routes = {{"g1", "a"}, {"g2", "b"}};
    offer(open_alarm("g1", "a1"));
    offer(open_alarm("g2", "a2"));
    pump(Answer::unsent);
    queue.withdraw(open_alarm("g1", "a1"));
    EXPECT_TRUE(queue.away_since());
}

}  // namespace
}  // namespace vitalwire::controller
