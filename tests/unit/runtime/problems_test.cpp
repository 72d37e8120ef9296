#include "runtime/problems.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/log.hpp"

namespace vitalwire::runtime {
namespace {

std::vector<std::string> g_lines;

class ProblemsTest : public ::testing::Test {
protected:
    ProblemsTest() {
        g_lines.clear();
        log::set_backend([](log::Level, std::string_view line) { g_lines.emplace_back(line); });
    }

    base::WallTime now{std::chrono::seconds(1'700'000'000)};
    Problems problems{[this] { return now; }};
};

TEST_F(ProblemsTest, KeepsTheBeginningAndTheNewestDetail) {
    problems.raise("store", "disk full");
    now += std::chrono::seconds(1);
    problems.raise("store", "still full");
    ASSERT_EQ(problems.list().size(), 1U);
    EXPECT_EQ(problems.list()[0].detail, "still full");
    EXPECT_EQ(problems.list()[0].since, now - std::chrono::seconds(1));
}

TEST_F(ProblemsTest, LogsBeginningAndEndOnce) {
    problems.raise("store", "disk full");
    problems.raise("store", "disk full");
    problems.clear("store");
    problems.clear("store");
    ASSERT_EQ(g_lines.size(), 2U);
    EXPECT_EQ(g_lines[0], "problem what=store detail=\"disk full\"");
    EXPECT_EQ(g_lines[1], "problem is over what=store");
    EXPECT_TRUE(problems.empty());
}

TEST_F(ProblemsTest, ListsTheOldestFirst) {
    problems.set("b", "first");
    now += std::chrono::seconds(1);
    problems.set("a", "second");
    problems.set("c", "");
    ASSERT_EQ(problems.list().size(), 2U);
    EXPECT_EQ(problems.list()[0].what, "b");
    EXPECT_EQ(problems.list()[1].what, "a");
}

}  // namespace
}  // namespace vitalwire::runtime
