#include "host/core/controller_sync.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/overloaded.hpp"

namespace vitalwire::host {
namespace {

using base::FaultId;
using base::GuestId;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using wire::Dialect;

std::string in_words(const bus::ToController& message) {
    return std::visit(
        base::overloaded{
            [](const bus::Hello& hello) { return std::string(hello.is_primary ? "hello primary" : "hello"); },
            [](const bus::PrimaryChanged& changed) { return std::string(changed.is_primary ? "primary" : "standby"); },
            [](const bus::SnapshotBegin&) { return std::string("begin"); },
            [](const bus::SnapshotEnd&) { return std::string("end"); },
            [](const bus::Guests& guests) {
                std::string out = "guests";
                for (const auto& report : guests.guests)
                    out += ' ' + report.guest.str() + '=' + report.state;
                return out;
            },
            [](const bus::GuestGone& gone) { return "gone " + gone.guest.str(); },
            [](const bus::Faults& faults) {
                std::string out = "faults";
                for (const auto& fault : faults.faults)
                    out += ' ' + fault.guest.str() + '#' + std::to_string(fault.revision) + '/' +
                           std::to_string(fault.delivered);
                return out;
            },
            [](const bus::AgentProblems& list) { return "problems " + std::to_string(list.problems.size()); },
            [](const auto&) { return std::string("another message"); }},
        message);
}

constexpr base::Millis kReportInterval{60'000};

/// An agent's sessions in virtual time; controllers are named A, B, ... in the order in which they were added.
class ControllerSyncTest : public testing::Test, protected Monitor::Output, protected ControllerSync::Output {
protected:
    ControllerSyncTest() : monitor_({}, ids_, static_cast<Monitor::Output&>(*this)) { make(false); }

    void make(bool discovery) {
        controllers_ = std::make_unique<ControllerSync>(ControllerSync::Identity{base::HostId("node"), "1", "i"},
                                                        monitor_, ControllerSync::Timing{kReportInterval}, discovery,
                                                        static_cast<ControllerSync::Output&>(*this));
    }
    void start(int links) {
        for (int i = 0; i < links; ++i)
            controllers_->add(std::string(1, static_cast<char>('A' + i)), {});
        controllers_->start("state-1", 3, {}, now_);
    }
    void up(std::size_t link) { controllers_->link_up(link, {now_, {}}); }
    void accepted(std::size_t link) { up(link), controllers_->received(link, bus::Welcome{1, "ctl-1"}, {now_, {}}); }
    void down(std::size_t link) { controllers_->link_down(link, "gone", {now_, {}}); }
    void after(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (controllers_->next_due() <= until) {
            now_ = std::max(now_, controllers_->next_due());
            controllers_->tick(now_);
        }
        now_ = until;
    }
    /// `speaking` controllers keep alive, the agent looks every probe.
    void keep_alive(const std::vector<std::size_t>& speaking, base::Millis time) {
        for (const base::TimePoint end = now_ + time; now_ < end;) {
            for (const std::size_t link : speaking)
                controllers_->link_alive(link, now_);
            after(heartbeat::StallClock::kProbe);
            controllers_->check_silence(now_);
        }
    }
    std::string primary() const {
        for (const auto& link : controllers_->status()) {
            if (link.primary) return link.name;
        }
        return "none";
    }
    /// Registers and falls silent.
    void lose(const char* guest) {
        monitor_.step(GuestId(guest), heartbeat::Connected{Dialect::native}, now_, {});
        monitor_.step(GuestId(guest), heartbeat::Received{Dialect::native, wire::Init{}}, now_, {});
        monitor_.tick(now_, {});
        now_ += std::chrono::seconds(1);
        monitor_.tick(now_, {});
    }
    std::vector<std::string> take() {
        after(base::Duration::zero());
        return std::exchange(sent_, {});
    }

    // Monitor::Output
    void send(const GuestKey&, Dialect, const wire::HeartbeatPdu&) override {}
    void final_drain(const GuestKey&, Dialect) override {}
    void fault_changed(const model::Fault& fault) override {
        last_fault_ = fault.id;
        controllers_->fault_changed(fault);
    }
    void fault_delivered(const model::Fault&) override {}
    void fault_forgotten(const FaultId&, bool) override {}
    void guest_changed(const GuestId& guest) override { controllers_->guest_changed(guest); }
    void guest_gone(const GuestId& guest) override { controllers_->guest_gone(guest); }
    void guest_warned(const GuestId&, const std::string&, const std::string&) override {}
    void save(const GuestId&, const heartbeat::SaveRegistration&) override {}
    void closed_changed(const GuestId&, model::FaultKind, const std::optional<heartbeat::OpenFault>&) override {}
    void standing_changed(const GuestId&, std::optional<heartbeat::Inhibit>) override {}
    void waited_changed(const GuestId&, const heartbeat::Waited&) override {}

    // ControllerSync::Output
    void send(ControllerSync::LinkId link, const bus::ToController& message) override {
        sent_.push_back(std::string(1, static_cast<char>('A' + link)) + ": " + in_words(message));
    }
    void retry_now(ControllerSync::LinkId link) override { retried_.push_back(link); }
    void leave_at_broker(const bus::Faults& faults) override { left_at_broker_.push_back(in_words(faults)); }
    void policies_changed(const bus::Policies& policies) override { policies_ += policies.policies.size(); }
    void faults_delivered(const bus::FaultsDelivered& delivered) override {
        for (const auto& item : delivered.items)
            monitor_.delivered(item.fault, item.revision);
    }
    void handed_back(const bus::HandBack&) override {}
    void maintenance_changed(const bus::GuestMaintenance&) override { ++maintenance_; }
    void primary_changed(bool any) override { primaries_.push_back(any); }
    void group_message(const bus::ToAgent&) override { ++group_messages_; }
    void broadcast(const bus::GroupDeliver&, const group::Route& route) override { routes_.push_back(route); }
    void reachable_changed(bool any_up) override { reachable_.push_back(any_up); }

    SystemIdGenerator ids_;
    Monitor monitor_;
    std::unique_ptr<ControllerSync> controllers_;
    std::vector<std::string> sent_;
    std::vector<std::string> left_at_broker_;
    std::vector<ControllerSync::LinkId> retried_;
    std::vector<bool> primaries_;  ///< any controller, at each change
    std::vector<bool> reachable_;
    int group_messages_ = 0;
    std::vector<group::Route> routes_;
    int maintenance_ = 0;
    std::size_t policies_ = 0;
    FaultId last_fault_;
    base::TimePoint now_{std::chrono::hours(1)};
};

TEST_F(ControllerSyncTest, APrimaryThatFallsSilentIsReplacedWithinItsPatience) {
    start(2);
    up(0);
    up(1);
    lose("a");
    const std::string first = primary();
    const std::size_t silent = first == "A" ? 0 : 1;
    keep_alive({0, 1}, std::chrono::seconds(2));
    take();
    keep_alive({1 - silent}, base::Millis(800));
    EXPECT_EQ(primary(), first);
    keep_alive({1 - silent}, base::Millis(100));
    EXPECT_NE(primary(), first);
    EXPECT_THAT(take(), testing::IsSupersetOf({first == "A" ? "A: standby" : "B: standby",
                                               first == "A" ? "B: primary" : "A: primary",
                                               first == "A" ? "B: faults a#1/0" : "A: faults a#1/0"}))
        << "the silent one learns of it when it reads again";
    EXPECT_EQ(controllers_->links_up(), 2U);
}

TEST_F(ControllerSyncTest, OneThatIsHeardAgainIsPrimaryAgainWhenItsTurnComes) {
    start(2);
    up(0);
    up(1);
    const std::string first = primary();
    const std::size_t silent = first == "A" ? 0 : 1;
    keep_alive({0, 1}, std::chrono::seconds(1));
    keep_alive({1 - silent}, std::chrono::seconds(1));
    ASSERT_NE(primary(), first);
    keep_alive({0, 1}, std::chrono::seconds(1));
    EXPECT_NE(primary(), first) << "no change without need";
    keep_alive({silent}, std::chrono::seconds(1));
    EXPECT_EQ(primary(), first);
}

TEST_F(ControllerSyncTest, ASecondUrlOfAControllerIsTriedAtOnceWhenTheFirstIsLost) {
    start(3);
    for (const std::size_t link : {0, 1, 2})
        up(link);
    controllers_->received(0, bus::Welcome{1, "ctl-1"}, {});
    controllers_->received(1, bus::Rejected{"connected by another URL", base::Millis(10'000), true}, {});
    controllers_->received(2, bus::Rejected{"not of this cloud", base::Millis(10'000)}, {});
    down(1);
    down(2);
    EXPECT_THAT(retried_, testing::IsEmpty());
    EXPECT_EQ(controllers_->rejections(), "C: not of this cloud") << "a second URL is none";
    down(0);
    EXPECT_THAT(retried_, ElementsAre(1));
    down(0);
    EXPECT_THAT(retried_, ElementsAre(1));
}

TEST_F(ControllerSyncTest, WhenNoControllerIsHeardThePrimaryStays) {
    start(2);
    up(0);
    up(1);
    const std::string first = primary();
    keep_alive({0, 1}, std::chrono::seconds(1));
    keep_alive({}, std::chrono::seconds(2));
    EXPECT_EQ(primary(), first) << "this host is cut off";
}

TEST_F(ControllerSyncTest, AnAgentThatStoodStillReplacesNobody) {
    start(2);
    up(0);
    up(1);
    keep_alive({0, 1}, std::chrono::seconds(1));
    const std::string first = primary();
    const std::size_t other = first == "A" ? 1 : 0;
    now_ += std::chrono::seconds(5);
    controllers_->link_alive(other, now_);  // read first
    controllers_->check_silence(now_);
    now_ += base::Millis(40);
    keep_alive({0, 1}, std::chrono::seconds(1));
    EXPECT_EQ(primary(), first);
}

TEST_F(ControllerSyncTest, AControllerOfAReleaseBeforePromisesNothing) {
    start(2);
    up(0);
    up(1);
    const std::string first = primary();
    keep_alive({first == "A" ? std::size_t{1} : std::size_t{0}}, std::chrono::seconds(5));
    EXPECT_EQ(primary(), first);
}

TEST_F(ControllerSyncTest, LeavesFaultsForControllersThatAreYetToBeFound) {
    EXPECT_FALSE(controllers_->any());
    make(true);
    EXPECT_TRUE(controllers_->any());
    start(0);
    lose("g");
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(std::exchange(left_at_broker_, {}), ElementsAre("faults g#1/0"));
    controllers_->leave_unacknowledged_at_broker();
    EXPECT_THAT(left_at_broker_, ElementsAre("faults g#1/0")) << "the broker may have been away";
    controllers_->add("A", {});
    up(0);
    EXPECT_THAT(take(), ElementsAre("A: hello primary", "A: begin", "A: guests g=lost", "A: faults g#1/0", "A: end",
                                    "A: problems 0"));
    controllers_->add("B", {});
    up(1);
    EXPECT_EQ(take().front(), "B: hello");
}

TEST_F(ControllerSyncTest, PrefersControllersInAnOrderOfTheHostsOwn) {
    const auto order = [this](const std::vector<std::string>& names) {
        ControllerSync some({base::HostId("node"), "1", "i"}, monitor_, {kReportInterval}, false,
                            static_cast<ControllerSync::Output&>(*this));
        for (const std::string& name : names)
            some.add(name, {});
        std::vector<std::string> found;
        for (const auto& link : some.status())
            found.push_back(link.name);
        return found;
    };
    EXPECT_EQ(order({"A", "B", "C", "D"}), order({"D", "B", "A", "C"}));
}

TEST_F(ControllerSyncTest, SendsASnapshotToAControllerThatConnects) {
    start(1);
    lose("g");
    EXPECT_THAT(take(), IsEmpty());
    up(0);
    EXPECT_THAT(take(), ElementsAre("A: hello primary", "A: begin", "A: guests g=lost", "A: faults g#1/0", "A: end",
                                    "A: problems 0"));
}

TEST_F(ControllerSyncTest, TheFirstIsPrimaryAndChangesGoToAll) {
    start(2);
    up(1);
    up(0);
    EXPECT_THAT(take(), ElementsAre("B: hello primary", "B: begin", "B: end", "B: problems 0", "A: hello", "A: begin",
                                    "A: end", "A: problems 0"));
    lose("g");
    EXPECT_THAT(take(), AllOf(Contains("A: faults g#1/0"), Contains("B: faults g#1/0"), Contains("A: guests g=lost"),
                              Contains("B: guests g=lost")));
}

TEST_F(ControllerSyncTest, ElectsAnotherPrimaryAndSendsItWhatTheFirstHasDelivered) {
    start(2);
    up(0);
    up(1);
    lose("g");
    controllers_->received(0, bus::FaultsDelivered{{{last_fault_, 1}}}, {});
    take();
    down(0);
    EXPECT_THAT(take(), ElementsAre("B: primary", "B: faults g#1/1"));
    up(0);
    EXPECT_EQ(take().front(), "A: hello");
    const auto status = controllers_->status();
    EXPECT_EQ(std::count_if(status.begin(), status.end(), [](const auto& link) { return link.primary; }), 1);
}

TEST_F(ControllerSyncTest, AnotherIsPrimaryInPlaceOfOneThatIsNoLongerConfigured) {
    start(2);
    up(0);
    up(1);
    const std::string first = primary();
    take();
    controllers_->remove(first == "A" ? 0 : 1, {now_, {}});
    ASSERT_THAT(controllers_->status(), SizeIs(1));
    EXPECT_EQ(primary(), first == "A" ? "B" : "A");
    lose("g1");
    for (const std::string& message : take())
        EXPECT_FALSE(message.starts_with(first)) << message;
}

TEST_F(ControllerSyncTest, OneThatIsConfiguredLaterIsAnother) {
    start(2);
    up(0);
    up(1);
    controllers_->remove(0, {now_, {}});
    EXPECT_EQ(controllers_->add("C", {}), 2U);
    take();
    up(2);
    EXPECT_THAT(take(), Not(IsEmpty())) << "a snapshot";
    controllers_->remove(1, {now_, {}});
    EXPECT_EQ(primary(), "C");
}

TEST_F(ControllerSyncTest, KeepsFaultsWhileNoControllerIsThere) {
    start(1);
    up(0);
    take();
    down(0);
    lose("g");
    monitor_.gone(GuestId("g"), heartbeat::StopReason::removed, now_, {});
    EXPECT_THAT(take(), IsEmpty());
    up(0);
    EXPECT_THAT(take(), ElementsAre("A: hello primary", "A: begin", "A: faults g#2/0", "A: end", "A: problems 0"));
    controllers_->received(0, bus::FaultsDelivered{{{last_fault_, 2}}}, {});
    EXPECT_EQ(monitor_.faults().size(), 0U);
}

TEST_F(ControllerSyncTest, SendsManyGuestsInPieces) {
    start(1);
    for (int i = 0; i < 450; ++i)
        monitor_.step(GuestId("g" + std::to_string(i)), heartbeat::Connected{Dialect::native}, now_, {});
    take();
    up(0);
    const auto sent = take();
    EXPECT_EQ(std::count_if(sent.begin(), sent.end(), [](const auto& line) { return line.starts_with("A: guests"); }),
              3);
}

TEST_F(ControllerSyncTest, ReportsAGuestThatChangedSeveralTimesInATurnOnce) {
    start(1);
    up(0);
    take();
    const GuestId guest("g");
    monitor_.step(guest, heartbeat::Connected{Dialect::native}, now_, {});
    monitor_.step(guest, heartbeat::Received{Dialect::native, wire::Init{}}, now_, {});
    monitor_.step(guest, heartbeat::Inhibited{heartbeat::Inhibit::paused}, now_, {});
    EXPECT_THAT(take(), ElementsAre("A: guests g=held"));
    monitor_.gone(guest, heartbeat::StopReason::removed, now_, {});
    EXPECT_THAT(take(), ElementsAre("A: gone g"));
}

TEST_F(ControllerSyncTest, ReportsAllGuestsEveryReportInterval) {
    start(2);
    up(0);
    monitor_.step(GuestId("g"), heartbeat::Connected{Dialect::native}, now_, {});
    take();
    after(kReportInterval - base::Millis(1));
    EXPECT_THAT(take(), IsEmpty());
    after(base::Millis(1));
    EXPECT_THAT(take(), ElementsAre("A: guests g=unregistered")) << "and nothing to the one that is down";
    after(kReportInterval);
    EXPECT_THAT(take(), ElementsAre("A: guests g=unregistered"));
}

TEST_F(ControllerSyncTest, ResendsToThePrimaryWhatItHasNotAcknowledged) {
    start(2);
    up(0);
    up(1);
    lose("g");
    take();
    after(std::chrono::seconds(30));
    EXPECT_THAT(take(), ElementsAre("A: faults g#1/0"));
    controllers_->received(0, bus::FaultsDelivered{{{last_fault_, 1}}}, {});
    after(std::chrono::seconds(29));
    take();
    after(std::chrono::seconds(30));
    EXPECT_THAT(take(), testing::Not(Contains("A: faults g#1/1")));
}

TEST_F(ControllerSyncTest, ReportsAsUnreachableOnlyWhatStaysAway) {
    start(1);
    after(std::chrono::seconds(5));
    EXPECT_THAT(std::exchange(reachable_, {}), ElementsAre(false)) << "none since the start";
    up(0);
    controllers_->received(0, bus::Rejected{"another one is connected", base::Millis(0)}, {});
    down(0);
    EXPECT_EQ(controllers_->rejections(), "A: another one is connected");
    EXPECT_THAT(reachable_, IsEmpty()) << "an attempt that is rejected reaches no controller";
    accepted(0);
    EXPECT_EQ(controllers_->rejections(), "");
    EXPECT_THAT(std::exchange(reachable_, {}), ElementsAre(true));
    down(0);
    after(std::chrono::seconds(4));
    accepted(0);
    after(std::chrono::seconds(10));
    EXPECT_THAT(std::exchange(reachable_, {}), ElementsAre(true)) << "one that restarts";
    down(0);
    after(std::chrono::seconds(5));
    EXPECT_THAT(reachable_, ElementsAre(false));
}

TEST_F(ControllerSyncTest, HandsOnPolicies) {
    start(1);
    up(0);
    controllers_->received(0, bus::Policies{true, {model::GuestPolicy{}, model::GuestPolicy{}}}, {});
    EXPECT_EQ(policies_, 2U);
}

TEST_F(ControllerSyncTest, WhoIsInMaintenanceThePrimaryAloneSays) {
    start(2);
    up(0);
    up(1);
    controllers_->received(1, bus::GuestMaintenance{}, {});
    EXPECT_EQ(maintenance_, 0);
    controllers_->received(0, bus::GuestMaintenance{}, {});
    EXPECT_EQ(maintenance_, 1);
}

TEST_F(ControllerSyncTest, RemembersWhyAControllerWasLostOrRejectedTheAgent) {
    start(1);
    up(0);
    controllers_->received(0, bus::Rejected{"too old"}, {});
    EXPECT_EQ(controllers_->status().at(0).last_error, "too old");
    down(0);
    EXPECT_EQ(controllers_->status().at(0).last_error, "gone");
    EXPECT_EQ(controllers_->links_lost(), 1U);
}

std::vector<std::string> g_rejections;

TEST_F(ControllerSyncTest, ARejectionThatIsRepeatedIsOneLineOfTheLog) {
    g_rejections.clear();
    log::set_backend([](log::Level level, std::string_view line) {
        if (level == log::Level::error) g_rejections.emplace_back(line);
    });
    start(1);
    for (int i = 0; i < 100; ++i) {
        up(0);
        controllers_->received(0, bus::Rejected{"too old"}, {});
        down(0);
    }
    EXPECT_THAT(g_rejections, SizeIs(1));
    up(0);
    controllers_->received(0, bus::Rejected{"too young"}, {});
    EXPECT_THAT(g_rejections, SizeIs(2));
    log::set_backend([](log::Level, std::string_view) {});
}

TEST_F(ControllerSyncTest, ShowsHowFarTheControllersClockIsFromOurs) {
    const auto ahead = [this] { return controllers_->status().at(0).clock_ahead; };
    const base::WallTime ours{std::chrono::hours(1)};
    start(1);
    up(0);
    controllers_->received(0, bus::Welcome{1, "ctl-1"}, {{}, ours});
    EXPECT_FALSE(ahead()) << "a controller of an earlier release";
    controllers_->received(0, bus::Welcome{1, "ctl-1", ours - std::chrono::seconds(90)}, {{}, ours});
    EXPECT_EQ(ahead(), base::Millis(-90'000));
    down(0);
    EXPECT_FALSE(ahead());
}

TEST_F(ControllerSyncTest, ItsListOfProblemsFollowsTheSnapshotAlsoWhenItIsEmpty) {
    start(2);
    controllers_->problems_changed({{{"disk full", "", {}, {}}}});
    up(0);
    EXPECT_THAT(take(), ElementsAre("A: hello primary", "A: begin", "A: end", "A: problems 1"));
    controllers_->problems_changed({});
    EXPECT_THAT(take(), ElementsAre("A: problems 0"));
    up(1);
    EXPECT_THAT(take(), Contains("B: problems 0")) << "it may know of some from before";
}

TEST_F(ControllerSyncTest, AsksThePrimaryForTheServerGroupAndTakesAnswersFromItOnly) {
    start(2);
    EXPECT_FALSE(controllers_->send_to_primary(bus::GroupQuery{1, GuestId("g1")})) << "there is none";
    up(0);
    up(1);
    take();
    EXPECT_TRUE(controllers_->send_to_primary(bus::GroupQuery{1, GuestId("g1")}));
    EXPECT_THAT(take(), ElementsAre("A: another message"));
    controllers_->received(1, bus::GroupStatus{1, {}, true}, {});
    controllers_->received(1, bus::GroupNotify{}, {});
    EXPECT_EQ(group_messages_, 0) << "of one that was not asked";
    controllers_->received(1, bus::GroupDeliver{}, {});
    controllers_->received(0, bus::GroupStatus{1, {}, true}, {});
    EXPECT_EQ(group_messages_, 1);
    EXPECT_EQ(routes_.size(), 1U) << "a broadcast comes by any";
}

TEST_F(ControllerSyncTest, KnowsSinceWhenABroadcastMayHaveBeenHeldUp) {
    const auto held_up_since = [this] {
        controllers_->received(0, bus::GroupDeliver{}, {now_, {}});
        return routes_.back().held_up_since;
    };
    start(2);
    up(0);
    up(1);
    keep_alive({0, 1}, std::chrono::seconds(2));
    EXPECT_EQ(held_up_since(), base::kNever);
    const base::TimePoint silent_from = now_ - heartbeat::StallClock::kProbe;
    keep_alive({1}, std::chrono::seconds(2));
    EXPECT_EQ(held_up_since(), silent_from) << "read before the sign of life behind it";
    keep_alive({0, 1}, base::Millis(500));
    EXPECT_EQ(held_up_since(), silent_from) << "the rest of the backlog";
    keep_alive({0, 1}, std::chrono::seconds(1));
    EXPECT_EQ(held_up_since(), base::kNever);
    EXPECT_EQ(routes_.back().link, 0U);
}

TEST_F(ControllerSyncTest, SaysWhenAnotherControllerIsPrimaryOrNone) {
    start(2);
    up(0);
    up(1);
    down(0);
    down(1);
    EXPECT_THAT(primaries_, ElementsAre(true, true, false));
}

}  // namespace
}  // namespace vitalwire::host
