#include "host/core/io_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// A watch in virtual time. Reads return when the test says so.
class IoWatchTest : public testing::Test, protected IoWatch::Output {
protected:
    void after(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (watch_.next_due() <= until) {
            now_ = std::max(now_, watch_.next_due());
            watch_.tick(now_);
            if (answers_) answer_all();
        }
        now_ = until;
    }
    void answer_all() {
        while (!reads_.empty())
            answer(reads_.begin()->first);
    }
    void answer(std::string guest, bool read = true) {  // NOLINT(performance-unnecessary-value-param): its node goes
        const std::int64_t number = reads_.extract(guest).mapped();
        watch_.returned(GuestId(guest), number, read ? std::optional(counters_) : std::nullopt, now_, wall());
    }
    void want(const std::vector<std::string>& names) {
        std::set<GuestId> guests;
        for (const std::string& name : names)
            guests.emplace(name);
        watch_.want(guests, now_);
    }
    base::WallTime wall() const { return base::WallTime(now_.time_since_epoch()); }
    Millis idle() const { return known_.at("g1")->idle; }
    Millis watched() const { return known_.at("g1")->watched; }

    bool read_io(const GuestId& guest, std::int64_t number) override {
        asked_.push_back(guest.str());
        if (readable_) reads_[guest.str()] = number;
        return readable_;
    }
    void io_known(const GuestId& guest, const std::optional<model::GuestIo>& io) override { known_[guest.str()] = io; }

    IoCounters counters_ = {{"block.0", 100}, {"net.0", 10}};
    base::TimePoint now_{std::chrono::hours(1)};
    bool answers_ = true;
    bool readable_ = true;
    std::vector<std::string> asked_;
    std::map<std::string, std::int64_t> reads_;
    std::map<std::string, std::optional<model::GuestIo>> known_;
    IoWatch watch_{*this};
};

TEST_F(IoWatchTest, NobodyIsReadWhoseIoNoPolicyTakesIntoAccount) {
    after(seconds(100));
    watch_.hurry(GuestId("g1"), now_);
    EXPECT_THAT(asked_, IsEmpty());
    EXPECT_EQ(watch_.next_due(), base::kNever);
}

TEST_F(IoWatchTest, AGuestIsReadEveryTenSeconds) {
    want({"g1"});
    after(seconds(100));
    EXPECT_THAT(asked_, SizeIs(10));
    want({});
    after(seconds(100));
    EXPECT_THAT(asked_, SizeIs(10));
    EXPECT_EQ(known_.at("g1"), std::nullopt);
}

TEST_F(IoWatchTest, OneReadingShowsNoIoAndNoneMissing) {
    want({"g1"});
    after(seconds(10));
    EXPECT_EQ(idle(), Millis(0));
    EXPECT_EQ(watched(), Millis(0));
    EXPECT_FALSE(known_.at("g1")->seen());
}

TEST_F(IoWatchTest, AGuestIsIdleSinceTheReadingThatShowedItsLastIo) {
    want({"g1"});
    after(seconds(20));
    ++counters_["net.0"];
    after(seconds(10));
    EXPECT_EQ(idle(), Millis(0));
    EXPECT_TRUE(known_.at("g1")->seen());
    after(seconds(30));
    EXPECT_EQ(idle(), seconds(30));
    EXPECT_EQ(watched() - idle(), seconds(20)) << "it was watched before that";
}

TEST_F(IoWatchTest, AFaultIsReadForAtOnce) {
    want({"g1"});
    after(seconds(10));
    asked_.clear();
    watch_.hurry(GuestId("g1"), now_);
    EXPECT_THAT(asked_, ElementsAre("g1"));
    answer("g1");
    EXPECT_EQ(known_.at("g1")->read_at, wall());
    after(seconds(10));
    EXPECT_THAT(asked_, ElementsAre("g1", "g1")) << "from then on every interval again";
}

TEST_F(IoWatchTest, ADeviceThatComesOrGoesIsNoIo) {
    want({"g1"});
    after(seconds(20));
    counters_.erase("net.0");
    counters_["block.1"] = 5000;
    after(seconds(20));
    EXPECT_FALSE(known_.at("g1")->seen());
}

TEST_F(IoWatchTest, ACounterThatFellBeginsTheWatchAgain) {
    want({"g1"});
    after(seconds(60));
    counters_["block.0"] = 1;
    after(seconds(10));
    EXPECT_EQ(watched(), Millis(0));
}

TEST_F(IoWatchTest, TheNextRunOfAMachineIsWatchedFromItsOwnBeginning) {
    want({"g1"});
    after(seconds(60));
    watch_.restarted(GuestId("g1"));
    EXPECT_EQ(known_.at("g1"), std::nullopt);
    after(seconds(10));
    EXPECT_EQ(watched(), Millis(0));
}

TEST_F(IoWatchTest, WhatCannotBeReadLeavesTheLastReadingAsItWas) {
    want({"g1"});
    after(seconds(20));
    const auto before = known_.at("g1");
    answers_ = false;
    after(seconds(10));
    answer("g1", false);
    EXPECT_EQ(known_.at("g1"), before);
    answers_ = true;
    after(seconds(10));
    EXPECT_EQ(idle(), seconds(30)) << "counters that did not grow cover the time between";
}

TEST_F(IoWatchTest, NobodysGuestIsAskedForAgainLater) {
    readable_ = false;
    want({"g1"});
    after(seconds(30));
    EXPECT_THAT(asked_, SizeIs(3));
    EXPECT_THAT(known_, IsEmpty());
}

TEST_F(IoWatchTest, AReadThatHangsHoldsUpNobodyElseForLong) {
    answers_ = false;
    std::vector<std::string> hung;
    for (std::size_t i = 0; i < IoWatch::kMostReads - 1; ++i)
        hung.push_back("hung-" + std::to_string(i));
    want(hung);
    for (const std::string& guest : hung)
        watch_.hurry(GuestId(guest), now_);
    EXPECT_THAT(asked_, SizeIs(IoWatch::kReadsAtATime)) << "the others wait for their turn";
    after(seconds(20));
    ASSERT_THAT(asked_, SizeIs(IoWatch::kMostReads - 1));
    hung.emplace_back("g1");
    want(hung);
    answers_ = true;
    const auto kept = std::exchange(reads_, {});
    after(seconds(40));
    EXPECT_EQ(watched(), seconds(30));
    EXPECT_THAT(known_, SizeIs(1));
    EXPECT_THAT(kept, SizeIs(IoWatch::kMostReads - 1));
}

TEST_F(IoWatchTest, TwoHundredThatHangAreNeverMoreReadsThanAllowed) {
    answers_ = false;
    std::vector<std::string> hung;
    for (int i = 0; i < 200; ++i)
        hung.push_back("hung-" + std::to_string(i));
    want(hung);
    after(seconds(600));
    EXPECT_THAT(asked_, SizeIs(IoWatch::kMostReads));
    EXPECT_THAT(known_, IsEmpty()) << "nothing is claimed of guests that were not read";
    answers_ = true;
    answer_all();
    after(seconds(20));
    EXPECT_THAT(known_, SizeIs(200));
}

TEST_F(IoWatchTest, AReadThatTookLongIsNotBelieved) {
    want({"g1"});
    answers_ = false;
    after(seconds(10));
    after(IoWatch::kTurn);
    answer("g1");
    EXPECT_THAT(known_, IsEmpty());
}

}  // namespace
}  // namespace vitalwire::host
