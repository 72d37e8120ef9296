#include "controller/alarms/alarm_manager.hpp"

#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Sink "a" can be asked what it shows.
class ReconcileTest : public AlarmManagerTest {
protected:
    void SetUp() override {
        receipts["a"].reconcile = base::Millis(1);
        start({"a", "b"});
        agent_up();
    }
    /// What it was asked earlier is not about what the test has done since.
    void ask() {
        receipts["a"].asked.clear();
        ASSERT_TRUE(loop.until([&] { return !receipts["a"].asked.empty(); }));
    }
    void shows(const Sink::Shown& shown) {
        const auto listed = std::move(receipts["a"].asked.front());
        receipts["a"].asked.clear();
        listed(shown);
        loop.poll();
        receipts["a"].asked.clear();
    }
    static ShownAlarm as_shown(const Fault& fault) {
        return {fault.guest, std::string(model::to_string(fault.kind)), fault.id};
    }
    void raise_and_clear(const Fault& fault) {
        report(fault);
        report(cleared(fault));
        drop_lines();
    }
    void drop_lines() {
        take("a");
        take("b");
    }
};

TEST_F(ReconcileTest, RaisesAgainWhatTheReceiverLost) {
    report(f1);
    drop_lines();
    ask();
    shows({});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("b"), IsEmpty());
    ask();
    shows({{as_shown(f1)}});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, WhatIsToBeRaisedAgainOutlivesARestart) {
    report(f1);
    receipts["a"].hold = true;
    ask();
    shows({});
    receipts["a"].hold = false;
    receipts["a"].asked.clear();
    restart({"a", "b"});
    agent_up();
    snapshot({f1});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(take("b"), IsEmpty());
}

TEST_F(ReconcileTest, ClearsAgainWhatTheReceiverStillShows) {
    raise_and_clear(f1);
    ask();
    shows({{as_shown(f1)}});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    EXPECT_THAT(take("b"), IsEmpty());
    EXPECT_TRUE(alarms->table().all().empty());
    EXPECT_NE(alarms->history().find(f1.id), nullptr);
    ask();
    shows({});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, ClearsAgainAlsoAfterARestartAndAsAStandby) {
    raise_and_clear(f1);
    receipts["a"].asked.clear();
    restart({"a", "b"});
    agent_up(false);
    ask();
    receipts["a"].hold = true;
    shows({{as_shown(f1)}});
    receipts["a"].hold = false;
    receipts["a"].asked.clear();
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    receipts["a"].held.clear();
    restart({"a", "b"});
    agent_up(false);
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2")) << "it was not confirmed before the restart";
}

TEST_F(ReconcileTest, WhatChangesWhileItAsksIsNotCompared) {
    report(f1);
    drop_lines();
    ask();
    report(cleared(f1));
    const Fault f2 = open_fault("g2", "f2");
    report(f2);
    drop_lines();
    shows({{as_shown(f1)}});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, LeavesUnknownAlarmsAlone) {
    ask();
    shows({{as_shown(open_fault("g9", "f9"))}});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, DoesNotClearWhatANewerFaultHasTakenOver) {
    raise_and_clear(f1);
    const Fault f2 = open_fault("g1", "f2");
    report(f2);
    drop_lines();
    ask();
    shows({{as_shown(f1)}});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, DoesNotRaiseForAnotherPrimary) {
    report(f1);
    drop_lines();
    set_primary(false);
    ask();
    shows({});
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(ReconcileTest, AReceiverThatDoesNotSayChangesNothing) {
    report(f1);
    drop_lines();
    ask();
    shows(tl::make_unexpected(Outcome::retry("HTTP 503")));
    EXPECT_THAT(take("a"), IsEmpty());
    ASSERT_EQ(problems.list().size(), 1U);
    EXPECT_EQ(problems.list()[0].what, "sink a cannot be compared with its receiver");
    ask();
    shows({{as_shown(f1)}});
    EXPECT_TRUE(problems.empty());
}

TEST_F(ReconcileTest, ARefreshIsNoLoss) {
    report(f1);
    drop_lines();
    ask();
    ShownAlarm soon = as_shown(f1);
    soon.ends_soon = true;
    shows({{soon}});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(metrics->text(), HasSubstr("sink_resent_total{event=\"opened\",sink=\"a\"} 0"));
    ask();
    shows({});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_THAT(metrics->text(), HasSubstr("sink_resent_total{event=\"opened\",sink=\"a\"} 1"));
}

TEST_F(ReconcileTest, WhatTheReceiverHasNoUseForIsNotMissed) {
    receipts["a"].answer = Outcome::skipped("no server of Nova's");
    report(f1);
    drop_lines();
    for (int i = 0; i < 3; ++i) {
        ask();
        shows({});
        EXPECT_THAT(take("a"), IsEmpty());
    }
    restart({"a", "b"});
    agent_up();
    snapshot({f1});
    EXPECT_EQ(alarms->view(*alarms->sinks().at(0), *alarms->table().find(f1.id)).state, DeliveryView::State::skipped);
}

TEST_F(AlarmManagerTest, AnEndThatAnotherPrimaryHasDeliveredIsNotSentAgain) {
    receivers["a"] = "doctor http://one/";
    receivers["b"] = "doctor http://two/";
    start({"a", "b"});
    agent_up(false);
    report(f1);
    const auto at = [this](const std::string& sink, const std::string& detail) {
        return JournalEntry{wall, "acknowledged", sink, detail};
    };
    alarms->merge_journal(f1.id, "ctl-2",
                          {{at("a", "opened at doctor http://one/"), at("a", "cleared at doctor http://one/"),
                            at("b", "cleared at doctor http://elsewhere/")}});
    set_primary(true);
    report(cleared(f1));
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(take("b"), ElementsAre("f1 opened 1", "f1 cleared 2")) << "the other one's is another receiver";
    EXPECT_THAT(confirmed, ::testing::Contains("f1 2"));
}

}  // namespace
}  // namespace vitalwire::controller
