#include "group/duplicates.hpp"

#include <gtest/gtest.h>

namespace vitalwire::group {
namespace {

using Answer = Duplicates::Answer;

class Seen : public Duplicates {
public:
    using Duplicates::Duplicates;
    bool fresh(const std::string& sender, const std::string& agent, std::uint64_t number) {
        return judge(sender, agent, number, {}) == Answer::fresh;
    }
};

base::TimePoint at(int second) {
    return base::TimePoint(std::chrono::seconds(second));
}

TEST(Duplicates, LetsEveryNumberOfASenderPassOnceAndOnlyForward) {
    Seen seen;
    EXPECT_TRUE(seen.fresh("g1", "agent", 1));
    EXPECT_FALSE(seen.fresh("g1", "agent", 1));
    EXPECT_TRUE(seen.fresh("g1", "agent", 5));
    EXPECT_FALSE(seen.fresh("g1", "agent", 4));
    EXPECT_TRUE(seen.fresh("g2", "agent", 1));
}

TEST(Duplicates, CountsAnewForAnAgentThatStartedAgain) {
    Seen seen;
    seen.fresh("g1", "first life", 9);
    EXPECT_TRUE(seen.fresh("g1", "second life", 1));
    EXPECT_FALSE(seen.fresh("g1", "first life", 9)) << "delivered again after the restart";
}

TEST(Duplicates, ForgetsTheSenderItHasNotHeardOfForLongest) {
    Seen seen(2);
    seen.fresh("g1", "agent", 1);
    seen.fresh("g2", "agent", 1);
    seen.fresh("g1", "agent", 2);
    seen.fresh("g3", "agent", 1);
    EXPECT_FALSE(seen.fresh("g1", "agent", 2));
    EXPECT_TRUE(seen.fresh("g2", "agent", 1)) << "forgotten";
}

TEST(Duplicates, WhatAConnectionHeldUpIsLateAfterNewerOnesOfTheSendersNextHost) {
    Duplicates seen;
    EXPECT_EQ(seen.judge("g1", "old host", 7, {0, at(1)}), Answer::fresh);
    EXPECT_EQ(seen.judge("g1", "new host", 1, {1, at(5)}), Answer::fresh);
    EXPECT_EQ(seen.judge("g1", "old host", 8, {0, at(9), at(2)}), Answer::late);
    EXPECT_EQ(seen.judge("g2", "old host", 9, {0, at(9), at(2)}), Answer::fresh) << "of another sender";
    EXPECT_EQ(seen.judge("g1", "old host", 10, {0, at(20)}), Answer::fresh) << "it is back there";
}

TEST(Duplicates, WhatAConnectionHeldUpIsNotLateAfterWhatItHeldUpBeforeOrWhatCameBeforeItsSilence) {
    Duplicates seen;
    EXPECT_EQ(seen.judge("g1", "old host", 7, {1, at(1)}), Answer::fresh);
    EXPECT_EQ(seen.judge("g1", "new host", 1, {0, at(9), at(2)}), Answer::fresh) << "newer than all that came";
    EXPECT_EQ(seen.judge("g1", "third host", 1, {0, at(9), at(2)}), Answer::fresh) << "in order on this connection";
    EXPECT_EQ(seen.judge("g1", "third host", 2, {1, at(9)}), Answer::fresh);
    EXPECT_EQ(seen.judge("g1", "third host", 3, {0, at(9), at(2)}), Answer::fresh) << "by its number";
}

TEST(Duplicates, ForgetsTheAgentOfASenderThatItHasNotSeenForLongest) {
    Seen seen;
    for (std::size_t agent = 0; agent <= Duplicates::kAgents; ++agent)
        EXPECT_TRUE(seen.fresh("g1", std::to_string(agent), 1));
    EXPECT_FALSE(seen.fresh("g1", "1", 1));
    EXPECT_TRUE(seen.fresh("g1", "0", 1)) << "forgotten";
}

}  // namespace
}  // namespace vitalwire::group
