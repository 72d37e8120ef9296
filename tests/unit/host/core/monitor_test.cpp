#include "tests/unit/host/core/monitor_fixture.hpp"

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using model::FaultKind;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using wire::Dialect;

TEST_F(MonitorTest, OpensAndClearsTheFaultOfTheGuestThatFellSilent) {
    registered("a");
    registered("b");
    at(Millis(1000));
    answer("b");
    at(Millis(2000));
    EXPECT_THAT(take(), ElementsAre("open a heartbeat_lost silent"));
    EXPECT_EQ(state("a"), "lost");
    EXPECT_EQ(state("b"), "registered");

    answer("a");
    EXPECT_THAT(take(), ElementsAre("clear a heartbeat_lost recovered"));
}

TEST_F(MonitorTest, GivesAFaultItsIdNameActionAndRevisions) {
    registered("a");
    at(Millis(2500));
    answer("a");
    const model::Fault& fault = faults_.at("f1");
    EXPECT_EQ(fault.guest_name, "name of a");
    EXPECT_EQ(fault.corrective_action, model::CorrectiveAction::reboot);
    EXPECT_EQ(fault.revision, 2U);
    EXPECT_EQ(fault.opened_at, base::WallTime{} + Millis(2000));
    EXPECT_EQ(fault.cleared_at, base::WallTime{} + Millis(2500));
}

TEST_F(MonitorTest, AdvisesWhatTheFlavorSaysWhenTheGuestNamesNothing) {
    model::GuestPolicy wish;
    wish.guest = GuestId("a");
    wish.heartbeat = true;
    wish.corrective_action = model::CorrectiveAction::stop;
    monitor_.set_policies({true, {wish}}, now_, wall());
    step("a", heartbeat::Started{});
    step("a", heartbeat::Crashed{heartbeat::CrashReason::panicked});
    EXPECT_EQ(faults_.at("f1").corrective_action, model::CorrectiveAction::stop);
}

TEST_F(MonitorTest, NamesTheGuestOfACrashWhoseSessionEndedWithIt) {
    registered("a");
    step("a", heartbeat::Crashed{heartbeat::CrashReason::panicked});
    EXPECT_THAT(take(), ElementsAre("open a vm_crashed panicked"));
    EXPECT_EQ(faults_.at("f1").guest_name, "name of a");
    EXPECT_EQ(faults_.at("f1").corrective_action, model::CorrectiveAction::reboot);
    EXPECT_EQ(state("a"), "crashed");
}

TEST_F(MonitorTest, TakesAnAnswerThatWaitsInTheChannelForOneInTime) {
    registered("a");
    at(Millis(1000));
    unread_.insert("a");
    at(Millis(2000));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(monitor_.report(GuestId("a"))->misses, 0U);
}

TEST_F(MonitorTest, DrainsTheChannelOnlyWhenADeadlineHasPassed) {
    connect("a");
    wire::Init pdu;
    pdu.revision = 1;
    pdu.name = "a";
    step("a", heartbeat::Received{Dialect::native, pdu});
    unread_.insert("a");
    at(Millis(599));
    EXPECT_TRUE(unread_.contains("a")) << "two challenges are out and none has expired";
    at(Millis(600));
    EXPECT_FALSE(unread_.contains("a"));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(monitor_.report(GuestId("a"))->misses, 0U);
}

TEST_F(MonitorTest, AFaultCarriesTheActionOfTheAnswerThatOpenedItAndItsChange) {
    registered("a");
    const auto unhealthy = [&](std::optional<model::CorrectiveAction> action) {
        at(now_.time_since_epoch() < Millis(1)
               ? Millis(1000)
               : std::chrono::duration_cast<Millis>(now_.time_since_epoch()) + Millis(1000));
        const wire::Challenge& challenge = challenges_.at("a");
        step("a", heartbeat::Received{Dialect::native, wire::ChallengeResponse{challenge.session, challenge.value,
                                                                               false, "disk", action}});
    };
    unhealthy({});
    EXPECT_EQ(faults_.at("f1").corrective_action, model::CorrectiveAction::reboot) << "the registered one";
    unhealthy(model::CorrectiveAction::log);
    EXPECT_THAT(take(), ElementsAre("open a unhealthy disk", "update a unhealthy disk"));
    EXPECT_EQ(faults_.at("f1").corrective_action, model::CorrectiveAction::log);
    unhealthy(model::CorrectiveAction::none);
    EXPECT_THAT(take(), IsEmpty());
    at(std::chrono::duration_cast<Millis>(now_.time_since_epoch()) + Millis(2000));
    EXPECT_EQ(faults_.at("f2").corrective_action, model::CorrectiveAction::reboot) << "what a hang calls for";
}

TEST_F(MonitorTest, AGuestWithoutADetectionTimeHasThatOfItsFlavor) {
    model::GuestPolicy wish;
    wish.guest = GuestId("a");
    wish.heartbeat = true;
    wish.detection_time = Millis(3000);
    monitor_.set_policies({true, {wish}}, now_, wall());
    connect("a");
    wire::Init pdu;
    pdu.revision = 1;
    pdu.name = "a";
    step("a", heartbeat::Received{Dialect::native, pdu});
    EXPECT_EQ(monitor_.report(GuestId("a"))->interval, Millis(1000));
    EXPECT_EQ(monitor_.report(GuestId("a"))->response_deadline, Millis(2000));
}

TEST_F(MonitorTest, WaitsForAGuestThatNeverRegistersAsLongAsItsFlavorSays) {
    model::GuestPolicy wish;
    wish.guest = GuestId("a");
    wish.heartbeat = true;
    wish.establish_timeout = Millis(10'000);
    monitor_.set_policies({true, {wish}}, now_, wall());
    connect("a");
    at(Millis(9'999));
    EXPECT_THAT(take(), IsEmpty());
    at(Millis(10'000));
    ASSERT_EQ(faults_.size(), 1U);
    EXPECT_EQ(faults_.at("f1").kind, model::FaultKind::not_established);
}

TEST_F(MonitorTest, CallsNoAnswerLateBeforeItsDeadlineWasJudged) {
    registered("a");
    at(Millis(1000));
    now_ += Millis(1300);  // this loop was busy: the deadline has passed and nobody has judged it
    answer("a");
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(monitor_.report(GuestId("a"))->late, 0U);
}

TEST_F(MonitorTest, TellsAReasonThatChangesWithEveryAnswerOnceASecond) {
    registered("a", Millis(100));
    for (int beat = 1; beat <= 30; ++beat) {
        at(Millis(100 * beat));
        answer("a", false, "reason " + std::to_string(beat));
    }
    const auto told = take();
    EXPECT_EQ(told.front(), "open a unhealthy reason 1");
    EXPECT_LE(told.size(), 5U);
    at(Millis(4000 - 1));
    EXPECT_EQ(faults_.at("f1").reason, "reason 30");
}

TEST_F(MonitorTest, ForgetsAClearedFaultWhenItsLastRevisionIsDelivered) {
    registered("a");
    at(Millis(2000));
    answer("a");
    take();
    monitor_.delivered(base::FaultId("f1"), 1);
    EXPECT_THAT(take(), ElementsAre("delivered f1"));
    EXPECT_EQ(monitor_.faults().size(), 1U);
    monitor_.delivered(base::FaultId("f1"), 2);
    EXPECT_THAT(take(), ElementsAre("forgotten f1"));
    EXPECT_EQ(monitor_.faults().size(), 0U);
}

TEST_F(MonitorTest, KeepsAnOpenFaultThatIsDelivered) {
    registered("a");
    at(Millis(2000));
    monitor_.delivered(base::FaultId("f1"), 1);
    EXPECT_EQ(monitor_.faults().size(), 1U);
    answer("a");
    EXPECT_EQ(faults_.at("f1").clear_reason, "recovered");
}

TEST_F(MonitorTest, BoundsTheFaultsOfAGuestThatComesAndGoesWhileNobodyListens) {
    registered("a", Millis(5000));  // not so often that it is flapping
    for (int beat = 1; beat <= 140; ++beat) {
        at(Millis(5000 * beat));
        answer("a", beat % 2 == 0, "");
    }
    EXPECT_LE(monitor_.faults().size(), FaultTable::kMaxCleared + 1);
    EXPECT_THAT(take(), Contains("dropped f1"));
}

TEST_F(MonitorTest, AsksForARegistrationThatThePolicyWants) {
    connect("a");
    policy("a");
    at(std::chrono::seconds(121));
    EXPECT_THAT(take(), ElementsAre("open a not_established"));
    init("a");
    EXPECT_THAT(take(), IsEmpty()) << "an init is a claim";
    monitor_.tick(now_, wall());
    answer("a");
    EXPECT_THAT(take(), ElementsAre("clear a not_established registered"));
}

TEST_F(MonitorTest, WithdrawsThePoliciesThatACompleteListDoesNotName) {
    connect("a");
    policy("a");
    policy("b");
    at(std::chrono::seconds(300));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(MonitorTest, KeepsThePoliciesThatAnIncompleteListDoesNotName) {
    connect("a");
    policy("a");
    policy("b", false);
    at(std::chrono::seconds(300));
    EXPECT_THAT(take(), ElementsAre("open a not_established"));
}

TEST_F(MonitorTest, ReportsTheMachineOfAGuestWithoutHeartbeatWhosePolicyAsksForIt) {
    model::GuestPolicy wish;
    wish.guest = GuestId("a");
    wish.machine_faults = true;
    monitor_.set_policies({true, {wish}}, now_, wall());
    for (const char* guest : {"a", "b"}) {
        step(guest, heartbeat::Started{});
        step(guest, heartbeat::WatchdogFired{"reset"});
    }
    EXPECT_THAT(take(), ElementsAre("open a watchdog_fired reset"));
    at(std::chrono::hours(1));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("not_established")))) << "nobody asked for a heartbeat";
}

TEST_F(MonitorTest, TellsOfAWatchdogThatFiresAgainAndAgainOnceASecond) {
    monitor_.configure({[] {
                           heartbeat::HostPolicy policy;
                           policy.machine_faults = true;
                           return policy;
                       }()},
                       now_, wall());
    for (int times = 0; times < 5; ++times)
        step("a", heartbeat::WatchdogFired{"reset"});
    EXPECT_THAT(take(), ElementsAre("open a watchdog_fired reset", HasSubstr("update a watchdog_fired resetagain at")));
    now_ += Millis(500);
    step("a", heartbeat::WatchdogFired{"reset"});
    EXPECT_THAT(take(), IsEmpty());
    at(Millis(1500));
    EXPECT_THAT(take(), ElementsAre(HasSubstr("update a watchdog_fired resetagain at")))
        << "though nothing else happens";
}

TEST_F(MonitorTest, RefusesGuestsWithoutAPolicyWhereOnlyEnabledOnesMayRegister) {
    monitor_.configure({{}, true}, now_, wall());
    connect("a");
    init("a");
    EXPECT_EQ(state("a"), "unregistered");
    policy("a");
    init("a");
    EXPECT_EQ(state("a"), "registered");
}

TEST_F(MonitorTest, LetsAPolicyRaiseTheFloorAndTheMisses) {
    model::GuestPolicy wish;
    wish.guest = GuestId("a");
    wish.heartbeat = true;
    wish.detect_multiplier = 3;
    wish.min_interval = Millis(500);
    monitor_.set_policies({true, {wish}}, now_, wall());
    connect("a");
    init("a", Millis(400));
    EXPECT_EQ(state("a"), "unregistered");
    init("a", Millis(500));
    monitor_.tick(now_, wall());
    at(Millis(1499));
    EXPECT_THAT(take(), IsEmpty());
    at(Millis(1500));
    EXPECT_THAT(take(), ElementsAre("open a heartbeat_lost silent"));
}

TEST_F(MonitorTest, FindsTheGuestThatHungWhileTheAgentWasDown) {
    registered("a");
    const auto saved = saved_.at("a");
    Monitor restarted({}, ids_, *this);
    restarted.restore(GuestId("a"), saved);
    restarted.found(GuestId("a"), now_);
    restarted.step(GuestId("a"), heartbeat::Connected{Dialect::native}, now_, wall());
    restarted.listed({}, Monitor::Absence::removed, now_, wall());
    take();
    while (restarted.next_deadline() < base::TimePoint{} + Millis(4999)) {
        now_ = restarted.next_deadline();
        restarted.tick(now_, wall());
    }
    EXPECT_THAT(take(), IsEmpty());
    now_ = base::TimePoint{} + Millis(5000);
    restarted.tick(now_, wall());
    EXPECT_THAT(take(), ElementsAre("open a heartbeat_lost silent"));
}

TEST_F(MonitorTest, ContinuesAnOpenFaultAfterARestartUnderItsOldId) {
    registered("a");
    at(Millis(2000));
    Monitor restarted({}, ids_, *this);
    restarted.restore(GuestId("a"), saved_.at("a"));
    restarted.restore(faults_.at("f1"));
    restarted.found(GuestId("a"), now_);
    restarted.step(GuestId("a"), heartbeat::Connected{Dialect::native}, now_, wall());
    restarted.tick(now_, wall());
    take();
    const wire::Challenge& challenge = challenges_.at("a");
    restarted.step(
        GuestId("a"),
        heartbeat::Received{Dialect::native, wire::ChallengeResponse{challenge.session, challenge.value, true, "", {}}},
        now_, wall());
    EXPECT_THAT(take(), ElementsAre("clear a heartbeat_lost recovered"));
    EXPECT_EQ(faults_.at("f1").revision, 2U);
}

TEST_F(MonitorTest, ClearsTheFaultsOfAGuestThatLeftWhileTheAgentWasDown) {
    registered("a");
    at(Millis(2000));
    Monitor restarted({}, ids_, *this);
    restarted.restore(GuestId("a"), saved_.at("a"));
    restarted.restore(faults_.at("f1"));
    take();
    restarted.listed({}, Monitor::Absence::removed, now_, wall());
    EXPECT_THAT(take(), ElementsAre("clear a heartbeat_lost removed"));
    EXPECT_TRUE(saved_.at("a").empty());
    EXPECT_EQ(restarted.next_deadline(), base::kNever);
}

TEST_F(MonitorTest, ExpectsARebootedGuestBackAfterARestartOfTheAgentToo) {
    registered("a");
    step("a", heartbeat::Rebooted{});
    Monitor restarted({}, ids_, *this);
    restarted.restore(GuestId("a"), saved_.at("a"));
    restarted.found(GuestId("a"), now_);
    take();
    now_ += std::chrono::seconds(120);
    restarted.tick(now_, wall());
    EXPECT_THAT(take(), ElementsAre("open a not_established"));
}

TEST_F(MonitorTest, TellsOfAGuestWhenWhatIsSeenOfItChangesAndNotAtEachBeat) {
    registered("a");
    EXPECT_THAT(changes_, Not(IsEmpty()));
    changes_.clear();
    for (int beat = 1; beat <= 10; ++beat) {
        at(Millis(1000 * beat));
        answer("a");
    }
    EXPECT_THAT(changes_, IsEmpty());
    step("a", heartbeat::Inhibited{heartbeat::Inhibit::paused});
    EXPECT_THAT(changes_, ElementsAre("a"));
    EXPECT_EQ(monitor_.report(GuestId("a"))->hold, "paused");
}

TEST_F(MonitorTest, TellsOfAGuestAtItsFirstAnswerWhichIsTheEvidenceThatItLives) {
    connect("a");
    init("a", Millis(1000));
    monitor_.tick(now_, wall());
    changes_.clear();
    answer("a");
    EXPECT_THAT(changes_, ElementsAre("a"));
    EXPECT_EQ(monitor_.report(GuestId("a"))->responses, 1U);
}

TEST_F(MonitorTest, ForgetsAMachineThatWasSwitchedOff) {
    registered("a");
    step("a", heartbeat::Closed{Dialect::native});
    changes_.clear();
    step("a", heartbeat::Stopped{heartbeat::StopReason::domain_stopped});
    EXPECT_EQ(changes_.back(), "gone a");
    EXPECT_EQ(state("a"), "not shown");
    EXPECT_EQ(monitor_.totals().total, 0U);
    EXPECT_EQ(monitor_.next_deadline(), base::kNever);
}

TEST_F(MonitorTest, ShowsNoMachineThatHasNothingToDoWithIt) {
    step("a", heartbeat::Started{});
    EXPECT_EQ(state("a"), "not shown");
    EXPECT_THAT(changes_, IsEmpty());
}

TEST_F(MonitorTest, KeepsTheCountsOfGuestsThatLeft) {
    registered("a");
    at(Millis(3000));
    const auto before = monitor_.counters();
    monitor_.gone(GuestId("a"), heartbeat::StopReason::removed, now_, wall());
    EXPECT_EQ(monitor_.counters().challenges, before.challenges);
    EXPECT_EQ(monitor_.counters().misses, before.misses);
}

TEST_F(MonitorTest, CountsGuestsByStateAndFaultsBySeverity) {
    registered("fine");
    registered("ill");
    answer("ill", false, "disk");
    registered("silent");
    registered("paused");
    step("paused", heartbeat::Inhibited{heartbeat::Inhibit::paused});
    connect("new");
    registered("dead");
    step("dead", heartbeat::Crashed{heartbeat::CrashReason::failed});
    at(Millis(1000));
    answer("fine");
    answer("ill", false, "disk");
    at(Millis(1999));
    answer("fine");
    at(Millis(2000));
    const Monitor::Totals totals = monitor_.totals();
    EXPECT_EQ(totals.total, 6U);
    EXPECT_EQ(totals.lost, 1U);
    EXPECT_EQ(totals.unhealthy, 1U);
    EXPECT_EQ(totals.held, 1U);
    EXPECT_EQ(totals.crashed, 1U);
    EXPECT_EQ(totals.unregistered, 1U);
    EXPECT_EQ(totals.registered, 1U);
    EXPECT_EQ(totals.critical, 2U);
    EXPECT_EQ(totals.major, 1U);
}

TEST_F(MonitorTest, JudgesThousandsOfGuestsEachByItsOwnDeadline) {
    constexpr int kGuests = 2000;
    for (int i = 0; i < kGuests; ++i) {
        at(Millis(i / 10));
        registered(("g" + std::to_string(i)).c_str());
    }
    at(Millis(5000));
    EXPECT_EQ(monitor_.totals().lost, static_cast<std::size_t>(kGuests));
    for (const auto& [id, fault] : faults_) {
        const int guest = std::stoi(fault.guest.str().substr(1));
        // Registered at guest / 10; the next challenge came an interval later, with those of its neighbours.
        const Millis unanswered(1000 + (guest / 10 + 99) / 100 * 100);
        EXPECT_EQ(fault.opened_at, base::WallTime{} + unanswered + Millis(1000)) << fault.guest.str();
    }
}

}  // namespace
}  // namespace vitalwire::host
