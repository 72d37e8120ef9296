#include "cli/human.hpp"

#include <gtest/gtest.h>

namespace vitalwire::cli {
namespace {

using base::Millis;

TEST(HumanDuration, HasTheTwoLargestUnitsThatMatter) {
    EXPECT_EQ(human_duration(Millis(900)), "0 s");
    EXPECT_EQ(human_duration(Millis(59'999)), "59 s");
    EXPECT_EQ(human_duration(Millis(61'000)), "1 min");
    EXPECT_EQ(human_duration(Millis(3'600'000)), "1 h");
    EXPECT_EQ(human_duration(Millis(2 * 3'600'000 + 10 * 60'000)), "2 h 10 min");
    EXPECT_EQ(human_duration(Millis(4LL * 86'400'000 + 3'600'000)), "4 d 1 h");
}

TEST(HumanAge, IsSeenFromNow) {
    const base::WallTime now = base::from_iso8601("2026-11-22T06:05:08.000000Z");
    EXPECT_EQ(human_age("2026-11-22T06:05:05.000000Z", now), "3 s ago");
    EXPECT_EQ(human_age("2026-11-22T07:00:00.000000Z", now), "now") << "another host's clock is ahead";
    EXPECT_EQ(human_until("2026-11-22T07:00:00.000000Z", now), "in 54 min");
    EXPECT_EQ(human_until("2026-11-22T06:05:05.000000Z", now), "3 s ago");
    EXPECT_EQ(human_age("", now), "");
    EXPECT_EQ(human_age("yesterday", now), "");
}

TEST(HumanMicros, ChoosesTheUnit) {
    EXPECT_EQ(human_micros(-1), "");
    EXPECT_EQ(human_micros(412), "412 us");
    EXPECT_EQ(human_micros(1234), "1.2 ms");
    EXPECT_EQ(human_micros(2'000'000), "2 s");
}

TEST(HumanInterval, ChoosesTheUnit) {
    EXPECT_EQ(human_interval(0), "");
    EXPECT_EQ(human_interval(250), "250 ms");
    EXPECT_EQ(human_interval(1000), "1 s");
    EXPECT_EQ(human_interval(1500), "1.5 s");
}

TEST(Counted, KnowsThePlural) {
    EXPECT_EQ(counted(1, "fault"), "1 fault");
    EXPECT_EQ(counted(0, "fault"), "0 faults");
}

TEST(Width, CountsCharactersNotBytes) {
    EXPECT_EQ(width_of("caf\xC3\xA9"), 4U);
    EXPECT_EQ(cut_to_width("caf\xC3\xA9s", 4), "caf\xC3\xA9");
    EXPECT_EQ(width_of("\u30B0\u30B9"), 4U) << "wide characters";
    EXPECT_EQ(width_of("u\u0308"), 1U) << "an accent that is added";
    EXPECT_EQ(cut_to_width("\u30B0\u30B9", 3), "\u30B0");
    EXPECT_EQ(cut_to_width("abc", 10), "abc");
    EXPECT_EQ(cut_to_width("abc", 0), "");
}

TEST(Human, ReadsDurations) {
    EXPECT_EQ(parse_duration("90s"), base::Millis(90'000));
    EXPECT_EQ(parse_duration("30 min"), base::Millis(1'800'000));
    EXPECT_EQ(parse_duration("5m"), base::Millis(300'000));
    EXPECT_EQ(parse_duration("2h"), base::Millis(7'200'000));
    EXPECT_EQ(parse_duration("1d"), base::Millis(86'400'000));
    for (const char* wrong : {"", "h", "0s", "-1h", "1 week", "1.5h", "12", "9999999999s"})
        EXPECT_FALSE(parse_duration(wrong)) << wrong;
}

TEST(Human, ReadsMoments) {
    const base::WallTime now = base::from_iso8601("2026-11-22T06:05:08.000000Z");
    EXPECT_EQ(parse_moment("8s", now), base::from_iso8601("2026-11-22T06:05:00.000000Z"));
    EXPECT_EQ(parse_moment("2026-11-22T06:05:08.241311Z", now), base::from_iso8601("2026-11-22T06:05:08.241311Z"));
    EXPECT_EQ(parse_moment("2026-11-22 06:05:08.24", now), base::from_iso8601("2026-11-22T06:05:08.240000Z"));
    EXPECT_EQ(parse_moment("2026-11-22", now), base::from_iso8601("2026-11-22T00:00:00.000000Z"));
    for (const char* same : {"2026-11-22T06:05", "2026-11-22 06:05Z", "2026-11-22T06:05:00Z", "2026-11-22 06:05:00"})
        EXPECT_EQ(parse_moment(same, now), base::from_iso8601("2026-11-22T06:05:00.000000Z")) << same;
    for (const char* wrong : {"", "now", "2026-13-45", "06:05", "2026-11-22T06:05:00+01:00"})
        EXPECT_FALSE(parse_moment(wrong, now)) << wrong;
}

TEST(Human, HidesPasswordsOfUrls) {
    EXPECT_EQ(without_password("http://op:s3cret@host:1/x@y"), "http://op:***@host:1/x@y");
    EXPECT_EQ(without_password("http://op:p@ss@host"), "http://op:***@host");
    EXPECT_EQ(without_password("http://op@host:8990"), "http://op@host:8990");
    EXPECT_EQ(without_password("http://host:8990"), "http://host:8990");
    EXPECT_EQ(without_password("host:8990"), "host:8990");
}

}  // namespace
}  // namespace vitalwire::cli
