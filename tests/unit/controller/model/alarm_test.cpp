#include "controller/model/alarm.hpp"

#include <gtest/gtest.h>

namespace vitalwire::controller {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr base::WallTime kNow{std::chrono::hours(490'000)};

/// A fault that came in now, of an agent whose clock is so far ahead.
AlarmEvent event(AlarmChange change, base::WallTime::duration ahead) {
    AlarmEvent event;
    event.change = change;
    event.alarm.opened_at = event.alarm.updated_at = kNow + ahead;
    event.alarm.received_at = kNow;
    return event;
}

TEST(AlarmEvent, TellsWhenItHappenedByAClockThatIsRight) {
    AlarmEvent told = event(AlarmChange::opened, -seconds(1));
    EXPECT_EQ(told.time(), kNow - seconds(1));
    told.change = AlarmChange::cleared;
    told.alarm.cleared_at = kNow + seconds(5);
    EXPECT_EQ(told.time(), kNow + seconds(5));
}

TEST(AlarmEvent, BeginsNotAfterItsArrivalWhateverItsAgentsClock) {
    EXPECT_EQ(event(AlarmChange::opened, hours(24)).time(), kNow);
    AlarmEvent ended = event(AlarmChange::cleared, hours(24));
    ended.alarm.cleared_at = kNow + hours(24) + seconds(5);
    EXPECT_EQ(ended.time(), kNow + seconds(5));
}

TEST(AlarmEvent, EndsNotBeforeItBeganWhenTheClockOfItsAgentIsSetBack) {
    AlarmEvent ended = event(AlarmChange::cleared, hours(24));
    ended.alarm.cleared_at = kNow - hours(24);
    EXPECT_EQ(ended.time(), kNow);
}

TEST(AlarmEvent, AnEndThatTheControllerDecidedIsByItsOwnClock) {
    AlarmEvent ended = event(AlarmChange::cleared, hours(24));
    ended.alarm.cleared_at = kNow + seconds(5);
    ended.alarm.ended = base::TimePoint(seconds(1));
    EXPECT_EQ(ended.time(), kNow + seconds(5));
}

}  // namespace
}  // namespace vitalwire::controller
