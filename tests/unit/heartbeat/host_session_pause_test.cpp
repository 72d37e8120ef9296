#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/heartbeat/host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// How long it runs, in slices of `slice`, until it is lost; at most a minute.
Millis ran_until_lost(Host& host, Millis slice, Millis pause) {
    Millis ran{};
    while (!host.session().fault_open(FaultKind::heartbeat_lost) && ran < Millis(60'000)) {
        host.run(slice);
        ran += slice;
        host.on(Inhibited{Inhibit::paused});
        host.run(pause);
        host.on(Released{});
        host.run(Millis(0));
    }
    return ran;
}

TEST(HostSession, H21_AGuestThatHangsIsFoundThoughItIsPausedAgainAndAgain) {
    for (const int slice : {5, 50, 300, 590, 1600, 1999}) {
        Host host;
        host.detected_within_900();
        const Millis ran = ran_until_lost(host, Millis(slice), Millis(500));
        EXPECT_GE(ran, Millis(600)) << slice;
        EXPECT_LE(ran, Millis(2000 + slice)) << slice;
    }
}

TEST(HostSession, H21_ThePauseItselfDoesNotCount) {
    Host host;
    host.detected_within_900();
    EXPECT_GE(ran_until_lost(host, Millis(300), std::chrono::hours(1)), Millis(1800));
}

TEST(HostSession, H21_MissesAddUpOverPauses) {
    Host host;
    host.beating(Dialect::cgcs).run(Millis(1500));
    EXPECT_EQ(host.session().counters().misses, 1U);
    host.on(Inhibited{Inhibit::paused});
    host.after(Millis(5000)).on(Released{});
    EXPECT_THAT(host.run(Millis(2500)), testing::Contains("1500 open heartbeat_lost silent"));
}

TEST(HostSession, H21_AGuestThatAnswersHasItsWholeTimeAfterEachPause) {
    Host host;
    host.detected_within_900();
    std::int64_t challenge = 1;
    for (int i = 0; i < 20; ++i) {
        host.answer(challenge);
        host.run(Millis(400));
        challenge = static_cast<std::int64_t>(host.session().counters().challenges);
        host.on(Inhibited{Inhibit::paused});
        host.after(Millis(100)).on(Released{});
        EXPECT_THAT(host.run(Millis(250)), testing::Not(testing::Contains(testing::HasSubstr("open"))));
        challenge = static_cast<std::int64_t>(host.session().counters().challenges);
    }
    EXPECT_FALSE(host.session().fault_open(FaultKind::heartbeat_lost));
}

TEST(HostSession, H21_AnAnswerToAChallengeOfBeforeThePauseIsASignOfLife) {
    Host host;
    host.beating().after(Millis(900)).on(Inhibited{Inhibit::paused});
    host.after(Millis(5000)).on(Released{});
    EXPECT_THAT(host.answer(1), IsEmpty());
    EXPECT_EQ(host.session().counters().responses, 1U);
    EXPECT_EQ(host.session().counters().late, 0U);
    EXPECT_EQ(host.session().round_trips().last(), base::Duration{}) << "the pause is no time that it took";
}

TEST(ChallengeWindow, NoAnswerIsLateToAChallengeWhoseDeadlineIsSuspended) {
    ChallengeWindow window;
    const base::TimePoint start{std::chrono::hours(1)};
    window.sent(1, start, start + Millis(600));
    EXPECT_EQ(window.oldest_running(), start);
    window.suspend_deadlines();
    EXPECT_EQ(window.deadline(), base::kNever);
    EXPECT_EQ(window.oldest_running(), base::kNever);
    EXPECT_EQ(window.expire(start + Millis(600)), 0);
    window.sent(2, start + Millis(5000), start + Millis(7000));
    const auto settled = window.answered(1, start + Millis(5010));
    EXPECT_EQ(settled.answer, ChallengeWindow::Answer::in_time);
    EXPECT_FALSE(settled.waited);
    EXPECT_EQ(window.answered(2, start + Millis(5020)).waited, Millis(20));
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
