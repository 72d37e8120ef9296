#include "guest/log_limit.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"

namespace vitalwire::guest {
namespace {

using std::chrono::seconds;

class LogLimitTest : public testing::Test {
protected:
    LogLimitTest() { log::set_level(log::Level::error); }
    ~LogLimitTest() override { log::set_level(log::Level::info); }

    int taken(const std::string& source, int wanted) {
        int count = 0;
        for (int i = 0; i < wanted; ++i)
            count += limit_.take(now_, source) ? 1 : 0;
        return count;
    }

    LogLimit limit_;
    base::TimePoint now_{seconds(1000)};
};

TEST_F(LogLimitTest, ASourceHasSomeLinesAtOnceAndOneASecondAfterwards) {
    EXPECT_EQ(taken("application a", 1000), 10);
    now_ += seconds(3);
    EXPECT_EQ(taken("application a", 1000), 3);
}

TEST_F(LogLimitTest, OneSourceTakesNoLinesFromAnother) {
    taken("application a", 1000);
    EXPECT_EQ(taken("application b", 1), 1);
}

TEST_F(LogLimitTest, NamesThatAreMadeUpDoNotGiveMoreLines) {
    int count = 0;
    for (int i = 0; i < 10'000; ++i)
        count += taken("application " + std::to_string(i), 2);
    EXPECT_LE(count, 100);
    for (int second = 0; second < 60; ++second) {
        now_ += seconds(1);
        for (int i = 0; i < 100; ++i)
            count += taken("application " + std::to_string(second) + "-" + std::to_string(i), 2);
    }
    EXPECT_LE(count, 100 + 60 * 5);
    now_ += seconds(60);
    EXPECT_EQ(taken("application b", 1), 1) << "it is over";
}

}  // namespace
}  // namespace vitalwire::guest
