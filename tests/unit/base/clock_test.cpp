#include "base/clock.hpp"

#include <gtest/gtest.h>

namespace vitalwire::base {
namespace {

TEST(WallTimeText, SurvivesTheWayToTextAndBack) {
    const WallTime time = WallTime(std::chrono::microseconds(1795327508123456));
    EXPECT_EQ(from_iso8601(to_iso8601(time)), time);
}

TEST(WallTimeText, IsIso8601InUtcWithMicroseconds) {
    EXPECT_EQ(to_iso8601(WallTime(std::chrono::microseconds(1000001))), "1970-01-01T00:00:01.000001Z");
}

TEST(WallTimeText, ReadsAsTheEpochWhenItIsNoTime) {
    for (const char* text : {"yesterday", "0026-11-22T06:05:08.123456Z", "9999-11-22T06:05:08.123456Z",
                             "2026-13-22T06:05:08.123456Z", "2026-11-22T06:05:08.12Z", "2026-11-22T06:05:08.123456Z!"})
        EXPECT_EQ(from_iso8601(text), WallTime{}) << text;
}

}  // namespace
}  // namespace vitalwire::base
