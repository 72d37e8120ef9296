#include "controller/groups/kept_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vitalwire::controller {
namespace {

using base::GuestId;
using ::testing::SizeIs;

class KeptMessagesTest : public ::testing::Test {
protected:
    bool keep(const std::string& guest, std::size_t bytes = 1) {
        return kept.keep(GuestId(guest), {{GuestId(guest)}, "a", false, std::string(bytes, 'x'), "me", 1, 0}, now);
    }

    base::TimePoint now{std::chrono::hours(1)};
    KeptMessages kept;
};

TEST_F(KeptMessagesTest, HoldsABoundedNumberOfBytesOfAGuestAndCountsTheOldest) {
    for (int i = 0; i < 4; ++i)
        keep("g", KeptMessages::kMaxBytes / 3);
    const auto messages = kept.take(GuestId("g"));
    ASSERT_THAT(messages, SizeIs(3));
    EXPECT_EQ(messages[0].dropped, 1U);
    EXPECT_EQ(messages[1].dropped, 0U);
    EXPECT_TRUE(kept.empty());
    EXPECT_EQ(kept.dropped(), 1U);
}

TEST_F(KeptMessagesTest, HoldsABoundedNumberOfGuests) {
    for (std::size_t i = 0; i < KeptMessages::kMaxGuests; ++i)
        EXPECT_TRUE(keep("g" + std::to_string(i)));
    EXPECT_FALSE(keep("one too many"));
    EXPECT_TRUE(keep("g0")) << "it is one of them";
    EXPECT_EQ(kept.dropped(), 1U);
}

TEST_F(KeptMessagesTest, DropsWhatIsTooOldAndForgetsTheCountInTheEnd) {
    keep("g");
    now += KeptMessages::kLongest - base::Millis(1);
    keep("g");
    kept.expire(now);
    EXPECT_EQ(kept.dropped(), 0U);
    now += base::Millis(1);
    kept.expire(now);
    EXPECT_EQ(kept.dropped(), 1U);
    now += KeptMessages::kLongest;
    kept.expire(now);
    EXPECT_EQ(kept.dropped(), 2U);
    EXPECT_THAT(kept.take(GuestId("g")), SizeIs(0));
    EXPECT_TRUE(kept.contains(GuestId("g"))) << "the guest is to be told";
    now += KeptMessages::kForget;
    kept.expire(now);
    EXPECT_TRUE(kept.empty());
}

}  // namespace
}  // namespace vitalwire::controller
