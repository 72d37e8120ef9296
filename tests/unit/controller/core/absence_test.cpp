#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A fault of g1 on compute-1 is open and delivered; what is not known of it later ends nothing, and opens nothing
/// again.
class AbsenceTest : public CoreTest {
protected:
    AbsenceTest() {
        place("g1", "compute-1");
        up(hello("compute-1"));
        report("compute-1", f1);
        take();
    }
    std::vector<std::string> coverage() const {
        std::vector<std::string> lines;
        Coverage::Walk walk(core->coverage());
        const auto visit = [&](const Covered& covered) {
            lines.push_back(covered.guest.str() + " " + std::string(to_string(covered.watch)) +
                            (covered.why.empty() ? "" : ": " + covered.why));
        };
        while (walk.turn(visit)) {
        }
        return lines;
    }
};

/// The same of a guest of a cloud, whose host has an agent that does not find it.
class NotFoundTest : public AbsenceTest {
protected:
    NotFoundTest() {
        source.names_all = true;
        down("compute-1");
        up(hello("compute-1"), {cleared(f1, "removed")});
    }
};

TEST_F(NotFoundTest, AFaultOfAGuestThatTheCloudHasActiveThereStaysOpenAndShowsWhy) {
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    ASSERT_TRUE(tracked("f1")->fault.open());
    EXPECT_THAT(core->evidence().unconfirmed(*tracked("f1"))->why, HasSubstr("which the cloud has active"));
    EXPECT_THAT(problem("reports of agent compute-1 are rejected"), HasSubstr("guest g1 is not found"));
    EXPECT_GT(refreshed, 0) << "the cloud may be ahead of what is known of it";
    restart();
    up(hello("compute-1"), {cleared(f1, "removed")});
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(NotFoundTest, ItEndsAsSoonAsTheCloudHasTheGuestElsewhere) {
    place("g1", "compute-2");
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(last_alarm.clear_reason, "removed") << "the agent's own word";
    pass(seconds(40));
    EXPECT_EQ(problem("reports of agent compute-1 are rejected"), "");
}

TEST_F(NotFoundTest, ItEndsAsSoonAsTheCloudHasTheGuestStoppedOrDeleted) {
    InventoryGuest stopped = placed("g1", "compute-1");
    stopped.state = "stopped";
    change(stopped);
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    report("compute-1", open_fault("g1", "f2"));
    change(placed("g1", "compute-1"));
    report("compute-1", cleared(open_fault("g1", "f2"), "removed"));
    EXPECT_THAT(take(), ElementsAre("f2 opened 1"));
    remove("g1");
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f2 cleared 2"));
}

TEST_F(NotFoundTest, ItEndsWhenTheGuestAnswersThereAgain) {
    message("compute-1", bus::Guests{{answering("g1")}, {}});
    pass(seconds(1));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
    EXPECT_EQ(last_alarm.clear_reason, kGuestAnswers);
}

TEST_F(AbsenceTest, AGuestOfAFileThatItsAgentDoesNotFindIsRemoved) {
    report("compute-1", cleared(f1, "removed"));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2"));
}

TEST_F(AbsenceTest, AHostOfWhichNoAgentIsKnownMayBeTheOldOneByAnotherName) {
    place("g1", "node-1");
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains("f1 cleared 2")));
    up(hello("node-1"), {}, {answering("g1")});
    pass(seconds(1));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
}

TEST_F(AbsenceTest, WhatAnOperatorClosedStaysClosedWhenItsHostReturnsByAnotherName) {
    down("compute-1");
    ASSERT_TRUE(core->clear_by_operator(f1.id, "known", moment));
    run_deferred();
    pass(seconds(1));
    take();
    up(hello("compute-1.example.net"), {f1});
    EXPECT_THAT(take(), IsEmpty());
    ASSERT_FALSE(received<bus::HandBack>("compute-1.example.net").empty()) << "its agent closes it too";
}

TEST_F(AbsenceTest, WhatGoesOnWhenItsHostReturnsByAnotherNameIsToldAgainAndEndsOnce) {
    remove("g1");
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    model::Fault known = f1;
    known.delivered = 1;
    place("g1", "compute-1");
    up(hello("compute-1.example.net"), {known});
    EXPECT_THAT(take(), Contains("f1 opened 1"));
    report("compute-1.example.net", cleared(known));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_EQ(tracked("f1"), nullptr);
}

TEST_F(AbsenceTest, ThatAGuestWasTakenOutOfTheFileIsKnownAfterARestart) {
    remove("g1");
    restart();
    down("compute-1");
    pass(seconds(60));
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
}

TEST_F(AbsenceTest, AFaultIsFaultyWhateverTheCloudHasItsGuestAs) {
    InventoryGuest guest = placed("g1", "compute-1");
    guest.state = "error";
    change(guest);
    EXPECT_THAT(coverage(), ElementsAre("g1 faulty: heartbeat_lost"));
    guest.host = base::HostId("compute-l");
    change(guest);
    EXPECT_THAT(coverage(), ElementsAre("g1 faulty: heartbeat_lost"));
    place("g1", "compute-1");
    up(hello("compute-1"), {cleared(f1)}, {answering("g1")});
    guest = placed("g1", "compute-1");
    guest.state = "error";
    change(guest);
    EXPECT_THAT(coverage(), ElementsAre("g1 watched")) << "it answers";
}

TEST_F(AbsenceTest, AFaultOfWhichOnlyTheRecordIsLeftIsFaulty) {
    remove("g1");
    restart();
    EXPECT_THAT(coverage(), ElementsAre("g1 faulty: heartbeat_lost"));
}

TEST_F(AbsenceTest, AGuestWhoseFaultWasClosedIsNotWatchedBeforeItAnswers) {
    ASSERT_TRUE(core->clear_by_operator(f1.id, "known", moment));
    message("compute-1", bus::Guests{{answering("g1", "lost")}, {}});
    EXPECT_THAT(coverage(), ElementsAre("g1 uncovered: its fault was closed, and it has not been well since"));
}

TEST_F(AbsenceTest, AStandbyShowsWhatItsPeerHasHadAcknowledged) {
    message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
    const auto f2 = open_fault("g2", "f2");
    report("compute-1", f2);
    const Notifier& sink = *core->alarms().sinks().front();
    const auto state = [&] { return core->alarms().view(sink, *tracked("f2")).state; };
    EXPECT_EQ(state(), DeliveryView::State::pending_at_peer);
    core->merge_journal(f2.id, "other", {{{moment.wall, kAcknowledgedEntry, "a", "opened at somewhere"}}}, moment);
    EXPECT_EQ(state(), DeliveryView::State::acknowledged_by_peer);
}

/// A fault of g2 that another primary had acknowledged by this sink; it is gone, and this controller is primary.
class RaisedByPeerTest : public AbsenceTest {
protected:
    void acknowledged_there(const std::string& change, std::uint64_t revision) {
        JournalEntry entry{moment.wall, kAcknowledgedEntry, "a", change + " at somewhere"};
        entry.revision = revision;
        core->merge_journal(f2.id, "other", {{entry}}, moment);
    }
    void take_over(const model::Fault& fault) {
        message("compute-1", bus::PrimaryChanged{true, "ctl", {"ctl"}});
        report("compute-1", fault);
        pass(base::Millis(10));
    }
    void SetUp() override {
        message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
        report("compute-1", f2);
        take();
    }

    const model::Fault f2 = open_fault("g2", "f2");
};

TEST_F(RaisedByPeerTest, DoesNotRepeatWhatThePeerHadAcknowledgedWhileAnotherSinkHadNot) {
    acknowledged_there("opened", 1);
    take_over(f2);
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f2"))));
    report("compute-1", cleared(f2));
    EXPECT_THAT(take(), Contains("f2 cleared 2"));
}

TEST_F(RaisedByPeerTest, TellsWhatHasChangedSinceThePeerHadItAcknowledged) {
    acknowledged_there("opened", 1);
    take_over(updated(f2, "late"));
    EXPECT_THAT(take(), ElementsAre("f2 updated 2"));
}

TEST_F(RaisedByPeerTest, TellsAgainWhatThePeerHadEndedAndGoesOn) {
    acknowledged_there("cleared", 2);
    take_over(f2);
    EXPECT_THAT(take(), Contains("f2 opened 1"));
}

TEST_F(AbsenceTest, AnEndThatWasMissedIsAsItsPeerSawIt) {
    auto life = hello("compute-1", "state", 9);
    down("compute-1");
    const base::WallTime ended = moment.wall;
    core->merge_journal(f1.id, "other", {{{ended, kClearedEntry, "", "recovered"}}}, moment);
    pass(seconds(3));
    up(life);
    const auto* past = core->alarms().history().find(f1.id);
    ASSERT_NE(past, nullptr);
    EXPECT_EQ(past->tracked.fault.clear_reason, "recovered");
    EXPECT_EQ(past->tracked.fault.cleared_at, ended);
}

TEST_F(AbsenceTest, AFaultWhoseGuestItsAgentDoesNotFindIsUnconfirmedUntilItDoes) {
    source.names_all = true;
    const auto why = [&] {
        const auto unconfirmed = core->evidence().unconfirmed(*tracked("f1"));
        return unconfirmed ? unconfirmed->why : "";
    };
    message("compute-1", bus::Faults{{f1}, {}, 0, true});
    EXPECT_EQ(why(), "its agent does not find its guest");
    restart();
    EXPECT_EQ(why(), "its agent does not find its guest");
    up(hello("compute-1"), {f1});
    EXPECT_EQ(why(), "");
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    message("compute-1", bus::Faults{{f1}, {}, 0, true});
    pass(seconds(60));
    EXPECT_THAT(take(), IsEmpty());
    remove("g1");
    pass(seconds(60));
    EXPECT_THAT(take(), ElementsAre("f1 cleared 2")) << "the cloud has deleted its guest";
    EXPECT_FALSE(received<bus::HandBack>("compute-1").empty());
}

TEST_F(AbsenceTest, AnotherOutageOfAnAgentHasAnotherRevision) {
    const auto outage = [&] {
        down("compute-1");
        pass(seconds(120));
        const std::uint64_t raised = last_alarm.revision;
        up(hello("compute-1"));
        pass(seconds(20));
        return raised;
    };
    const std::uint64_t first = outage();
    EXPECT_GT(outage(), first);
    restart();
    EXPECT_GT(outage(), first);
}

TEST_F(AbsenceTest, WhatAnOperatorClosedStaysClosedThoughNoHistoryIsKept) {
    Core::Options options{{base::HostId("ctl")}, {}, std::chrono::hours(24)};
    options.alarms.history = 0;
    core->set_limits(options);
    const auto agent = hello("compute-1");
    up(agent, {f1});
    down("compute-1");
    pass(seconds(6));
    ASSERT_TRUE(core->clear_by_operator(f1.id, "replaced", moment));
    pass(seconds(2));
    take();
    const std::size_t before = received<bus::HandBack>("compute-1").size();
    up(hello("compute-1"), {f1});
    pass(seconds(2));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1"))));
    EXPECT_EQ(received<bus::HandBack>("compute-1").size(), before + 1) << "its agent closes it, too";
}

TEST_F(CoreTest, AnAgentIsSentThatAGuestOnItsWayWasRegistered) {
    model::GuestReport there = answering("g1", "held");
    there.hold = "migrating";
    there.registered_since = moment.wall;
    model::GuestReport here;
    here.guest = base::GuestId("g1");
    here.state = "unregistered";
    const auto sent_to = [&] { return received<bus::HandBack>("compute-2").size(); };
    up(hello("compute-2"));
    const std::size_t before = sent_to();
    message("compute-2", bus::Guests{{here}, {}});
    EXPECT_EQ(sent_to(), before) << "nobody else knows it";
    up(hello("compute-1"), {}, {there});
    message("compute-2", bus::Guests{{here}, {}});
    ASSERT_EQ(sent_to(), before + 1);
    const auto moving = received<bus::HandBack>("compute-2").back();
    EXPECT_TRUE(moving.moving);
    ASSERT_EQ(moving.guests.size(), 1U);
    EXPECT_EQ(moving.guests.front().registered_since, there.registered_since);
    here.registered_since = moment.wall;
    message("compute-2", bus::Guests{{here}, {}});
    EXPECT_EQ(sent_to(), before + 1) << "it has registered there";
}

}  // namespace
}  // namespace vitalwire::controller
