#include "controller/alarms/alarm_manager.hpp"

#include "tests/unit/controller/alarms/alarm_manager_fixture.hpp"

namespace vitalwire::controller {
namespace {

using model::Fault;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(AlarmManagerTest, DeliversAFaultAtOnceAndAcknowledgesItToTheAgent) {
    start();
    agent_up();
    alarms->report(kHost, {f1}, wall);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1")) << "before the loop, and so the disk, had a chance";
    loop.poll();
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
    report(cleared(f1));
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    EXPECT_THAT(confirmed, ElementsAre("f1 1", "f1 2"));
}

TEST_F(AlarmManagerTest, ConfirmsOnlyWhenEverySinkHasIt) {
    start({"a", "b"});
    receipts["b"].hold = true;
    agent_up();
    report(f1);
    EXPECT_THAT(confirmed, IsEmpty());
    receipts["b"].held.at(0)(Outcome::confirmed());
    loop.poll();
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerTest, DoesNotConfirmANewRevisionThatASinkHasNotSeen) {
    start({"a", "b"});
    agent_up();
    report(f1);
    receipts["b"].hold = true;
    report(updated(f1, "late"));
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerTest, AFaultThatIsOverAndDeliveredMovesToTheHistory) {
    start();
    agent_up();
    report(f1);
    report(cleared(f1));
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
    ASSERT_NE(alarms->history().find(f1.id), nullptr);
    EXPECT_TRUE(alarms->history().find(f1.id)->delivered);
}

TEST_F(AlarmManagerTest, AnOrphanedReportCountsOnlyIfNothingNewerIsKnown) {
    start();
    agent_up();
    alarms->report_orphaned(kHost, {f1}, wall);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    report(updated(f1, "late"));
    take("a");
    alarms->report_orphaned(kHost, {f1}, wall);
    EXPECT_THAT(take("a"), IsEmpty()) << "it is open, and was updated since";
    Fault over = cleared(f1);
    over.revision = 3;
    report(over);
    take("a");
    alarms->report_orphaned(kHost, {f1, updated(f1, "late"), over}, wall);
    EXPECT_THAT(take("a"), IsEmpty()) << "it is over";
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
}

TEST_F(AlarmManagerTest, KeepsAFaultThatIsOverUntilItIsDelivered) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    report(cleared(f1));
    EXPECT_NE(alarms->table().find(f1.id), nullptr);
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return alarms->history().find(f1.id) != nullptr; }));
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1", "f1 opened 1", "f1 cleared 2"));
}

TEST_F(AlarmManagerTest, AcknowledgesAgainWhatTheAgentDidNotReceive) {
    start();
    agent_up();
    report(f1);
    report(cleared(f1));
    take("a");
    confirmed.clear();
    agent_up();
    snapshot({cleared(f1)});
    EXPECT_THAT(confirmed, ElementsAre("f1 2"));
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(AlarmManagerTest, ClearsWhatTheAgentNoLongerHas) {
    start();
    agent_up();
    report(f1);
    take("a");
    agent_down();
    agent_up();
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(alarms->history().find(f1.id)->tracked.fault.clear_reason, kForgotten);
}

TEST_F(AlarmManagerTest, ClearsNothingBecauseAnAgentIsAway) {
    start();
    agent_up();
    report(f1);
    take("a");
    agent_down();
    loop.poll();
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_TRUE(alarms->table().find(f1.id)->fault.open());
}

TEST_F(AlarmManagerTest, GoesOnDeliveringWhileTheAgentIsAway) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    agent_down();
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return receipts["a"].lines.size() == 2; }));
    agent_up();
    confirmed.clear();
    snapshot({f1});
    EXPECT_THAT(confirmed, ElementsAre("f1 1")) << "the agent receives it when it is back";
    EXPECT_EQ(receipts["a"].lines.size(), 2U);
}

TEST_F(AlarmManagerTest, DeliversNothingOfAnAgentThatNamedAnotherPrimary) {
    start();
    agent_up(false);
    report(f1);
    EXPECT_TRUE(alarms->table().find(f1.id)->fault.open()) << "but knows of it";
    report(cleared(f1));
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(confirmed, IsEmpty());
    EXPECT_FALSE(alarms->history().find(f1.id)->delivered);
}

TEST_F(AlarmManagerTest, ANewPrimaryDeliversWhatTheAgentHandsIt) {
    start();
    agent_up(false);
    report(f1);
    report(cleared(f1));
    set_primary(true);
    report(cleared(f1));
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1", "f1 cleared 2"));
    EXPECT_THAT(confirmed, ElementsAre("f1 2"));
}

TEST_F(AlarmManagerTest, ANewPrimaryDoesNotRepeatWhatTheOldOneDelivered) {
    start();
    restart();  // the second start knows its sink, so it is not a new one
    agent_up();
    Fault delivered = f1;
    delivered.delivered = 1;
    snapshot({delivered});
    EXPECT_THAT(take("a"), IsEmpty());
    delivered = cleared(delivered);
    report(delivered);
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
}

TEST_F(AlarmManagerTest, WhoIsNoLongerPrimaryDropsWhatWaits) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    set_primary(false);
    receipts["a"].answer = Outcome::confirmed();
    take("a");
    EXPECT_FALSE(loop.until([&] { return !receipts["a"].lines.empty(); }, std::chrono::milliseconds(400)));
    EXPECT_EQ(alarms->sinks().at(0)->queue().queued(), 0U);
}

TEST_F(AlarmManagerTest, WhoIsNoLongerPrimaryClearsWhatItRaised) {
    start();
    agent_up();
    report(f1);
    take("a");
    confirmed.clear();
    agent_down();
    agent_up(false);
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2")) << "its raise may have come after the new primary's clear";
    EXPECT_THAT(confirmed, IsEmpty());
    EXPECT_FALSE(alarms->history().find(f1.id)->delivered);
}

TEST_F(AlarmManagerTest, EndsWhatIsOverWhenItsAgentWillNotSpeakOfItAgain) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    report(cleared(f1));
    receipts["a"].answer = Outcome::confirmed();
    restart();
    agent_up();
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1", "f1 cleared 2"));
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
}

TEST_F(AlarmManagerTest, WhoBecomesPrimaryAgainEndsWhatItsAgentNoLongerHas) {
    start();
    agent_up();
    report(f1);
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up(false);
    snapshot({});
    set_primary(true);
    EXPECT_NE(alarms->table().find(f1.id), nullptr);
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return alarms->table().find(f1.id) == nullptr; }));
    EXPECT_EQ(take("a").back(), "f1 cleared 2");
}

TEST_F(AlarmManagerTest, ClearsAfterARestartWhatItMayHaveRaisedBefore) {
    start();
    receipts["a"].hold = true;
    agent_up();
    report(f1);
    receipts["a"].hold = false;
    restart();
    agent_up(false);
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
}

TEST_F(AlarmManagerTest, NamesInAClearWhatAnotherPrimaryHasRaised) {
    start();
    agent_up();
    report(f1);
    take("a");
    restart();
    agent_up(false);
    model::Fault later = f1;
    later.id = base::FaultId("f2");
    snapshot({later});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    EXPECT_THAT(receipts["a"].events.back().others_open, ElementsAre("heartbeat_lost"));
}

TEST_F(AlarmManagerTest, RefusesFaultsOfAnotherHost) {
    start();
    agent_up();
    report(f1);
    const auto refused = alarms->report(base::HostId("compute-2"), {cleared(f1)}, wall);
    ASSERT_EQ(refused.size(), 1U);
    EXPECT_THAT(refused[0].error.message, HasSubstr("belongs to the agent of compute-1"));
    EXPECT_TRUE(alarms->table().find(f1.id)->fault.open());
}

TEST_F(AlarmManagerTest, RepeatsNothingAfterARestart) {
    start();
    agent_up();
    report(f1);
    restart();
    agent_up();
    snapshot({f1});
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerTest, SendsTheClearOfWhatWasRaisedBeforeARestart) {
    start();
    agent_up();
    report(f1);
    restart();
    agent_up();
    snapshot({});
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
}

TEST_F(AlarmManagerTest, DeliversAfterARestartWhatWasNotAcknowledgedBefore) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    receipts["a"].answer = Outcome::confirmed();
    restart();
    agent_up();
    snapshot({cleared(f1)});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1", "f1 cleared 2"));
}

TEST_F(AlarmManagerTest, WaitsAfterARestartForTheAgentButNotForEver) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    receipts["a"].answer = Outcome::confirmed();
    restart({"a"}, std::chrono::seconds(10));
    EXPECT_EQ(alarms->next_due(), now + std::chrono::seconds(10));
    alarms->tick(now + std::chrono::milliseconds(9999));
    EXPECT_THAT(take("a"), IsEmpty());
    alarms->tick(now + std::chrono::seconds(10));
    EXPECT_EQ(alarms->next_due(), base::kNever);
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
}

TEST_F(AlarmManagerTest, LeavesAfterARestartTheFaultsOfAnotherPrimaryAlone) {
    start();
    agent_up(false);
    report(f1);
    restart({"a"}, std::chrono::seconds(10));
    alarms->tick(now + std::chrono::seconds(10));
    loop.poll();
    EXPECT_THAT(take("a"), IsEmpty());
}

TEST_F(AlarmManagerTest, ClearsAfterARestartWhatHadEndedOfAHostThatDoesNotComeBack) {
    start();
    agent_up();
    report(f1);
    receipts["a"].answer = Outcome::retry("HTTP 503");
    report(cleared(f1));
    agent_up(false);
    take("a");
    receipts["a"].answer = Outcome::confirmed();
    restart({"a"}, std::chrono::seconds(10));
    alarms->tick(now + std::chrono::seconds(10));
    loop.poll();
    EXPECT_THAT(take("a"), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
}

TEST_F(AlarmManagerTest, NotifiesANewSinkOfTheFaultsThatAreOpen) {
    start();
    agent_up();
    report(f1);
    restart({"a", "new"});
    agent_up();
    Fault delivered = f1;
    delivered.delivered = 1;
    snapshot({delivered});
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(take("new"), ElementsAre("f1 opened 1"));
}

TEST_F(AlarmManagerTest, AReceiverThatIsAnotherSinceIsNotifiedOfTheFaultsThatAreOpen) {
    receivers["a"] = "http://one/";
    start();
    agent_up();
    report(f1);
    Fault delivered = f1;
    delivered.delivered = 1;
    receivers["a"] = "http://two/";
    receipts["a"].answer = Outcome::retry("HTTP 503");
    restart();
    agent_up();
    snapshot({delivered});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1"));
    EXPECT_NE(alarms->find_sink("a")->queue().view(to_alarm(*alarms->table().find(f1.id))).state,
              DeliveryView::State::acknowledged);
    receipts["a"].answer = Outcome::confirmed();
    restart();
    agent_up();
    snapshot({delivered});
    EXPECT_THAT(take("a"), ElementsAre("f1 opened 1")) << "also when it was away until the next start";
    restart();
    agent_up();
    snapshot({delivered});
    EXPECT_THAT(take("a"), IsEmpty());
    std::vector<std::string> told;
    for (const JournalEntry& entry : alarms->journal().find(f1.id)->entries) {
        if (entry.sink == "a") told.push_back(entry.what + ' ' + entry.detail);
    }
    EXPECT_THAT(told, ElementsAre("acknowledged opened at http://one/", "receiver changed was http://one/",
                                  "failed opened: HTTP 503", "acknowledged opened at http://two/"));
}

TEST_F(AlarmManagerTest, AReceiverThatIsAnotherIsNotToldOfTheEndOfWhatItNeverGot) {
    receivers["a"] = "http://one/";
    start();
    agent_up();
    report(f1);
    receipts["a"].answer = Outcome::retry("HTTP 503");
    report(cleared(f1));
    receivers["a"] = "http://two/";
    receipts["a"].answer = Outcome::confirmed();
    restart();
    agent_up();
    snapshot({cleared(f1)});
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_EQ(alarms->table().find(f1.id), nullptr);
}

TEST_F(AlarmManagerTest, ASinkThatIsNoLongerConfiguredHoldsNothingUp) {
    start({"a", "old"});
    receipts["old"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    restart({"a"});
    agent_up();
    snapshot({f1});
    EXPECT_THAT(confirmed, ElementsAre("f1 1"));
}

TEST_F(AlarmManagerTest, KeepsTheHistoryOverARestart) {
    start();
    agent_up();
    report(f1);
    report(cleared(f1));
    restart();
    ASSERT_NE(alarms->history().find(f1.id), nullptr);
    agent_up();
    snapshot({cleared(f1)});
    EXPECT_THAT(take("a"), IsEmpty());
    EXPECT_THAT(confirmed, ElementsAre("f1 2"));
}

TEST_F(AlarmManagerTest, RaisesNothingAgainForAnAgentThatDiedBeforeItHadKeptTheClear) {
    start();
    agent_up();
    report(f1);
    report(cleared(f1));
    take("a");
    agent_up();
    snapshot({f1});
    EXPECT_THAT(take("a"), IsEmpty());
    const auto newer = alarms->take_outdated(kHost);
    ASSERT_THAT(newer, SizeIs(1)) << "from there its agent judges the guest";
    EXPECT_FALSE(newer.front().open());
    EXPECT_THAT(alarms->take_outdated(kHost), IsEmpty());
}

TEST_F(AlarmManagerTest, ShowsASinkThatCannotDeliverAsAProblemUntilItCan) {
    start();
    receipts["a"].answer = Outcome::retry("HTTP 503");
    agent_up();
    report(f1);
    ASSERT_EQ(problems.list().size(), 1U);
    EXPECT_EQ(problems.list()[0].what, "sink a cannot deliver");
    EXPECT_EQ(problems.list()[0].detail, "HTTP 503");
    EXPECT_EQ(alarms->sinks().at(0)->state(), "retrying");
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return problems.empty(); }));
    EXPECT_EQ(alarms->sinks().at(0)->state(), "ok");
}

TEST_F(AlarmManagerTest, CountsWhatHappens) {
    start();
    receipts["a"].answer = Outcome::refused("HTTP 400");
    agent_up();
    report(f1);
    EXPECT_EQ(alarms->opened(model::FaultKind::heartbeat_lost), 1);
    EXPECT_EQ(alarms->table().open_of_kind(model::FaultKind::heartbeat_lost), 1);
    EXPECT_THAT(metrics->text(), HasSubstr("vitalwire_controller_sink_queued{sink=\"a\"} 1"));
    EXPECT_THAT(metrics->text(), HasSubstr("vitalwire_controller_sink_retrying{sink=\"a\"} 1"));
    EXPECT_THAT(metrics->text(),
                HasSubstr("vitalwire_controller_sink_failures_total{outcome=\"refused\",sink=\"a\"} 1"));
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return alarms->sinks().at(0)->delivered() == 1; }));
    EXPECT_THAT(metrics->text(), HasSubstr("vitalwire_controller_sink_delivered_total{event=\"opened\",sink=\"a\"} 1"));
    EXPECT_THAT(metrics->text(), HasSubstr("vitalwire_controller_sink_delivery_seconds_count{sink=\"a\"} 1"));
}

TEST_F(AlarmManagerTest, DropsRowsThatCannotBeRead) {
    start();
    store->put("faults", "broken", "{");
    store->put("faults", "empty", "{}");
    store->put("deliveries", "nonsense", R"({"phase":"open"})");
    store->put("history", "x", "{}");
    restart();
    EXPECT_TRUE(alarms->table().all().empty());
    restart();
    EXPECT_THAT(store->load("faults"), IsEmpty());
}

// The journal.

std::vector<std::string> journal_of(const AlarmManager& alarms, const base::FaultId& fault) {
    std::vector<std::string> lines;
    const Journal::Record* record = alarms.journal().find(fault);
    if (record == nullptr) return lines;
    for (const JournalEntry& entry : record->entries)
        lines.push_back(entry.what + " " + entry.sink + " " + entry.detail);
    return lines;
}

TEST_F(AlarmManagerTest, AJournalHoldsAFaultsWholeLifeAlsoAfterItsEndAndARestart) {
    start();
    agent_up();
    receipts["a"].answer = Outcome::refused("HTTP 400");
    report(f1);
    receipts["a"].answer = Outcome::confirmed();
    ASSERT_TRUE(loop.until([&] { return !confirmed.empty(); }));
    report(cleared(f1));
    const auto expected = ElementsAre("opened  silent", "refused a opened: HTTP 400", "acknowledged a opened",
                                      "cleared  recovered", "acknowledged a cleared");
    EXPECT_THAT(journal_of(*alarms, f1.id), expected);
    ASSERT_TRUE(loop.until([&] { return store->pending() == 0; }));
    restart();
    EXPECT_THAT(journal_of(*alarms, f1.id), expected);
}

TEST_F(AlarmManagerTest, AJournalGoesWithItsFault) {
    start();
    agent_up();
    for (int i = 0; i < 101; ++i) {  // the history keeps 100
        const Fault fault = open_fault("g" + std::to_string(i), "n" + std::to_string(i));
        report(fault);
        report(cleared(fault));
    }
    EXPECT_THAT(journal_of(*alarms, base::FaultId("n0")), IsEmpty());
    EXPECT_FALSE(journal_of(*alarms, base::FaultId("n1")).empty());
}

}  // namespace
}  // namespace vitalwire::controller
