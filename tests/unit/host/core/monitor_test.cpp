#include "host/core/monitor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

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

/// Counts up, so that a run repeats exactly.
class CountingEntropy final : public IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s" + std::to_string(++sessions_)); }
    base::FaultId fault_id() override { return base::FaultId("f" + std::to_string(++faults_)); }

private:
    std::int64_t challenges_ = 0;
    int sessions_ = 0;
    int faults_ = 0;
};

/// A host in virtual time: events go in by name of the guest, everything that comes out is written down in words.
class MonitorTest : public testing::Test, protected Monitor::Output {
protected:
    MonitorTest() : monitor_(Monitor::Settings{}, ids_, *this) {}

    // What happens.
    void at(Millis since_start) {
        const base::TimePoint until = base::TimePoint{} + since_start;
        while (monitor_.next_deadline() <= until) {
            now_ = std::max(now_, monitor_.next_deadline());
            monitor_.tick(now_, wall());
        }
        now_ = until;
    }
    void step(const char* guest, const heartbeat::HostEvent& event) {
        monitor_.step(GuestId(guest), event, now_, wall());
    }
    void connect(const char* guest) { step(guest, heartbeat::Connected{Dialect::native}); }
    void init(const char* guest, Millis interval = Millis(1000)) {
        wire::Init pdu;
        pdu.name = std::string("name of ") + guest;
        pdu.interval = interval;
        pdu.corrective_action = model::CorrectiveAction::reboot;
        step(guest, heartbeat::Received{Dialect::native, pdu});
    }
    void registered(const char* guest, Millis interval = Millis(1000)) {
        connect(guest);
        init(guest, interval);
        monitor_.tick(now_, wall());
        answer(guest);
    }
    void answer(const char* guest, bool healthy = true, const std::string& reason = "") {
        const wire::Challenge& challenge = challenges_.at(guest);
        step(guest, heartbeat::Received{Dialect::native, wire::ChallengeResponse{
                                                             challenge.session, challenge.value, healthy, reason, {}}});
    }
    void policy(const char* guest, bool complete = true) {
        model::GuestPolicy wish;
        wish.guest = GuestId(guest);
        wish.heartbeat = true;
        monitor_.set_policies({complete, {wish}}, now_, wall());
    }
    std::vector<std::string> take() { return std::exchange(log_, {}); }
    std::string state(const char* guest) {
        const auto report = monitor_.report(GuestId(guest));
        return report ? report->state : "not shown";
    }
    base::WallTime wall() const {
        return base::WallTime{} + std::chrono::duration_cast<base::WallTime::duration>(now_.time_since_epoch());
    }

    // What comes out.
    void send(const GuestKey& guest, Dialect, const wire::HeartbeatPdu& pdu) override {
        if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) challenges_[guest.id().str()] = *challenge;
    }
    void final_drain(const GuestKey& guest, Dialect) override {
        if (unread_.erase(guest.id().str()) > 0) answer(guest.id().str().c_str());
    }
    void fault_changed(const model::Fault& fault) override {
        std::string line = fault.open() ? (fault.revision == 1 ? "open " : "update ") : "clear ";
        line += fault.guest.str() + ' ' + std::string(to_string(fault.kind));
        const std::string& why = fault.open() ? fault.detail + fault.reason : fault.clear_reason;
        log_.push_back(why.empty() ? line : line + ' ' + why);
        faults_[fault.id.str()] = fault;
    }
    void fault_delivered(const model::Fault& fault) override { log_.push_back("delivered " + fault.id.str()); }
    void fault_forgotten(const base::FaultId& fault, bool dropped) override {
        log_.push_back((dropped ? "dropped " : "forgotten ") + fault.str());
    }
    void guest_changed(const GuestId& guest) override { changes_.push_back(guest.str()); }
    void guest_gone(const GuestId& guest) override { changes_.push_back("gone " + guest.str()); }
    void guest_warned(const GuestId&, const std::string& name, const std::string& warning) override {
        log_.push_back(name + " warns of " + warning);
    }
    void save(const GuestId& guest, const heartbeat::SaveRegistration& saved) override { saved_[guest.str()] = saved; }
    void closed_changed(const GuestId&, model::FaultKind, const std::optional<heartbeat::OpenFault>&) override {}
    void standing_changed(const GuestId&, std::optional<heartbeat::Inhibit>) override {}

    CountingEntropy ids_;
    Monitor monitor_;
    base::TimePoint now_{};
    std::map<std::string, wire::Challenge> challenges_;
    std::map<std::string, model::Fault> faults_;
    std::map<std::string, heartbeat::SaveRegistration> saved_;
    std::set<std::string> unread_;  ///< guests whose answer lies in the channel, not read yet
    std::vector<std::string> log_;
    std::vector<std::string> changes_;
};

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

TEST_F(MonitorTest, TellsWhatAHealthyGuestWarnsOfUntilItWarnsNoMore) {
    registered("a", Millis(100));
    changes_.clear();
    for (int beat = 1; beat <= 3; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning: application db is not watched");
    }
    EXPECT_THAT(take(), ElementsAre("name of a warns of warning: application db is not watched"));
    EXPECT_THAT(changes_, ElementsAre("a"));
    EXPECT_EQ(state("a"), "registered");
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "warning: application db is not watched");
    at(Millis(400));
    answer("a");
    EXPECT_THAT(take(), ElementsAre("name of a warns of "));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "");
}

TEST_F(MonitorTest, TheWarningOfAnUnhealthyGuestIsInItsReason) {
    registered("a", Millis(100));
    at(Millis(100));
    answer("a", false, "disk; warning: db");
    EXPECT_THAT(take(), ElementsAre("open a unhealthy disk; warning: db"));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "");
}

TEST_F(MonitorTest, AWarningEndsWithTheRegistration) {
    registered("a", Millis(100));
    at(Millis(100));
    answer("a", true, "db");
    step("a", heartbeat::Stopped{heartbeat::StopReason::domain_stopped});
    EXPECT_THAT(take(), ElementsAre("name of a warns of db", "name of a warns of "));
}

TEST_F(MonitorTest, TellsAWarningThatChangesWithEveryAnswerAFewTimesAndShowsTheLast) {
    registered("a", Millis(100));
    for (int beat = 1; beat <= 290; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning " + std::to_string(beat));
    }
    EXPECT_THAT(take(), testing::SizeIs(4));
    EXPECT_EQ(monitor_.report(GuestId("a"))->warning, "warning 290");
    for (int beat = 291; beat <= 310; ++beat) {
        at(Millis(100 * beat));
        answer("a", true, "warning 290");
    }
    EXPECT_THAT(take(), ElementsAre("name of a warns of warning 290"));
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
