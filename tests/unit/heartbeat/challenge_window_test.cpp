// The challenges that may still be answered, and the times that decide when one is missed.

#include "heartbeat/challenge_window.hpp"

#include <gtest/gtest.h>

#include "heartbeat/detection.hpp"
#include "heartbeat/round_trips.hpp"

namespace vitalwire::heartbeat {
namespace {

using base::Millis;
using base::TimePoint;
using Answer = ChallengeWindow::Answer;

TimePoint at(int millis) {
    return TimePoint(std::chrono::hours(1)) + Millis(millis);
}

TEST(ChallengeWindow, AnAnswerSettlesItsChallengeAndAllBefore) {
    ChallengeWindow window;
    window.sent(1, at(0), at(600));
    window.sent(2, at(300), at(900));
    window.sent(3, at(500), at(1100));
    EXPECT_EQ(window.deadline(), at(600));
    const auto [answer, waited] = window.answered(2, at(600));
    EXPECT_EQ(answer, Answer::in_time);
    EXPECT_EQ(waited, Millis(600));
    EXPECT_EQ(window.deadline(), at(1100));
    EXPECT_EQ(window.answered(1, at(600)).answer, Answer::stale);
    EXPECT_EQ(window.answered(2, at(600)).answer, Answer::stale);
    EXPECT_EQ(window.answered(3, at(600)).answer, Answer::in_time);
    EXPECT_EQ(window.deadline(), base::kNever);
}

TEST(ChallengeWindow, AnAnswerAfterItsDeadlineIsLateWhetherItWasJudgedOrNot) {
    ChallengeWindow window;
    window.sent(1, at(0), at(600));
    EXPECT_EQ(window.answered(1, at(601)).answer, Answer::late);
    window.sent(2, at(700), at(1300));
    EXPECT_EQ(window.expire(at(1300)), 1);
    EXPECT_EQ(window.answered(2, at(1300)).answer, Answer::late);
    EXPECT_EQ(window.answered(2, at(1300)).answer, Answer::stale);
}

TEST(ChallengeWindow, AnAnswerInTimeIsMeasuredFromTheOldestThatWasNotMissed) {
    ChallengeWindow window;
    window.sent(1, at(0), at(600));
    window.sent(2, at(300), at(900));
    window.sent(3, at(600), at(1200));
    EXPECT_EQ(window.expire(at(600)), 1);
    EXPECT_EQ(window.answered(3, at(700)).waited, Millis(400));
}

TEST(ChallengeWindow, CountsDeadlinesNotChallenges) {
    ChallengeWindow window;
    window.sent(1, at(0), at(5000));
    window.sent(2, at(300), at(5000));
    window.sent(3, at(4600), at(5200));
    EXPECT_EQ(window.expire(at(4999)), 0);
    EXPECT_EQ(window.expire(at(5000)), 1);
    EXPECT_EQ(window.expire(at(5000)), 0);
    EXPECT_EQ(window.expire(at(5200)), 1);
}

TEST(ChallengeWindow, AfterAGraceTheNextDeadlineIsTheEarliest) {
    ChallengeWindow window;
    window.sent(1, at(0), at(5000));
    window.sent(2, at(300), at(5000));
    window.answered(1, at(400));
    window.sent(3, at(600), at(1200));
    EXPECT_EQ(window.deadline(), at(1200));
    EXPECT_EQ(window.expire(at(1200)), 1);
    EXPECT_EQ(window.deadline(), at(5000));
}

TEST(ChallengeWindow, IsBoundedAndKeepsTheOldestDeadlineThatRuns) {
    ChallengeWindow window;
    for (int i = 0; i < 20; ++i)
        window.sent(i, at(i * 100), at(5000 + i));
    EXPECT_EQ(window.deadline(), at(5000));
    EXPECT_EQ(window.answered(5, at(2000)).answer, Answer::stale) << "it gave way";
    EXPECT_EQ(window.answered(19, at(2000)).answer, Answer::in_time);
    EXPECT_EQ(window.deadline(), base::kNever);
    for (int i = 0; i < 20; ++i) {
        window.sent(i, at(i * 100), at(i * 100 + 50));
        window.expire(at(i * 100 + 50));
    }
    EXPECT_EQ(window.answered(0, at(2000)).answer, Answer::stale) << "of those that were missed the oldest gives way";
    EXPECT_EQ(window.answered(12, at(2000)).answer, Answer::late);
}

TEST(ChallengeWindow, StoppedDeadlinesMakeAnswersLate) {
    ChallengeWindow window;
    window.sent(1, at(0), at(600));
    window.stop_deadlines();
    EXPECT_EQ(window.deadline(), base::kNever);
    EXPECT_EQ(window.expire(at(600)), 0);
    EXPECT_EQ(window.answered(1, at(10)).answer, Answer::late);
}

TEST(Detection, DividesTheTimeAsTheSpecificationSays) {
    constexpr Millis kFloor{100};
    const auto times = [&](int detection_time, std::optional<Millis> interval = {}) {
        const Times found = times_for(Millis(detection_time), interval, kFloor);
        EXPECT_EQ(found.interval + found.deadline, Millis(detection_time));
        return found.interval.count();
    };
    EXPECT_EQ(times(200), 100);
    EXPECT_EQ(times(300), 100);
    EXPECT_EQ(times(500), 160);
    EXPECT_EQ(times(900), 300);
    EXPECT_EQ(times(1000), 330);
    EXPECT_EQ(times(3'600'000), 1'200'000);
    EXPECT_EQ(times(900, Millis(10)), 113) << "no more than 8 outstanding";
    EXPECT_EQ(times(400, Millis(10)), 100) << "the floor";
    EXPECT_EQ(times(900, Millis(5000)), 850) << "the smallest deadline";
    EXPECT_EQ(times(900, Millis(450)), 450);
    EXPECT_EQ(times_for(Millis(10), {}, kFloor), (Times{Millis(100), Millis(100)})) << "of a policy: raised";
}

TEST(RoundTrips, CountsByPowersOfTwoAndForgetsWhatIsOlderThanAnHour) {
    RoundTrips trips;
    const TimePoint start{std::chrono::hours(10)};
    trips.record(std::chrono::microseconds(127), start);
    trips.record(std::chrono::microseconds(128), start);
    trips.record(std::chrono::hours(1), start + std::chrono::minutes(20));
    EXPECT_EQ(trips.counts().at(0), 1U);
    EXPECT_EQ(trips.counts().at(1), 1U);
    EXPECT_EQ(trips.counts().at(RoundTrips::kBuckets - 1), 1U);
    EXPECT_EQ(trips.longest_of_the_hour(start + std::chrono::minutes(79)), std::chrono::hours(1));
    EXPECT_EQ(trips.longest_of_the_hour(start + std::chrono::minutes(80)), Millis(0));
    trips.record(Millis(3), start + std::chrono::minutes(65));
    EXPECT_EQ(trips.longest_of_the_hour(start + std::chrono::minutes(80)), Millis(3));
}

}  // namespace
}  // namespace vitalwire::heartbeat
