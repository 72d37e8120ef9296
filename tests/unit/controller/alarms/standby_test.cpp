#include "controller/alarms/alarm_manager.hpp"
#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(AlarmManagerTest, AStandbyShowsWhatItsPeerHasDelivered) {
    start();
    agent_up(false);
    report(f1);
    const auto view = [&] { return alarms->view(*alarms->sinks().at(0), *alarms->table().find(f1.id)).state; };
    EXPECT_EQ(view(), DeliveryView::State::pending_at_peer);
    Fault delivered = f1;
    delivered.delivered = f1.revision;
    report(delivered);
    EXPECT_EQ(view(), DeliveryView::State::acknowledged_by_peer);
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(AlarmManagerTest, AStandbysSinkThatItsPeerDoesNotHaveIsNotAcknowledged) {
    start();
    agent_up(false);
    Fault delivered = f1;
    delivered.delivered = f1.revision;
    report(delivered);
    const auto view = [&] { return alarms->view(*alarms->sinks().at(0), *alarms->table().find(f1.id)).state; };
    Journal::Part peers;
    peers.entries.push_back({{}, kAcknowledgedEntry, "of the peer only", "opened"});
    alarms->merge_journal(f1.id, "other", peers);
    EXPECT_EQ(view(), DeliveryView::State::pending_at_peer);
    peers.entries.push_back({{}, kAcknowledgedEntry, "a", "opened"});
    alarms->merge_journal(f1.id, "other", peers);
    EXPECT_EQ(view(), DeliveryView::State::acknowledged_by_peer);
}

/// The other controller was primary, had a sink that this one has not, or has under this name for another receiver, and
/// is gone.
class TakeoverTest : public AlarmManagerTest {
protected:
    void take_over(const std::string& sink, const std::string& detail) {
        receivers["a"] = "http://a";
        start();
        restart();  // the sink is not a new one
        agent_up(false);
        told_.delivered = f1.revision;
        report(told_);
        Journal::Part journal;
        journal.entries.push_back({{}, kAcknowledgedEntry, sink, detail, 1, {}, f1.revision});
        alarms->merge_journal(f1.id, "other", journal);
        set_primary(true);
        alarms->adopt(kHost);
        snapshot({told_});
    }
    Fault told_ = f1;
};

TEST_F(TakeoverTest, ASinkThatTheOtherControllerHadNotIsToldWhatIsOpen) {
    take_over("b", "opened at http://b");
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

TEST_F(TakeoverTest, ASinkThatHadAnotherReceiverThereIsToldWhatIsOpen) {
    take_over("a", "opened at http://elsewhere");
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

/// The same, and no peer has told this controller of its journal.
class TakeoverWithoutPeersTest : public AlarmManagerTest {
protected:
    void take_over(std::optional<std::vector<std::string>> delivered_to) {
        receivers["a"] = "http://a";
        start();
        restart();  // the sink is not a new one
        agent_up(false);
        report(f1);
        told_.delivered = f1.revision;
        told_.delivered_to = std::move(delivered_to);
        report(told_);
        shown_ = alarms->view(*alarms->sinks().at(0), *alarms->table().find(f1.id)).state;
        set_primary(true);
        report(told_);
    }
    Fault told_ = f1;
    DeliveryView::State shown_ = DeliveryView::State::queued;
};

TEST_F(TakeoverWithoutPeersTest, ASinkThatTheOtherControllerHadNotIsToldWhatIsOpen) {
    take_over({{mark_of({"b", "http://b"})}});
    EXPECT_EQ(shown_, DeliveryView::State::pending_at_peer);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

TEST_F(TakeoverWithoutPeersTest, ASinkThatHadAnotherReceiverThereIsToldWhatIsOpen) {
    take_over({{mark_of({"a", "http://elsewhere"})}});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

TEST_F(TakeoverWithoutPeersTest, ASinkThatTheOtherControllersPolicyDidNotNotifyIsToldWhatIsOpen) {
    take_over({{}});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

TEST_F(TakeoverWithoutPeersTest, TheSameSinkIsNotToldAgain) {
    take_over({{mark_of({"b", "http://b"}), mark_of({"a", "http://a"})}});
    EXPECT_EQ(shown_, DeliveryView::State::acknowledged_by_peer);
    EXPECT_THAT(take("a"), IsEmpty());
    report(cleared(told_));
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
}

TEST_F(TakeoverWithoutPeersTest, OfAnEarlierReleaseWhatItKnowsIsBelieved) {
    take_over(std::nullopt);
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(TakeoverWithoutPeersTest, ASinkThatAPeersJournalHasIsNotToldAgain) {
    Journal::Part journal;
    journal.entries.push_back({{}, kAcknowledgedEntry, "a", "opened at http://a", 1, {}, f1.revision});
    receivers["a"] = "http://a";
    start();
    restart();
    agent_up(false);
    report(f1);
    alarms->merge_journal(f1.id, "other", journal);
    told_.delivered = f1.revision;
    told_.delivered_to.emplace();
    set_primary(true);
    report(told_);
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(AlarmManagerTest, NamesToTheAgentTheReceiversThatHaveAFaultAndNoOther) {
    policies["b"] = {Policy{}};
    policies["b"]->front().kinds = {"vm_crashed"};
    start({"a", "b"});
    agent_up();
    report(f1);
    EXPECT_THAT(confirmed_to, testing::Optional(ElementsAre(mark_of({"a"}))));
}

TEST_F(AlarmManagerTest, ASinkWhosePolicyKeptAFaultBackIsToldWhenItDoesNotAfterARestart) {
    policies["b"] = {Policy{}};
    policies["b"]->front().kinds = {"vm_crashed"};
    start({"a", "b"});
    agent_up();
    report(f1);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("b"), IsEmpty());
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    policies.clear();
    restart({"a", "b"});
    agent_up();
    Fault delivered = f1;
    delivered.delivered = f1.revision;
    snapshot({delivered});
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(TakeoverTest, TheSameSinkIsNotToldAgain) {
    take_over("a", "opened at http://a");
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(TakeoverTest, OfWhatIsOverByThenASinkIsToldTheEndThoughTheJournalDoesNotHaveItsRaiseYet) {
    told_ = cleared(f1);
    take_over("b", "opened at http://b");
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
}

}  // namespace
}  // namespace vitalwire::controller
