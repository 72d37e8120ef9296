#include "controller/core/core.hpp"

#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using base::Millis;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(CoreTest, WelcomesAnAgentAndSendsItsPolicies) {
    place("g1", "compute-1");
    place("g2", "compute-2");
    const base::WallTime came = moment.wall;
    up(hello("compute-1"));
    EXPECT_EQ(received<bus::Welcome>("compute-1").at(0).controller, "ctl");
    EXPECT_EQ(received<bus::Welcome>("compute-1").at(0).time, came) << "to be compared with the agent's clock";
    ASSERT_EQ(received<bus::Policies>("compute-1").size(), 1U) << "once";
    EXPECT_EQ(received<bus::Policies>("compute-1")[0].policies.at(0).guest, base::GuestId("g1"));
}

TEST_F(CoreTest, AgentsAreSentItsTimeAgainWhenItsClockStepsAndFromTimeToTime) {
    up(hello("compute-1"));
    pass(seconds(5));
    const std::size_t before = received<bus::Welcome>("compute-1").size();
    moment.wall -= seconds(30);
    pass(seconds(5));
    ASSERT_EQ(received<bus::Welcome>("compute-1").size(), before + 1);
    EXPECT_LT(moment.wall - received<bus::Welcome>("compute-1").back().time, seconds(6));
    pass(std::chrono::minutes(10));
    EXPECT_EQ(received<bus::Welcome>("compute-1").size(), before + 2);
}

TEST_F(CoreTest, AKeepAliveIsASignOfLife) {
    up(hello("compute-1"));
    moment.wall += seconds(20);
    core->agent_alive(0, base::HostId("compute-1"), moment);
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1"))->last_seen, moment.wall);
}

TEST_F(CoreTest, RejectsAnotherVersion) {
    auto other = hello("compute-1");
    other.version = 99;
    core->agent_up(0, other, "peer", moment);
    EXPECT_EQ(received<bus::Rejected>("compute-1").at(0).reason, "this controller speaks version 1");
    EXPECT_EQ(core->fleet().connected(), 0U);
}

TEST_F(CoreTest, ExpectsNobodyOfAServerInRescueMode) {
    up(hello("compute-1"));
    InventoryGuest guest = placed("g1", "compute-1");
    change(guest);
    pass(base::Millis(1));
    EXPECT_TRUE(received<bus::Policies>("compute-1").back().policies.at(0).heartbeat);
    guest.state = "rescued";
    change(guest);
    EXPECT_FALSE(received<bus::Policies>("compute-1").back().policies.at(0).heartbeat);
    guest.state = "active";
    change(guest);
    EXPECT_TRUE(received<bus::Policies>("compute-1").back().policies.at(0).heartbeat);
}

TEST_F(CoreTest, IgnoresWhatComesByAConnectionThatIsNoLongerTheAgents) {
    up(hello("compute-1"));
    core->message(1, base::HostId("compute-1"), bus::Faults{{f1}, {}}, moment);
    core->agent_down(1, base::HostId("compute-1"), "EOF", moment);
    EXPECT_EQ(tracked("f1"), nullptr);
    EXPECT_EQ(core->fleet().connected(), 1U);
}

TEST_F(CoreTest, TheAgentsOfAPortThatIsNoLongerConfiguredAreGone) {
    up(hello("compute-1"));
    core->agent_up(1, hello("compute-2"), "peer", moment);
    core->port_closed(0, moment);
    EXPECT_FALSE(core->fleet().find(base::HostId("compute-1"))->connected);
    EXPECT_TRUE(core->fleet().find(base::HostId("compute-2"))->connected);
    EXPECT_FALSE(core->admit(1, hello("compute-1"), "peer", moment)) << "it comes by another";
}

TEST_F(CoreTest, SkipsUnknownElementsAndReportsIt) {
    up(hello("compute-1"));
    bus::Faults faults{{f1}, {{base::Errc::bad_field, "faults[1]: 'disk_failing' is no kind of fault"}}};
    message("compute-1", faults);
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    EXPECT_THAT(problem("reports of agent compute-1 are rejected"), HasSubstr("disk_failing"));
    EXPECT_EQ(core->counters().refused, 1);
}

TEST_F(CoreTest, BoundsTheFaultsOfAHostByItsGuests) {
    up(hello("compute-1"), {}, {answering("g1"), answering("g2")});
    bus::Faults many;
    for (std::size_t i = 0; i < 1000; ++i)
        many.faults.push_back(open_fault("x" + std::to_string(i), "x" + std::to_string(i)));
    message("compute-1", many);
    EXPECT_EQ(core->alarms().table().of_host(base::HostId("compute-1")).size(), kMaxFaultsPerHost + 4 * 2);
    pass(seconds(1));
    EXPECT_THAT(problem("reports of agent compute-1 are rejected"), HasSubstr("more than 508 faults of one host"));
}

TEST_F(CoreTest, AChangeOfThePrimaryMovesTheDeliveryAndIsCounted) {
    auto standby = hello("compute-1");
    standby.is_primary = false;
    up(standby);
    report("compute-1", f1);
    EXPECT_THAT(take(), IsEmpty());
    message("compute-1", bus::PrimaryChanged{true, "ctl", {"ctl"}});
    report("compute-1", f1);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    for (int i = 0; i < 10; ++i)
        message("compute-1", bus::PrimaryChanged{true, "ctl", {"ctl", "other"}});
    EXPECT_EQ(core->counters().primary_changes, 1);
    restart();
    EXPECT_TRUE(core->fleet().find(base::HostId("compute-1"))->is_primary) << "also after a restart";
}

TEST_F(CoreTest, AFaultEndsUnderTheNamesItWasRaisedUnder) {
    InventoryGuest guest = placed("g1", "compute-1.example.net");
    guest.display_name = "db-1";
    guest.project = "nfv";
    change(guest);
    up(hello("compute-1"));
    report("compute-1", f1);
    EXPECT_EQ(last_alarm.host.str(), "compute-1.example.net");
    inventory.remove(base::GuestId("g1"));
    restart();
    up(hello("compute-1"), {f1});
    report("compute-1", cleared(f1));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1", "f1 cleared 2"));
    EXPECT_EQ(last_alarm.host.str(), "compute-1.example.net");
    EXPECT_EQ(last_alarm.display_name, "db-1");
    EXPECT_EQ(last_alarm.project, "nfv");
}

TEST_F(CoreTest, AHostThatTheCloudSpellsOtherwiseSinceIsNotAnotherToTheReceivers) {
    place("g1", "compute-1.example.net");
    up(hello("compute-1"));
    report("compute-1", f1);
    InventoryGuest guest = placed("g1", "COMPUTE-1");
    guest.display_name = "named since";
    change(guest);
    report("compute-1", cleared(f1));
    EXPECT_EQ(last_alarm.host.str(), "compute-1.example.net");
    EXPECT_EQ(last_alarm.display_name, "named since");
}

TEST_F(CoreTest, FinishesWhatAPrimaryLeftThatWasLostWithItsHost) {
    place("g1", "compute-1");
    auto standby = hello("compute-1");
    standby.is_primary = false;
    standby.primary = "other";
    up(standby, {f1});
    up(hello("compute-2"));
    up(hello("compute-9"));
    down("compute-1");
    pass(seconds(9));
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 opened 1")) << "no agent here sees its primary";
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1")) << "nobody else delivers it";
    place("g1", "compute-2");
    pass(seconds(1));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
}

TEST_F(CoreTest, WaitsLongerWithAnAdoptionWhileItMayBeCutOffItself) {
    auto standby = hello("compute-1");
    standby.is_primary = false;
    up(standby, {f1});
    down("compute-1");
    pass(seconds(59));
    EXPECT_THAT(take(), IsEmpty());
    pass(seconds(3));
    EXPECT_THAT(take(), Contains("f1 opened 1"));
}

TEST_F(CoreTest, ClearsWhatTheLostPrimaryHadRaised) {
    place("g1", "compute-1");
    auto standby = hello("compute-1");
    standby.is_primary = false;
    up(standby, {f1});
    up(hello("compute-2"));
    down("compute-1");
    place("g1", "compute-2");
    pass(seconds(7));
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 opened 1", "f1 cleared 2"))
        << "another controller may have raised it";
}

TEST_F(CoreTest, LeavesToALivingPrimaryWhatIsItsOwn) {
    auto standby = hello("compute-1");
    standby.is_primary = false;
    standby.primary = "other";
    up(standby, {f1});
    auto witness = hello("compute-2");
    witness.is_primary = true;
    witness.controllers = {"ctl", "other"};
    up(witness);
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty()) << "neither the fault nor agent_lost: compute-2 sees the primary alive";
    message("compute-2", bus::PrimaryChanged{true, "ctl", {"ctl"}});
    pass(seconds(2));
    EXPECT_THAT(take(), ::testing::UnorderedElementsAre("f1 opened 1", "agent_lost.compute-1 opened 1"));
}

TEST_F(CoreTest, AControllerThatLostOnlyItsOwnLinkRaisesNothing) {
    auto standby = hello("compute-1");
    standby.is_primary = false;
    up(standby);
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
}

class SilentHostTest : public CoreTest {
protected:
    void start_hosts(bool primary = true) {
        for (const char* host : {"compute-1", "compute-2", "compute-3"}) {
            auto one = hello(host);
            one.is_primary = primary;
            if (!primary) one.primary = "other";
            if (!primary) one.controllers = {"ctl", "other"};
            up(one);
        }
        keep_alive(kAll, seconds(1));
    }

    const std::vector<std::string> kAll{"compute-1", "compute-2", "compute-3"};
    const std::vector<std::string> kOthers{"compute-2", "compute-3"};
};

TEST_F(SilentHostTest, OneInMaintenanceIsCountedApart) {
    start_hosts();
    ASSERT_TRUE(core->begin_maintenance(
        {"m1", MaintenanceScope::host, "compute-1", moment.wall, moment.wall + std::chrono::hours(1), "disks", "eva"},
        moment));
    EXPECT_EQ(core->agents_away_in_maintenance(), 0);
    keep_alive(kOthers, seconds(1));
    EXPECT_EQ(core->self_monitoring().open_of_kind(kHostUnreachable), 1);
    EXPECT_EQ(core->alarms_in_maintenance(kHostUnreachable), 1);
    down("compute-1");
    EXPECT_EQ(core->agents_away_in_maintenance(), 1);
    keep_alive({"compute-3"}, seconds(1));
    down("compute-2");
    EXPECT_EQ(core->agents_away_in_maintenance(), 1) << "nobody works on compute-2";
    EXPECT_EQ(core->alarms_in_maintenance(kHostUnreachable), 1);
    ASSERT_TRUE(core->end_maintenance("m1", moment));
    EXPECT_EQ(core->agents_away_in_maintenance(), 0);
}

TEST_F(SilentHostTest, OneThatFallsSilentIsUnreachableWithinASecond) {
    start_hosts();
    keep_alive(kOthers, Millis(700));
    EXPECT_THAT(take(), IsEmpty());
    keep_alive(kOthers, Millis(200));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 opened 1"));
    keep_alive(kOthers, seconds(2));
    down("compute-1");  // the bus gives its connection up
    keep_alive(kOthers, seconds(60));
    EXPECT_THAT(take(), IsEmpty()) << "not agent_lost as well";
    up(hello("compute-1"));
    keep_alive(kAll, seconds(1));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 cleared 2"));
}

TEST_F(SilentHostTest, AnAgentThatHungIsBackWithItsFirstSign) {
    start_hosts();
    keep_alive(kOthers, seconds(2));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 opened 1"));
    keep_alive(kAll, Millis(100));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 cleared 2"));
}

TEST_F(SilentHostTest, AnAgentThatEndsOrIsUpgradedIsNotUnreachable) {
    start_hosts();
    for (int i = 0; i < 5; ++i) {
        down("compute-1");
        keep_alive(kOthers, seconds(2));
        up(hello("compute-1"));
        keep_alive(kAll, seconds(1));
    }
    EXPECT_THAT(take(), IsEmpty());
    down("compute-1");
    keep_alive(kOthers, seconds(5));
    EXPECT_THAT(take(), ElementsAre("agent_lost.compute-1 opened 1"));
}

TEST_F(SilentHostTest, WhenAllFallSilentItIsThisControllerThatIsCutOff) {
    start_hosts();
    keep_alive({"compute-1"}, Millis(100));
    keep_alive({"compute-2"}, Millis(100));
    pass(Millis(2900));
    EXPECT_THAT(take(), IsEmpty());
    pass(seconds(3));
    EXPECT_THAT(take(), ElementsAre("agent_lost.ctl.all opened 1"));
    keep_alive({"compute-2"}, Millis(100));
    keep_alive(kAll, seconds(1));
    EXPECT_THAT(take(), testing::Contains("agent_lost.ctl.all cleared 2"));
}

TEST_F(SilentHostTest, AHiccupOfTheNetworkIsNoAlarmAlsoWhenTheHostsComeBackOneByOne) {
    start_hosts();
    pass(Millis(1500));
    keep_alive({"compute-3"}, Millis(500));
    keep_alive(kOthers, Millis(500));
    keep_alive(kAll, seconds(5));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(SilentHostTest, AControllerThatWasStoppedBlamesNobody) {
    start_hosts();
    moment.steady += seconds(10);
    moment.wall += seconds(10);
    core->tick(moment);
    keep_alive(kAll, seconds(5));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(SilentHostTest, AHostWhosePrimaryIsAliveIsItsPrimarysToRaise) {
    start_hosts(false);
    keep_alive(kOthers, seconds(5));
    EXPECT_THAT(take(), IsEmpty());
    for (const std::string& host : kOthers)
        message(host, bus::PrimaryChanged{true, "ctl", {"ctl"}});
    keep_alive(kOthers, seconds(2));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 opened 1")) << "it died with its primary";
}

TEST_F(SilentHostTest, ARestartOfTheControllerKeepsTheAlarmAndAddsNone) {
    start_hosts();
    keep_alive(kOthers, seconds(2));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 opened 1"));
    restart();
    for (const std::string& host : kOthers)
        up(hello(host));
    keep_alive(kOthers, seconds(30));
    EXPECT_THAT(take(), IsEmpty());
    up(hello("compute-1"));
    keep_alive(kAll, seconds(2));
    EXPECT_THAT(take(), ElementsAre("host_unreachable.compute-1 cleared 2"));
}

TEST_F(CoreTest, ProblemsOfAnAgentBecomeAnAlarmOfItsHost) {
    up(hello("compute-1"));
    message("compute-1", bus::AgentProblems{{{"libvirt cannot be reached", "EOF", moment.wall, {}}}});
    pass(seconds(4));
    EXPECT_THAT(take(), ElementsAre("agent_degraded.compute-1 opened 1"));
    message("compute-1", bus::AgentProblems{});
    pass(seconds(4));
    EXPECT_THAT(take(), ElementsAre("agent_degraded.compute-1 cleared 2"));
}

TEST_F(CoreTest, NamesHostsWithoutAgentAndAgentsWithoutHost) {
    place("g1", "compute-1");
    place("g2", "compute-2");
    up(hello("compute-1"));
    up(hello("node-2"), {}, {answering("g2")});
    pass(seconds(11));
    EXPECT_EQ(problem("hosts of the inventory have no agent of that name"), "compute-2 (guests: 1)");
    EXPECT_EQ(problem("agents have guests, and no host of that name in the inventory"), "node-2 (guests: 1)");
}

class CoverageTest : public CoreTest {
protected:
    /// "g1 watched", "g2 uncovered: why".
    std::vector<std::string> coverage() const {
        std::vector<std::string> lines;
        census([&](const Covered& covered) {
            lines.push_back(covered.guest.str() + " " + std::string(to_string(covered.watch)) +
                            (covered.why.empty() ? "" : ": " + covered.why));
        });
        std::sort(lines.begin(), lines.end());
        return lines;
    }
    Coverage::Census census(const Coverage::Walk::Visit& visit = nullptr) const {
        Coverage::Walk walk(core->coverage());
        while (walk.turn(visit)) {
        }
        return walk.census();
    }
    std::size_t visited_in_short_turns() const {
        std::set<base::GuestId> visited;
        Coverage::Walk walk(core->coverage());
        for (bool more = true; more;) {
            const std::size_t before = visited.size();
            more = walk.turn([&](const Covered& covered) {
                EXPECT_TRUE(visited.insert(covered.guest).second) << covered.guest.str();
            });
            EXPECT_LE(visited.size() - before, 500U);
        }
        return visited.size();
    }
};

TEST_F(CoverageTest, EveryGuestThatShouldBeWatchedIsInExactlyOneState) {
    for (const char* guest : {"g1", "g2", "g3", "g4", "g5", "g6"})
        place(guest, "compute-1");
    place("g7", "compute-7");
    InventoryGuest stopped = placed("g8", "compute-1");
    stopped.state = "stopped";
    inventory.put(stopped);
    InventoryGuest unasked = placed("g9", "compute-1");
    unasked.policy.heartbeat = false;
    inventory.put(unasked);
    auto held = answering("g2");
    held.hold = "paused";
    auto silent = answering("g4", "unregistered");
    auto unconnected = silent;
    unconnected.guest = base::GuestId("g5");
    unconnected.channels.clear();
    up(hello("compute-1"), {open_fault("g3", "f3")},
       {answering("g1"), held, answering("g3", "lost"), silent, unconnected, answering("own")});
    message("compute-1", bus::AgentProblems{{{"a channel cannot be connected", "denied", {}, base::GuestId("g6")}}});
    EXPECT_THAT(coverage(),
                ElementsAre("g1 watched", "g2 inhibited: paused", "g3 faulty: heartbeat_lost",
                            "g4 uncovered: it has not registered", "g5 uncovered: no channel of it is connected",
                            "g6 uncovered: a channel cannot be connected: denied", "g7 uncovered: no agent on its host",
                            "g8 inhibited: the cloud has it as stopped", "own watched"));
    EXPECT_EQ(census().watches, (std::array<std::size_t, kWatches>{2, 2, 1, 4}));
    down("compute-1");
    EXPECT_THAT(coverage(), Contains("g1 uncovered: its agent is not connected"));
}

TEST_F(CoverageTest, VisitsManyGuestsInShortTurnsAndEachOnce) {
    constexpr std::size_t kGuests = 1200;
    for (std::size_t i = 0; i < kGuests; ++i)
        place("g" + std::to_string(i), "compute-" + std::to_string(i % 3));
    place("nowhere", "");
    EXPECT_EQ(visited_in_short_turns(), kGuests + 1);
    EXPECT_EQ(census().unreported, kGuests + 1);
}

TEST_F(CoverageTest, VisitsTheGuestsThatOneAgentReportsInShortTurns) {
    constexpr std::size_t kGuests = 1200;
    std::vector<model::GuestReport> reports;
    for (std::size_t i = 0; i < kGuests; ++i)
        reports.push_back(answering("g" + std::to_string(i)));
    up(hello("compute-1"), {}, reports);
    up(hello("compute-2"), {}, {answering("g")});
    EXPECT_EQ(visited_in_short_turns(), kGuests + 1);
}

TEST_F(CoreTest, AnAgentFollowsTheIoOfGuestsWhosePolicyTakesItIntoAccount) {
    const auto set_policy = [&](base::Millis no_io_for) {
        Policy policy;
        policy.flavors = {"nfv.*"};
        policy.no_io_for = no_io_for;
        core->alarms().find_sink("a")->queue().set_policies(std::vector<Policy>{policy});
        core->sinks_changed();
    };
    const auto watched = [&] { return received<bus::Policies>("compute-1").back().policies.at(0).watch_io; };
    InventoryGuest guest = placed("g1", "compute-1");
    guest.flavor = "nfv.small";
    inventory.put(guest);
    set_policy(std::chrono::seconds(120));
    up(hello("compute-1"));
    EXPECT_TRUE(watched());
    set_policy({});
    EXPECT_FALSE(watched());
    set_policy(std::chrono::seconds(120));
    EXPECT_TRUE(watched());
    guest.flavor = "other";
    change(guest);
    pass(base::Millis(1));
    EXPECT_FALSE(watched());
}

TEST_F(CoreTest, AFaultIsHeldAndReleasedByWhatItsAgentReportsOfTheGuestsIo) {
    Policy policy;
    policy.no_io_for = std::chrono::seconds(120);
    core->alarms().find_sink("a")->queue().set_policies(std::vector<Policy>{policy});
    const auto read = [&](base::Millis idle) {
        model::GuestReport report = answering("g1", "lost");
        report.io = {moment.wall, std::chrono::hours(1), idle};
        message("compute-1", bus::Guests{{report}, {}});
    };
    up(hello("compute-1"), {}, {answering("g1")});
    read(std::chrono::seconds(0));
    pass(base::Millis(5));
    model::Fault fault = f1;
    fault.opened_at = moment.wall;
    report("compute-1", fault);
    read(std::chrono::seconds(12));
    read(std::chrono::seconds(119));
    EXPECT_THAT(take(), IsEmpty());
    read(std::chrono::seconds(121));
    EXPECT_THAT(take(), ElementsAre("f1 opened 1"));
    std::vector<std::string> journal;
    for (const JournalEntry& entry : core->alarms().journal().find(f1.id)->entries)
        journal.push_back(entry.what + " " + entry.detail);
    EXPECT_THAT(journal, ElementsAre("opened silent", "held waits for the guest's I/O to be read",
                                     "held I/O seen 12 s ago", "released no I/O for 121 s", "acknowledged opened"));
    read(std::chrono::seconds(131));
    EXPECT_THAT(take(), IsEmpty()) << "once";
}

TEST_F(CoreTest, AClockThatIsSetAfterARestartDoesNotCutAHoldOffShort) {
    policies.emplace(1).front().hold_off = std::chrono::seconds(5);
    restart();
    const auto first = hello("compute-1", "state", 1);
    up(first);
    report("compute-1", f1);
    pass(std::chrono::seconds(1));
    restart();
    moment.wall += std::chrono::hours(1);
    up(first, {f1});
    EXPECT_THAT(take(), IsEmpty());
    pass(std::chrono::seconds(4));
    report("compute-1", updated(f1, "late"));
    EXPECT_THAT(take(), ElementsAre("f1 opened 2"));
}

}  // namespace
}  // namespace vitalwire::controller
