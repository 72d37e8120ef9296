#include "tests/unit/controller/core/operations_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(OperationsTest, AFaultThatComesAndGoesInMaintenanceIsSentToNobody) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1"));
    report("compute-1", f1);
    EXPECT_NE(tracked("f1"), nullptr) << "it is recorded";
    clear_f1();
    ASSERT_TRUE(core->end_maintenance("m1", moment));
    run_deferred();
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, AFaultThatIsStillOpenWhenMaintenanceEndsIsSentThen) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    ASSERT_TRUE(begin(MaintenanceScope::guest, "g1"));
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(journal("f1"), Contains("held: maintenance"));
    ASSERT_TRUE(core->end_maintenance("m1", moment));
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(OperationsTest, AFaultThatWasSentBeforeMaintenanceIsCleared) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    report("compute-1", f1);
    ASSERT_TRUE(begin(MaintenanceScope::all, ""));
    clear_f1();
    EXPECT_THAT(take(), ElementsAre("f1 opened 1", "f1 cleared 2"));
}

TEST_F(OperationsTest, ARaiseThatMayHaveArrivedBeforeARestartIsClearedInMaintenance) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    hold_sink = true;
    report("compute-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    pass(seconds(1));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1"));
    hold_sink = false;
    restart();
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty()) << "nobody is paged again";
    clear_f1();
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(OperationsTest, ANewPrimaryClearsInMaintenanceWhatTheOneBeforeMayHaveSent) {
    place("g1", "compute-1");
    bus::Hello standby = hello("compute-1");
    standby.is_primary = false;
    up(standby, {f1});
    pass(seconds(1));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1"));
    message("compute-1", bus::PrimaryChanged{true, {}, {}});
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    clear_f1();
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(OperationsTest, ANewPrimarySendsNothingOfWhatOpenedInMaintenance) {
    place("g1", "compute-1");
    bus::Hello standby = hello("compute-1");
    standby.is_primary = false;
    up(standby);
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1"));
    pass(seconds(1));
    report("compute-1", f1);
    message("compute-1", bus::PrimaryChanged{true, {}, {}});
    clear_f1();
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, OneMaintenanceThatFollowsAnotherIsOneWithIt) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1", "m1"));
    pass(minutes(1));
    report("compute-1", f1);
    pass(minutes(1));
    ASSERT_TRUE(begin(MaintenanceScope::all, "", "m2"));
    ASSERT_TRUE(core->end_maintenance("m1", moment));
    restart();
    up(hello("compute-1"), {f1});
    clear_f1();
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, MaintenanceCoversWhatItNamesAndNothingElse) {
    InventoryGuest guest = placed("g1", "compute-1");
    guest.group = base::GroupId("grp");
    inventory.put_group({base::GroupId("grp"), "databases", ""});
    change(guest);
    place("g2", "compute-1");
    up(hello("compute-1"));
    const auto window = begin(MaintenanceScope::group, "databases");
    ASSERT_TRUE(window) << "a group by its name";
    EXPECT_EQ(window->name, "grp");
    EXPECT_EQ(window->label, "databases");
    report("compute-1", f1);
    report("compute-1", open_fault("g2", "f2"));
    EXPECT_THAT(take(), ElementsAre("f2 opened 1"));
}

TEST_F(OperationsTest, MaintenanceNeedsSomethingThatIsThere) {
    EXPECT_EQ(begin(MaintenanceScope::host, "compute-9").error().message, "no host 'compute-9'");
    EXPECT_EQ(begin(MaintenanceScope::guest, "nobody").error().code, base::Errc::not_found);
    InventoryGuest twin = placed("g1", "compute-1");
    twin.display_name = "web";
    change(twin);
    twin.id = base::GuestId("g2");
    change(twin);
    EXPECT_THAT(begin(MaintenanceScope::guest, "web").error().message, HasSubstr("several guests are called 'web'"));
}

TEST_F(OperationsTest, BeginningItOnceMoreProlongsIt) {
    place("g1", "compute-1");
    ASSERT_TRUE(begin(MaintenanceScope::host, "Compute-1", "m1"));
    pass(minutes(5));
    const auto again = begin(MaintenanceScope::host, "compute-1", "m2");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->id, "m1");
    EXPECT_EQ(again->revision, 2U);
    EXPECT_EQ(again->until, moment.wall + hours(2));
    EXPECT_EQ(core->maintenance().all().size(), 1U);
}

TEST_F(OperationsTest, AShorterMaintenanceOfTheSameHostEndsNoLongerOne) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1", "longer"));
    Maintenance shorter{
        "shorter", MaintenanceScope::host, "compute-1", moment.wall, moment.wall + minutes(30), "kernel", "bob"};
    shorter.force = true;
    const auto beside = core->begin_maintenance(shorter, moment);
    ASSERT_TRUE(beside);
    EXPECT_EQ(beside->id, "shorter") << "with its own end, reason and rights";
    EXPECT_EQ(beside->until, shorter.until);
    EXPECT_THAT(core->maintenance().beside(*beside, moment.wall), ElementsAre(core->maintenance().all().at("longer")));
    shorter.id = "m3";
    shorter.until += minutes(30);
    EXPECT_EQ(core->begin_maintenance(shorter, moment)->id, "shorter") << "prolonged, as it is the one that ends first";
    ASSERT_TRUE(core->end_maintenance("shorter", moment));
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty()) << "the longer one holds";
    ASSERT_TRUE(core->end_maintenance("longer", moment));
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(OperationsTest, MaintenanceSurvivesARestart) {
    place("g1", "compute-1");
    ASSERT_TRUE(begin(MaintenanceScope::all, ""));
    restart();
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, AWindowOfAGroupHoldsWhileTheInventoryCannotBeReadAfterARestart) {
    source.loaded = true;
    inventory.put_group({base::GroupId("grp"), "databases", ""});
    InventoryGuest guest = placed("g1", "compute-1");
    guest.group = base::GroupId("grp");
    ASSERT_TRUE(begin(MaintenanceScope::group, "databases"));
    change(guest);
    core->stop();
    inventory.replace({});
    source.loaded = false;
    start();
    up(hello("compute-1"), {f1, open_fault("g2", "f2")});
    EXPECT_THAT(take(), ElementsAre("f2 opened 1"));
}

TEST_F(OperationsTest, AWindowHoldsForAnAgentThatComesLaterUnderTheOtherSpellingOfItsHost) {
    place("g1", "compute-1.example.net");
    ASSERT_TRUE(begin(MaintenanceScope::host, "compute-1.example.net"));
    up(hello("compute-1"), {f1});
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, AWindowOfTheLongestTimeThatIsProlongedIsReadAgain) {
    ASSERT_TRUE(begin(MaintenanceScope::all, ""));
    pass(minutes(1));
    Maintenance longer{"m2", MaintenanceScope::all, "", moment.wall, moment.wall + kLongestMaintenance, "disks", "eva"};
    ASSERT_TRUE(core->begin_maintenance(longer, moment));
    restart();
    ASSERT_TRUE(core->maintenance().all().contains("m1"));
    EXPECT_EQ(core->maintenance().all().at("m1").revision, 2U);
}

TEST_F(OperationsTest, WindowsThatAreOverMakeRoomForNewOnes) {
    for (int i = 0; i < 1000; ++i) {
        const std::string id = "over-" + std::to_string(1000 + i);
        ASSERT_TRUE(begin(MaintenanceScope::all, "", id));
        moment.wall += std::chrono::milliseconds(1);
        ASSERT_TRUE(core->end_maintenance(id, moment));
    }
    ASSERT_TRUE(begin(MaintenanceScope::all, "", "mine"));
    Maintenance theirs{"theirs", MaintenanceScope::all, "", moment.wall, moment.wall + hours(1), "disks", "eva"};
    EXPECT_EQ(core->merge_maintenance({theirs}, moment), 0U);
    EXPECT_EQ(core->maintenance().all().size(), 1000U);
    for (const char* removed : {"over-1000", "over-1001"})
        EXPECT_FALSE(core->maintenance().all().contains(removed)) << removed;
    Maintenance over{"over-1000", MaintenanceScope::all, "", moment.wall - hours(2), moment.wall - hours(1), "x",
                     "eva"};
    EXPECT_EQ(core->merge_maintenance({over}, moment), 0U) << "a peer still has it";
    EXPECT_FALSE(core->maintenance().all().contains("over-1000"));
}

TEST_F(OperationsTest, AWindowOfAPeerThatHasNoRoomIsCounted) {
    std::vector<Maintenance> windows;
    for (int i = 0; i < 1002; ++i)
        windows.push_back(
            {"m" + std::to_string(i), MaintenanceScope::all, "", moment.wall, moment.wall + hours(1), "x", "eva"});
    EXPECT_EQ(core->merge_maintenance(windows, moment), 2U);
}

TEST_F(OperationsTest, OfTwoChangesOfAWindowAtOnceTheEarlierEndCountsAtBoth) {
    Maintenance ended{"m1", MaintenanceScope::all, "", moment.wall, moment.wall + minutes(1), "x", "eva", "", 2};
    Maintenance prolonged = ended;
    prolonged.until += hours(2);
    for (const auto& order : {std::vector{ended, prolonged}, std::vector{prolonged, ended}}) {
        MaintenanceList list;
        for (const Maintenance& window : order)
            static_cast<void>(list.merge(window, moment.wall));
        EXPECT_EQ(list.all().at("m1"), ended);
    }
}

TEST_F(OperationsTest, MaintenanceOfAPeerCountsAndItsEndToo) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    Maintenance window{"m1", MaintenanceScope::all, "", moment.wall, moment.wall + hours(1), "disks", "eva"};
    core->merge_maintenance({window}, moment);
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    Maintenance ended = window;
    ended.until = moment.wall;
    ended.revision = 2;
    core->merge_maintenance({ended}, moment);
    core->merge_maintenance({window}, moment);
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
}

TEST_F(OperationsTest, MaintenanceIsForgottenDaysAfterItsEnd) {
    ASSERT_TRUE(begin(MaintenanceScope::all, ""));
    pass(hours(2) + minutes(1));
    EXPECT_EQ(core->maintenance().all().size(), 1U);
    pass(hours(49));
    EXPECT_THAT(core->maintenance().all(), IsEmpty());
    restart();
    EXPECT_THAT(core->maintenance().all(), IsEmpty());
}

TEST_F(OperationsTest, WhenAFaultCameAndWentIsKnownByTheClockHereOverARestart) {
    place("g1", "compute-1");
    up(hello("compute-1"));
    model::Fault wrong = f1;
    wrong.opened_at = moment.wall + hours(24);
    const base::WallTime came = moment.wall;
    report("compute-1", wrong);
    pass(minutes(3));
    EXPECT_EQ(changed_here(*tracked("f1")), came);
    wrong.revision = 2;
    wrong.cleared_at = moment.wall - hours(24);
    const base::WallTime went = moment.wall;
    report("compute-1", wrong);
    pass(seconds(1));
    restart();
    const FaultHistory::Entry* past = core->alarms().history().find(f1.id);
    ASSERT_NE(past, nullptr);
    EXPECT_EQ(received_here(past->tracked), came);
    EXPECT_EQ(changed_here(past->tracked), went);
}

TEST_F(OperationsTest, AHostThatIsNoMoreIsRemovedWithItsFaults) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    EXPECT_EQ(core->remove_host(base::HostId("compute-1"), moment).error().code, base::Errc::in_use);
    down("compute-1");
    pass(seconds(10));
    ASSERT_TRUE(core->remove_host(base::HostId("compute-1"), moment));
    run_deferred();
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
    EXPECT_TRUE(core->alarms().table().of_host(base::HostId("compute-1")).empty());
    pass(seconds(2));
    for (const auto& [id, alarm] : core->alarms().internal().all())
        EXPECT_FALSE(alarm.open()) << alarm.kind;
    EXPECT_EQ(core->remove_host(base::HostId("compute-1"), moment).error().code, base::Errc::not_found);
}

TEST_F(OperationsTest, AnAgentThatIsAwayForLongIsRemovedByTheSteadyClock) {
    up(hello("compute-1"));
    down("compute-1");
    moment.wall += hours(24 * 30);
    pass(hours(1));
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr) << "only the wall clock has stepped";
    pass(hours(24));
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
}

TEST_F(OperationsTest, AnOperatorEndsAnAlarmOfAHost) {
    up(hello("compute-1"));
    down("compute-1");
    pass(seconds(10));
    ASSERT_THAT(take(), Contains("agent_lost.compute-1 opened 1"));
    EXPECT_TRUE(core->clear_by_operator(base::FaultId("agent_lost.compute-1"), "known", moment));
    run_deferred();
    EXPECT_THAT(take(), Contains("agent_lost.compute-1 cleared 2"));
    EXPECT_FALSE(core->clear_by_operator(base::FaultId("agent_lost.compute-9"), "known", moment));
}

class SuiteAlarmTest : public OperationsTest {
protected:
    void lose_the_agent() {
        up(hello("compute-1"));
        down("compute-1");
        pass(seconds(10));
        ASSERT_THAT(take(), Contains("agent_lost.compute-1 opened 1"));
    }
    /// As another controller's journal has it.
    Journal::Part of_peer(std::vector<JournalEntry> entries, bool open = true) const {
        Alarm alarm;
        alarm.id = kLost;
        alarm.kind = kAgentLost;
        alarm.severity = "critical";
        alarm.host = base::HostId("compute-1");
        alarm.opened_at = alarm.updated_at = moment.wall;
        if (!open) alarm.cleared_at = moment.wall;
        return {std::move(entries), 0, alarm};
    }

    const base::FaultId kLost{"agent_lost.compute-1"};
};

TEST_F(SuiteAlarmTest, KeepsItsJournalAfterItsEndAndARestart) {
    lose_the_agent();
    EXPECT_TRUE(core->acknowledge_by_operator(kLost, "on it", moment));
    up(hello("compute-1"));
    pass(seconds(2));
    down("compute-1");
    pass(seconds(10));
    up(hello("compute-1"));
    pass(seconds(2));
    restart();
    const Alarm* last = core->alarms().internal().find(kLost);
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(last->clear_reason, "connected");
    EXPECT_THAT(journal("agent_lost.compute-1"),
                ElementsAre("opened", "acknowledged: opened", "seen by the operator: on it", "cleared: connected",
                            "acknowledged: cleared", "opened", "acknowledged: opened", "cleared: connected",
                            "acknowledged: cleared"));
    const auto earlier = earlier_occurrences(*core->alarms().journal().find(kLost));
    ASSERT_EQ(earlier.size(), 1U);
    EXPECT_LT(earlier[0].opened_at, earlier[0].cleared_at);
    EXPECT_LT(earlier[0].cleared_at, last->opened_at);
    EXPECT_FALSE(core->acknowledge_by_operator(kLost, "on it", moment)) << "it is over";
}

TEST_F(SuiteAlarmTest, ThatIsClosedIsRaisedAgainWhenItsCauseHasEndedAndIsBack) {
    lose_the_agent();
    ASSERT_TRUE(core->clear_by_operator(kLost, "known", moment));
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 cleared 2"));
    EXPECT_FALSE(core->clear_by_operator(kLost, "known", moment));
    pass(minutes(5));
    EXPECT_THAT(take(), IsEmpty());
    restart();
    pass(minutes(5));
    EXPECT_THAT(take(), IsEmpty()) << "the cause lasts";
    up(hello("compute-1"));
    pass(seconds(2));
    down("compute-1");
    pass(seconds(10));
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 opened 3"));
}

TEST_F(SuiteAlarmTest, ThatIsClosedWaitsForTheEndOfAnAgentsProblem) {
    up(hello("compute-1"));
    message("compute-1", bus::AgentProblems{{{"source libvirt cannot see", "refused", moment.wall, {}}}});
    pass(seconds(5));
    const base::FaultId degraded("agent_degraded.compute-1");
    EXPECT_TRUE(core->clear_by_operator(degraded, "we know", moment));
    pass(minutes(5));
    EXPECT_THAT(take(), ElementsAre("agent_degraded.compute-1 opened 1", "agent_degraded.compute-1 cleared 2"));
    message("compute-1", bus::AgentProblems{});
    pass(seconds(5));
    message("compute-1", bus::AgentProblems{{{"source libvirt cannot see", "refused", moment.wall, {}}}});
    pass(seconds(5));
    EXPECT_THAT(take(), ElementsAre("agent_degraded.compute-1 opened 3"));
}

TEST_F(SuiteAlarmTest, OfAnotherControllerIsShownSeenAndClosedHere) {
    core->merge_journal(kLost, "ctl-2", of_peer({{moment.wall, "opened", "", ""}}), moment);
    const auto shown = alarm_of(*core->alarms().journal().find(kLost));
    EXPECT_EQ(shown.first, "ctl-2");
    EXPECT_TRUE(shown.second->open());
    EXPECT_TRUE(core->acknowledge_by_operator(kLost, "on it", moment));
    pass(seconds(1));
    EXPECT_TRUE(core->clear_by_operator(kLost, "known", moment));
    EXPECT_FALSE(core->alarms().internal().find(kLost)->open());
    EXPECT_THAT(take(), IsEmpty()) << "the other one has raised it, and clears it";
    restart();
    EXPECT_THAT(
        journal("agent_lost.compute-1"),
        ElementsAre("seen by the operator: on it", "closed by the operator: known", "cleared: closed by the operator"));
}

TEST_F(SuiteAlarmTest, ThatIsClosedAtAnotherControllerIsClosedHereOnce) {
    lose_the_agent();
    const Journal::Part decision = of_peer({{moment.wall, kClosedEntry, "", "known"}}, false);
    core->merge_journal(kLost, "ctl-2", decision, moment);
    run_deferred();
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 cleared 2"));
    up(hello("compute-1"));
    pass(seconds(2));
    down("compute-1");
    pass(seconds(10));
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 opened 3"));
    moment.wall -= hours(1);  // the other one's clock is ahead
    core->merge_journal(kLost, "ctl-2", decision, moment);
    pass(seconds(2));
    EXPECT_THAT(take(), IsEmpty()) << "that was about the time before";
}

TEST_F(SuiteAlarmTest, ThatIsClosedWhereItWasRaisedIsNotRaisedByTheOneThatTakesOver) {
    const auto of_ctl_2 = [&](const std::string& host) {
        bus::Hello greeting = hello(host);
        greeting.is_primary = false;
        greeting.primary = "ctl-2";
        greeting.controllers = {"ctl", "ctl-2"};
        return greeting;
    };
    up(of_ctl_2("compute-1"));
    up(of_ctl_2("compute-2"));
    down("compute-1");
    pass(seconds(10));
    core->merge_journal(kLost, "ctl-2", of_peer({{moment.wall, kClosedEntry, "", "known"}}, false), moment);
    message("compute-2", bus::PrimaryChanged{true, "ctl", {"ctl"}});  // ctl-2 is lost
    pass(minutes(5));
    EXPECT_THAT(take(), IsEmpty());
}

// What an operator decides at one controller counts at all.

TEST_F(OperationsTest, ThatAnOperatorHasSeenAFaultIsInItsJournal) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    EXPECT_TRUE(core->acknowledge_by_operator(base::FaultId("f1"), "on it", moment));
    EXPECT_THAT(journal("f1"), Contains("seen by the operator: on it"));
    EXPECT_FALSE(core->acknowledge_by_operator(base::FaultId("f9"), "on it", moment));
    const auto alarm = core->open_test_event(moment);
    ASSERT_TRUE(alarm);
    EXPECT_TRUE(core->acknowledge_by_operator(*alarm, "on it", moment)) << "an alarm of a host";
}

}  // namespace
}  // namespace vitalwire::controller
