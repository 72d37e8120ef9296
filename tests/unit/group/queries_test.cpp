#include "group/queries.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vitalwire::group {
namespace {

using base::Errc;
using std::chrono::seconds;

constexpr base::TimePoint kStart{};

wire::StatusResponse response(std::int64_t seq, const std::string& instance) {
    wire::MemberState state;
    state.instance_id = instance;
    return {seq, state};
}

class QueriesTest : public testing::Test {
protected:
    QueriesTest() { queries_.start(7, kStart + seconds(5)); }

    Queries queries_;
};

TEST_F(QueriesTest, P02_P03_HandsOverTheStatesWhenAllHaveCome) {
    queries_.received(response(7, "a"));
    queries_.received(response(7, "b"));
    const auto outcome = queries_.received(wire::StatusDone{7, 2});
    ASSERT_TRUE(outcome && outcome->states);
    EXPECT_EQ(outcome->seq, 7);
    ASSERT_EQ(outcome->states->size(), 2U);
    EXPECT_EQ(outcome->states->at(1).instance_id, "b");
    EXPECT_FALSE(queries_.is_open(7));
}

TEST_F(QueriesTest, P04_FailsWhenAStateWasLost) {
    queries_.received(response(7, "a"));
    const auto outcome = queries_.received(wire::StatusDone{7, 2});
    ASSERT_TRUE(outcome && !outcome->states);
    EXPECT_EQ(outcome->states.error().code, Errc::incomplete);
    EXPECT_EQ(outcome->states.error().message, "1 states came of 2");
}

TEST_F(QueriesTest, P05_FailsWithTheCodeOfANack) {
    wire::Nack nack{Errc::not_in_group, "alone", "status_query"};
    nack.seq = 7;
    const auto outcome = queries_.received(nack);
    ASSERT_TRUE(outcome && !outcome->states);
    EXPECT_EQ(outcome->states.error().code, Errc::not_in_group);
    EXPECT_FALSE(queries_.is_open(7));
    EXPECT_TRUE(queries_.expire(kStart + seconds(5)).empty()) << "one outcome, not a second one by timeout";
}

TEST_F(QueriesTest, P06_FailsAtItsDeadlineAndNotBefore) {
    EXPECT_EQ(queries_.next_deadline(), kStart + seconds(5));
    EXPECT_TRUE(queries_.expire(kStart + seconds(5) - base::Millis(1)).empty());
    const auto expired = queries_.expire(kStart + seconds(5));
    ASSERT_EQ(expired.size(), 1U);
    EXPECT_EQ(expired[0].states.error().code, Errc::timeout);
    EXPECT_EQ(queries_.next_deadline(), base::kNever);
}

TEST_F(QueriesTest, P07_FailsWithItsConnection) {
    queries_.start(8, kStart + seconds(1));
    const auto failed = queries_.fail_all({Errc::disconnected, "gone"});
    ASSERT_EQ(failed.size(), 2U);
    EXPECT_EQ(failed[0].states.error().code, Errc::disconnected);
    EXPECT_EQ(queries_.size(), 0U);
}

TEST_F(QueriesTest, P08_IgnoresWhatIsOfNoQueryOfItsOwn) {
    queries_.received(response(6, "stale"));
    EXPECT_FALSE(queries_.received(wire::StatusDone{6, 1}));
    EXPECT_FALSE(queries_.received(wire::Nack{Errc::unavailable, "", "broadcast"}));
    EXPECT_TRUE(queries_.is_open(7));
    EXPECT_TRUE(queries_.received(wire::StatusDone{7, 0})->states->empty());
}

}  // namespace
}  // namespace vitalwire::group
