#include "host/core/guest_agent_poller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using base::TimePoint;
using std::chrono::seconds;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::IsEmpty;
using testing::Le;
using testing::SizeIs;

class PollerIds final : public heartbeat::IdGenerator {
public:
    std::int64_t challenge() override { return ++challenges_; }
    base::SessionId session_id() override { return base::SessionId("s"); }

private:
    std::int64_t challenges_ = 0;
};

/// Virtual time. libvirt answers for a guest agent that lives in 1 ms, or in 3 s where that is busy, and gives up one
/// that hangs when the patience ends; on a channel the one is answered at once and the other never.
class GuestAgentPollerTest : public testing::Test, protected GuestAgentPoller::Output {
protected:
    static GuestId guest(int number) { return GuestId("g" + std::to_string(number)); }

    void after(base::Duration time) {
        const TimePoint until = now_ + time;
        for (;;) {
            const TimePoint returns = returns_.empty() ? base::kNever : returns_.begin()->first;
            const TimePoint next = std::min(poller_.next_due(), returns);
            if (next > until) break;
            now_ = std::max(now_, next);
            if (returns <= now_) {
                const Return call = returns_.begin()->second;
                returns_.erase(returns_.begin());
                poller_.returned(call.guest, call.challenge, call.result, now_);
            } else {
                poller_.tick(now_);
            }
        }
        now_ = until;
    }
    void found(const GuestId& id, GuestAgentRoute route = GuestAgentRoute::channel, bool open = true) {
        poller_.found(id, route, open, now_);
    }

    std::optional<Millis> guest_agent_interval(const GuestId& id) const override {
        return inhibited_.contains(id) ? std::nullopt : std::optional(interval_);
    }
    bool guest_agent_in_doubt(const GuestId& id) const override { return !results_.at(id).ends_with("---"); }
    void ask_guest_agent(const GuestId& id, std::int64_t challenge) override {
        asked_[id].push_back(now_);
        last_ = challenge;
        if (!hung_.contains(id)) echoes_.emplace_back(id, challenge);
    }
    void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) override {
        asked_[call.guest].push_back(now_);
        most_calls_ = std::max(most_calls_, poller_.calls_under_way());
        if (stuck_.contains(call.guest)) return;
        const Millis takes = busy_.contains(call.guest) ? Millis(3000) : Millis(1);
        const bool silent = hung_.contains(call.guest) || takes > call.patience;
        const auto result = unknown_.contains(call.guest) ? GuestAgentResult::unknown
                            : silent                      ? GuestAgentResult::silent
                                                          : GuestAgentResult::answered;
        returns_.insert({now_ + (silent ? call.patience + Millis(100) : takes), Return{call.guest, challenge, result}});
    }
    void drain_guest_agent(const GuestId& id) override {
        for (const auto& [from, echo] : std::exchange(unread_, {})) {
            if (from == id) poller_.answered(from, echo, now_);
        }
    }
    void guest_agent_result(const GuestId& id, const heartbeat::HostEvent& event) override {
        const bool answered = std::holds_alternative<heartbeat::GuestAgentAnswered>(event);
        results_[id] += answered ? '+' : '-';
        if (!answered) reason_ = std::get<heartbeat::GuestAgentSilent>(event).reason;
    }
    /// Answers what was asked on channels.
    void answer() {
        for (const auto& [id, challenge] : std::exchange(echoes_, {}))
            poller_.answered(id, challenge, now_);
    }

    struct Return {
        GuestId guest;
        std::int64_t challenge;
        GuestAgentResult result;
    };

    TimePoint now_{std::chrono::hours(1)};
    Millis interval_{10'000};
    std::set<GuestId> inhibited_;
    std::set<GuestId> hung_;
    std::set<GuestId> busy_;
    std::set<GuestId> unknown_;
    std::set<GuestId> stuck_;
    std::map<GuestId, std::vector<TimePoint>> asked_;
    std::map<GuestId, std::string> results_;
    std::string reason_;
    std::int64_t last_ = 0;
    std::vector<std::pair<GuestId, std::int64_t>> echoes_;
    std::vector<std::pair<GuestId, std::int64_t>> unread_;
    std::multimap<TimePoint, Return> returns_;
    std::size_t most_calls_ = 0;
    PollerIds ids_;
    GuestAgentPoller poller_{{}, ids_, *this};
};

TEST_F(GuestAgentPollerTest, AsksAtOnceAndThenEveryInterval) {
    found(guest(1));
    const TimePoint begun = now_;
    for (int i = 0; i < 3; ++i) {
        after(Millis(0));
        answer();
        after(seconds(10));
    }
    EXPECT_THAT(asked_[guest(1)], ElementsAre(begun, begun + seconds(10), begun + seconds(20), begun + seconds(30)));
    EXPECT_EQ(results_[guest(1)], "+++");
}

TEST_F(GuestAgentPollerTest, FiveSecondsWithoutAnEchoAreASilence) {
    hung_.insert(guest(1));
    found(guest(1));
    after(Millis(4999));
    EXPECT_EQ(results_[guest(1)], "");
    after(Millis(1));
    EXPECT_EQ(results_[guest(1)], "-");
    EXPECT_EQ(reason_, "the QEMU guest agent does not answer");
}

TEST_F(GuestAgentPollerTest, AnEchoThatIsThereButUnreadIsNoSilence) {
    hung_.insert(guest(1));
    found(guest(1));
    after(Millis(0));
    unread_.emplace_back(guest(1), last_);
    after(seconds(5));
    EXPECT_EQ(results_[guest(1)], "+");
}

TEST_F(GuestAgentPollerTest, TheEchoOfAnotherIdIsNoAnswer) {
    found(guest(1));
    after(Millis(0));
    poller_.answered(guest(1), last_ + 1, now_);
    EXPECT_EQ(results_[guest(1)], "");
}

TEST_F(GuestAgentPollerTest, TheEchoesOfQuestionsThatItMissedAreNoAnswers) {
    hung_.insert(guest(1));
    found(guest(1));
    after(Millis(0));
    const std::int64_t missed = last_;
    after(seconds(10));
    poller_.answered(guest(1), missed, now_);
    EXPECT_EQ(results_[guest(1)], "-") << "stale, as after a SIGSTOP or from before the connection";
    poller_.answered(guest(1), last_, now_);
    EXPECT_EQ(results_[guest(1)], "-+");
}

TEST_F(GuestAgentPollerTest, AnEchoFromBeforeARebootIsNoAnswerOfTheNewRun) {
    found(guest(1));
    after(Millis(0));
    poller_.restarted(guest(1), now_);
    answer();
    EXPECT_EQ(results_[guest(1)], "");
    after(seconds(1));
    answer();
    EXPECT_EQ(results_[guest(1)], "+");
}

TEST_F(GuestAgentPollerTest, AsksNobodyWhoIsInhibitedAndAgainWithinASecondAfterwards) {
    inhibited_.insert(guest(1));
    found(guest(1));
    after(seconds(30));
    EXPECT_THAT(asked_, IsEmpty());
    inhibited_.clear();
    after(seconds(1));
    EXPECT_THAT(asked_[guest(1)], SizeIs(1));
}

TEST_F(GuestAgentPollerTest, AsksAtOnceWhenTheAgentOpensItsPortAgain) {
    found(guest(1), GuestAgentRoute::call);
    after(seconds(1));
    found(guest(1), GuestAgentRoute::call, false);
    after(seconds(1));
    found(guest(1), GuestAgentRoute::call);
    after(Millis(0));
    EXPECT_THAT(asked_[guest(1)], SizeIs(2));
}

TEST_F(GuestAgentPollerTest, AsksAgainOnAChannelThatBrokeBeforeTheAnswer) {
    found(guest(1));
    after(Millis(0));
    echoes_.clear();
    const auto breaks = [this] {
        found(guest(1), GuestAgentRoute::channel, false);
        after(Millis(300));
        found(guest(1));
    };
    breaks();
    answer();
    EXPECT_EQ(results_[guest(1)], "+");
    hung_.insert(guest(1));
    after(seconds(10));
    for (int i = 0; i < 20; ++i)
        breaks();
    EXPECT_EQ(results_[guest(1)], "+-") << "a port that opens again and again is no answer";
}

TEST_F(GuestAgentPollerTest, NamesAPortThatIsClosed) {
    hung_.insert(guest(1));
    found(guest(1), GuestAgentRoute::call, false);
    after(seconds(6));
    EXPECT_EQ(reason_, "the QEMU guest agent has closed its port");
}

TEST_F(GuestAgentPollerTest, PrefersAChannelOfItsOwnToACall) {
    found(guest(1), GuestAgentRoute::call);
    found(guest(1), GuestAgentRoute::channel);
    after(Millis(0));
    EXPECT_THAT(echoes_, SizeIs(1));
}

TEST_F(GuestAgentPollerTest, NeverCallsTwiceForOneGuestAtATime) {
    stuck_.insert(guest(1));
    found(guest(1), GuestAgentRoute::call);
    after(Millis(0));
    poller_.lost(guest(1), GuestAgentRoute::call, now_);
    found(guest(1), GuestAgentRoute::call);
    after(std::chrono::minutes(10));
    EXPECT_THAT(asked_[guest(1)], SizeIs(1));
}

TEST_F(GuestAgentPollerTest, ACallThatLibvirtDoesNotAnswerIsNoEvidence) {
    unknown_.insert(guest(1));
    stuck_.insert(guest(2));
    found(guest(1), GuestAgentRoute::call);
    found(guest(2), GuestAgentRoute::call);
    after(std::chrono::minutes(5));
    EXPECT_THAT(results_, IsEmpty());
}

TEST_F(GuestAgentPollerTest, CallsOfAnEarlierRunChangeNothing) {
    hung_.insert(guest(1));
    found(guest(1), GuestAgentRoute::call);
    after(seconds(1));
    poller_.restarted(guest(1), now_);
    hung_.clear();
    after(seconds(10));
    EXPECT_EQ(results_[guest(1)], "+");
}

TEST_F(GuestAgentPollerTest, ForgetsAGuestWithItsLastRoute) {
    found(guest(1), GuestAgentRoute::call);
    found(guest(1), GuestAgentRoute::channel);
    poller_.lost(guest(1), GuestAgentRoute::channel, now_);
    after(Millis(1));
    EXPECT_EQ(results_[guest(1)], "+");
    poller_.lost(guest(1), GuestAgentRoute::call, now_);
    EXPECT_EQ(poller_.next_due(), base::kNever);
}

TEST_F(GuestAgentPollerTest, ThoseThatAreAskedWithLittlePatienceAreNotSilentForThat) {
    for (int i = 0; i < 20; ++i) {
        found(guest(i), GuestAgentRoute::call);
        busy_.insert(guest(i));
    }
    after(std::chrono::minutes(5));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(results_[guest(i)].find('-'), std::string::npos) << i << ": each answers within five seconds";
        EXPECT_NE(results_[guest(i)], "") << i;
    }
}

TEST_F(GuestAgentPollerTest, OneThatHangsIsAskedWithPatienceWhileNobodyWaits) {
    hung_.insert(guest(1));
    found(guest(1), GuestAgentRoute::call);
    after(Millis(5100));
    EXPECT_THAT(asked_[guest(1)], SizeIs(1));
    EXPECT_EQ(results_[guest(1)], "-");
}

/// 200 guests hang on a host that has one more.
class HungGuests : public GuestAgentPollerTest {
protected:
    static constexpr int kHung = 200;

    void found_all() {
        for (int i = 0; i <= kHung; ++i)
            found(guest(i), GuestAgentRoute::call);
    }
    void hang_all_but_the_first() {
        for (int i = 1; i <= kHung; ++i)
            hung_.insert(guest(i));
    }
};

TEST_F(HungGuests, DoNotKeepTheOthersFromBeingAsked) {
    found_all();
    after(seconds(20));
    hang_all_but_the_first();
    after(std::chrono::minutes(1));  // until each was found to hang
    asked_.clear();
    after(std::chrono::minutes(5));
    EXPECT_THAT(asked_[guest(0)], SizeIs(Ge(29U))) << "every ten seconds";
    EXPECT_EQ(results_[guest(0)].find('-'), std::string::npos);
}

/// Three questions, of which two may wait for a call that returns, and 5 s for each silence.
TEST_F(HungGuests, DelayTheFaultOfTheNextByASecondOrTwo) {
    found_all();
    after(seconds(20));
    hang_all_but_the_first();
    after(std::chrono::minutes(15));
    hung_.insert(guest(0));
    after(seconds(10 + 2 * 10 + 5 + 2 * 2));
    EXPECT_NE(results_[guest(0)].find("---"), std::string::npos) << results_[guest(0)];
}

TEST_F(HungGuests, CostNeverMoreThanTheCallsAtATime) {
    found_all();
    hang_all_but_the_first();
    after(std::chrono::minutes(30));
    EXPECT_LE(most_calls_, 8U);
}

TEST_F(HungGuests, LeaveAQuarterOfTheCallsToTheOthers) {
    found_all();
    hang_all_but_the_first();
    after(std::chrono::minutes(10));
    EXPECT_LE(poller_.calls_under_way(), 6U);
}

/// It is the last in the row when they begin to hang.
TEST_F(HungGuests, KeepAnotherOnceFromItsNextQuestionForLessThanHalfAMinute) {
    found_all();
    const GuestId last("last");
    found(last, GuestAgentRoute::call);
    after(seconds(20));
    hang_all_but_the_first();
    after(std::chrono::minutes(10));
    Millis longest{0};
    int late = 0;
    const auto& asked = asked_[last];
    for (std::size_t i = 1; i < asked.size(); ++i) {
        const Millis waited = std::chrono::floor<Millis>(asked[i] - asked[i - 1]) - interval_;
        longest = std::max(longest, waited);
        late += waited > seconds(2) ? 1 : 0;
    }
    EXPECT_LT(longest, seconds(30));
    EXPECT_LE(late, 1);
    EXPECT_EQ(results_[last].find('-'), std::string::npos);
}

TEST_F(HungGuests, AreAllFoundAndAllFoundAgain) {
    found_all();
    after(seconds(20));
    hang_all_but_the_first();
    after(std::chrono::minutes(15));
    for (int i = 1; i <= kHung; ++i)
        EXPECT_NE(results_[guest(i)].find("---"), std::string::npos) << i;
    hung_.clear();
    after(seconds(30));
    for (int i = 1; i <= kHung; ++i)
        EXPECT_EQ(results_[guest(i)].back(), '+') << i;
}

TEST_F(HungGuests, OnChannelsDelayNobodyAtAll) {
    for (int i = 0; i <= kHung; ++i)
        found(guest(i));
    hang_all_but_the_first();
    for (int second = 0; second < 59; ++second) {
        after(seconds(1));
        answer();
    }
    EXPECT_THAT(asked_[guest(0)], SizeIs(6));
    EXPECT_EQ(results_[guest(0)], "++++++");
    EXPECT_EQ(results_[guest(1)], "------");
}

}  // namespace
}  // namespace vitalwire::host
