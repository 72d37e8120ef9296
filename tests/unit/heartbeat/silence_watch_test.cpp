#include "heartbeat/silence_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace vitalwire::heartbeat {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Peers that keep alive every 300 ms, in virtual time; "a!" is silent alone, "a?" together with all others.
class SilenceWatchTest : public ::testing::Test {
protected:
    /// The owner runs every probe; `speaking` keep alive every 300 ms.
    std::vector<std::string> pass(milliseconds time, const std::vector<std::string>& speaking) {
        std::vector<std::string> fallen;
        for (const base::TimePoint end = now + time; now < end;) {
            now += StallClock::kProbe;
            if ((now - kStart) % milliseconds(300) == milliseconds(0)) keep_alive(speaking);
            for (const std::string& peer : observe())
                fallen.push_back(peer);
        }
        return fallen;
    }
    void keep_alive(const std::vector<std::string>& peers) {
        for (const std::string& peer : peers)
            watch.alive(peer, now);
    }
    std::vector<std::string> observe() {
        std::vector<std::string> fallen;
        for (const auto& [peer, alone] : watch.observe(now))
            fallen.push_back(peer + (alone ? "!" : "?"));
        return fallen;
    }

    const base::TimePoint kStart{seconds(1000)};
    base::TimePoint now = kStart;
    SilenceWatch<std::string> watch{milliseconds(900)};
};

TEST_F(SilenceWatchTest, APeerThatFallsSilentIsFoundAfterThePatienceAndOnce) {
    keep_alive({"a", "b"});
    EXPECT_THAT(pass(milliseconds(850), {"b"}), IsEmpty());
    EXPECT_FALSE(watch.silent("a"));
    EXPECT_THAT(pass(milliseconds(50), {"b"}), ElementsAre("a!"));
    EXPECT_TRUE(watch.silent("a"));
    EXPECT_THAT(pass(seconds(5), {"b"}), IsEmpty());
}

TEST_F(SilenceWatchTest, OneThatIsHeardAgainMayFallSilentAgain) {
    keep_alive({"a", "b"});
    EXPECT_THAT(pass(seconds(1), {"b"}), ElementsAre("a!"));
    EXPECT_TRUE(watch.alive("a", now));
    EXPECT_FALSE(watch.alive("a", now)) << "it is seen already";
    EXPECT_FALSE(watch.silent("a"));
    EXPECT_THAT(pass(milliseconds(950), {"b"}), ElementsAre("a!"));
}

TEST_F(SilenceWatchTest, ALostPingOrTwoAreNoSilence) {
    for (int i = 0; i < 10; ++i) {
        keep_alive({"a"});
        EXPECT_THAT(pass(milliseconds(850), {"b"}), IsEmpty());
    }
}

TEST_F(SilenceWatchTest, WhenAllFallSilentTogetherNoneIsAlone) {
    keep_alive({"a"});
    pass(milliseconds(250), {});
    keep_alive({"b", "c"});
    EXPECT_THAT(pass(seconds(2), {}), ElementsAre("a?", "b?", "c?"));
}

TEST_F(SilenceWatchTest, OneThatIsWatchedByItselfHasNoWitnessAndNeedsNone) {
    keep_alive({"a"});
    EXPECT_THAT(pass(seconds(1), {}), ElementsAre("a!"));
}

TEST_F(SilenceWatchTest, OneThatHasClosedItsConnectionIsNotSilent) {
    keep_alive({"a", "b"});
    pass(milliseconds(600), {"b"});
    watch.forget("a");
    EXPECT_THAT(pass(seconds(2), {"b"}), IsEmpty());
    EXPECT_FALSE(watch.silent("a"));
}

TEST_F(SilenceWatchTest, TimeInWhichWeStoodStillDoesNotCount) {
    keep_alive({"a", "b"});
    pass(milliseconds(300), {"a", "b"});
    now += seconds(10);  // SIGSTOP; what came is read within the next moments
    EXPECT_THAT(observe(), IsEmpty());
    now += milliseconds(50);
    keep_alive({"a", "b"});
    EXPECT_THAT(pass(seconds(1), {"a", "b"}), IsEmpty());
}

TEST_F(SilenceWatchTest, AfterAStallThereIsTimeToReadWhatCame) {
    keep_alive({"a", "b"});
    pass(milliseconds(850), {"b"});
    now += seconds(3);
    EXPECT_THAT(observe(), IsEmpty()) << "the patience is over, and a's pings may lie unread";
    now += milliseconds(50);
    keep_alive({"a", "b"});
    EXPECT_THAT(pass(milliseconds(300), {"a", "b"}), IsEmpty());
}

TEST_F(SilenceWatchTest, WeStandStillAgainAndAgainAndFindASilentOneNevertheless) {
    keep_alive({"a", "b"});
    std::vector<std::string> fallen;
    for (int i = 0; i < 60 && fallen.empty(); ++i) {
        now += milliseconds(250);  // each a stall of 200 ms
        keep_alive({"b"});
        fallen = observe();
    }
    EXPECT_THAT(fallen, ElementsAre("a!"));
    EXPECT_LE(now - kStart, seconds(6)) << "five times as late as time passes";
}

TEST_F(SilenceWatchTest, NamesTheTimeAtWhichTheNextOneFallsSilent) {
    EXPECT_EQ(watch.next_due(), base::kNever);
    keep_alive({"a"});
    EXPECT_EQ(watch.next_due(), now + milliseconds(900));
    pass(seconds(1), {});
    EXPECT_EQ(watch.next_due(), base::kNever);
}

}  // namespace
}  // namespace vitalwire::heartbeat
