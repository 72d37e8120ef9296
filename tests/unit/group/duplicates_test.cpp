#include "group/duplicates.hpp"

#include <gtest/gtest.h>

namespace vitalwire::group {
namespace {

TEST(Duplicates, LetsEveryNumberOfASenderPassOnceAndOnlyForward) {
    Duplicates seen;
    EXPECT_TRUE(seen.fresh("g1", "agent", 1));
    EXPECT_FALSE(seen.fresh("g1", "agent", 1));
    EXPECT_TRUE(seen.fresh("g1", "agent", 5));
    EXPECT_FALSE(seen.fresh("g1", "agent", 4));
    EXPECT_TRUE(seen.fresh("g2", "agent", 1));
}

TEST(Duplicates, CountsAnewForAnAgentThatStartedAgain) {
    Duplicates seen;
    seen.fresh("g1", "first life", 9);
    EXPECT_TRUE(seen.fresh("g1", "second life", 1));
    EXPECT_FALSE(seen.fresh("g1", "first life", 9)) << "delivered again after the restart";
}

TEST(Duplicates, ForgetsTheSenderItHasNotHeardOfForLongest) {
    Duplicates seen(2);
    seen.fresh("g1", "agent", 1);
    seen.fresh("g2", "agent", 1);
    seen.fresh("g1", "agent", 2);
    seen.fresh("g3", "agent", 1);
    EXPECT_FALSE(seen.fresh("g1", "agent", 2));
    EXPECT_TRUE(seen.fresh("g2", "agent", 1)) << "forgotten";
}

}  // namespace
}  // namespace vitalwire::group
