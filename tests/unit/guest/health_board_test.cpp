#include "guest/health_board.hpp"

#include <gmock/gmock.h>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/reason.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {
namespace {

using testing::EndsWith;
using testing::StartsWith;

class HealthBoardTest : public testing::Test {
protected:
    HealthBoardTest() { log::set_level(log::Level::error); }
    ~HealthBoardTest() override { log::set_level(log::Level::info); }

    int changes_ = 0;
    HealthBoard board_{[this](const heartbeat::Health&) { ++changes_; }};
};

TEST_F(HealthBoardTest, IsHealthyAtFirst) {
    EXPECT_EQ(board_.overall(), heartbeat::Health());
}

TEST_F(HealthBoardTest, OneThatIsUnhealthyMakesTheGuestUnhealthy) {
    board_.set("check disk", true, "");
    board_.set("application db", false, "no disk");
    EXPECT_EQ(board_.overall(), (heartbeat::Health{false, "application db: no disk"}));
}

TEST_F(HealthBoardTest, TellsReasonsInTheOrderInWhichTheyArose) {
    board_.set("check z", false, "first");
    board_.set("check a", false, "second");
    board_.set("check z", false, "first, changed");
    EXPECT_EQ(board_.overall().reason, "check z: first, changed; check a: second");
}

TEST_F(HealthBoardTest, IsHealthyWhenTheLastOneRecovers) {
    board_.set("check a", false, "x");
    board_.set("check b", false, "");
    board_.set("check a", true, "");
    EXPECT_EQ(board_.overall().reason, "check b");
    board_.remove("check b");
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(HealthBoardTest, TellsOnlyChanges) {
    board_.set("check a", true, "");
    board_.set("check a", false, "x");
    board_.set("check a", false, "x");
    board_.set("check a", true, "");
    board_.set("check a", true, "");
    EXPECT_EQ(changes_, 2);
}

TEST_F(HealthBoardTest, NamesNoActionWhenNoSourceDoes) {
    board_.set_declared_action(model::CorrectiveAction::reboot);
    board_.set("check a", false, "x");
    EXPECT_EQ(board_.overall().action, std::nullopt);
}

TEST_F(HealthBoardTest, NamesTheWorstActionThatASourceWants) {
    board_.set("application a", false, "x", model::CorrectiveAction::log);
    board_.set("application b", false, "x", model::CorrectiveAction::stop);
    board_.set("application c", false, "x", model::CorrectiveAction::reboot);
    EXPECT_EQ(board_.overall().action, model::CorrectiveAction::stop);
    board_.set("application b", true, "");
    EXPECT_EQ(board_.overall().action, model::CorrectiveAction::reboot);
}

TEST_F(HealthBoardTest, WhatNamesItsActionComesFirst) {
    for (int i = 0; i < 40; ++i)
        board_.set("check number-" + std::to_string(i), false, "failed with status 1");
    board_.set("sdk application a", false, "x", model::CorrectiveAction::log);
    EXPECT_THAT(board_.overall().reason, StartsWith("sdk application a: x; check number-0: failed"));
}

TEST_F(HealthBoardTest, ASourceWithoutAnActionWantsTheDeclaredOne) {
    board_.set_declared_action(model::CorrectiveAction::reboot);
    board_.set("application a", false, "x", model::CorrectiveAction::log);
    EXPECT_EQ(board_.overall().action, model::CorrectiveAction::log);
    board_.set("check b", false, "x");
    EXPECT_EQ(board_.overall().action, model::CorrectiveAction::reboot);
}

TEST_F(HealthBoardTest, AnotherActionForTheSameReasonIsAChange) {
    board_.set("application a", false, "x", model::CorrectiveAction::log);
    const int before = changes_;
    board_.set("application a", false, "x", model::CorrectiveAction::stop);
    EXPECT_EQ(changes_, before + 1);
    EXPECT_EQ(board_.overall().action, model::CorrectiveAction::stop);
}

TEST_F(HealthBoardTest, CountsTheReasonsThatDoNotFit) {
    for (int i = 0; i < 40; ++i)
        board_.set("application number-" + std::to_string(i), false, "did not answer within 1000 ms");
    const std::string reason = board_.overall().reason;
    EXPECT_LE(reason.size(), wire::kMaxReason);
    EXPECT_THAT(reason, StartsWith("application number-0: did not answer"));
    EXPECT_THAT(reason, EndsWith("; and 37 more"));
}

TEST_F(HealthBoardTest, CutsALongReasonBetweenCharacters) {
    std::string long_reason;
    while (long_reason.size() < 300)
        long_reason += "\xE2\x82\xAC";
    board_.set("check euro", false, long_reason);
    board_.set("check b", false, "does not fit any more");
    const std::string reason = board_.overall().reason;
    EXPECT_LE(reason.size(), wire::kMaxReason);
    EXPECT_TRUE(base::is_utf8(reason));
    EXPECT_THAT(reason, EndsWith("; and 1 more"));
}

TEST(TidyReason, TakesTheFirstLineWithoutSpacesAroundIt) {
    EXPECT_EQ(tidy_reason("  disk is \"full\"\t\r\nsecond line\n"), "disk is \"full\"");
    EXPECT_EQ(tidy_reason("\nsecond"), "");
    EXPECT_EQ(tidy_reason(""), "");
}

TEST(TidyReason, EscapesWhatIsNotUtf8) {
    EXPECT_EQ(tidy_reason("disk \xff"), "disk \\xff");
}

}  // namespace
}  // namespace vitalwire::guest
