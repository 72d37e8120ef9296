#include "host/core/group_relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using wire::Dialect;

const GuestId kAnna("anna");
const GuestId kBert("bert");

wire::MemberState member(const std::string& id, const std::string& state) {
    wire::MemberState out;
    out.instance_id = id;
    out.state = state;
    return out;
}

/// The relay of a host in virtual time; what guests get is written down line by line.
class GroupRelayTest : public testing::Test, protected GroupRelay::Output {
protected:
    GroupRelayTest() : relay_(settings(), *this) {
        for (const GuestId& guest : {kAnna, kBert}) {
            model::GuestPolicy policy;
            policy.guest = guest;
            policy.messaging = true;
            relay_.set_policy(policy);
        }
        relay_.primary_changed(true);
    }
    static GroupRelay::Settings settings() {
        GroupRelay::Settings settings;
        settings.queue = 10'000;
        return settings;
    }

    void after(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (relay_.next_due() <= until) {
            now_ = std::max(now_, relay_.next_due());
            relay_.tick(now_);
        }
        now_ = until;
    }
    void up(const GuestId& guest, Dialect dialect = Dialect::native) { relay_.channel_up(guest, dialect, now_); }
    void down(const GuestId& guest, Dialect dialect = Dialect::native) { relay_.channel_down(guest, dialect, now_); }
    void deliver(std::vector<GuestId> to, const std::string& payload, std::uint64_t number) {
        relay_.on(bus::GroupDeliver{std::move(to), "carl", false, payload, "agent", number}, {0, now_});
    }
    void notify(std::vector<GuestId> to, const std::string& about, const std::string& state) {
        relay_.on(bus::GroupNotify{std::move(to), "compute.instance.update", "", member(about, state)}, now_);
    }
    void query(const GuestId& guest, std::int64_t seq, std::size_t members, Dialect dialect = Dialect::native) {
        relay_.received(guest, dialect, wire::StatusQuery{seq}, 2, now_);
        std::vector<wire::MemberState> states;
        for (std::size_t i = 0; i < members; ++i)
            states.push_back(member("member-" + std::to_string(i), std::string(200, 's')));
        relay_.on(bus::GroupStatus{++queries_, states, true});
    }
    /// The guest asks, and the answer has that state of that member.
    void show(const GuestId& guest, const std::string& about, const std::string& state) {
        relay_.received(guest, Dialect::native, wire::StatusQuery{1}, 2, now_);
        relay_.on(bus::GroupStatus{++queries_, {member(about, state)}, true});
    }
    /// The lines that the guest got since last time.
    std::vector<std::string> lines(const GuestId& guest) {
        after(base::Duration::zero());
        std::vector<std::string> out;
        std::string text = std::exchange(written_[guest], {});
        for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            if (end > 0) out.push_back(text.substr(0, end));
            text.erase(0, end + 1);
        }
        return out;
    }

    void to_primary(const bus::ToController& message) override {
        if (const auto* sent = std::get_if<bus::GroupSend>(&message)) sent_.push_back(sent->payload);
    }
    bool channel_idle(const GuestId& guest, Dialect) override { return !busy_.contains(guest); }
    void write(const GuestId& guest, Dialect, std::string lines) override {
        largest_write_ = std::max(largest_write_, lines.size());
        written_[guest] += lines;
        if (reads_slowly_) busy_.insert(guest);
    }
    void not_read(const GuestId&, Dialect, std::uint64_t messages) override { not_read_ += messages; }

    GroupRelay relay_;
    base::TimePoint now_{std::chrono::hours(1)};
    std::map<GuestId, std::string> written_;
    std::set<GuestId> busy_;
    bool reads_slowly_ = false;
    std::size_t largest_write_ = 0;
    std::uint64_t not_read_ = 0;
    std::uint64_t queries_ = 0;
    std::vector<std::string> sent_;
};

TEST_F(GroupRelayTest, WritesTheGroupsMessagesInOrder) {
    up(kAnna);
    deliver({kAnna}, "one", 1);
    deliver({kAnna}, "two", 2);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("one"), HasSubstr("two")));
}

TEST_F(GroupRelayTest, DeliversEachBroadcastOnce) {
    up(kAnna);
    deliver({kAnna}, "one", 1);
    deliver({kAnna}, "one", 1);
    EXPECT_THAT(lines(kAnna), SizeIs(1));
    EXPECT_EQ(relay_.counters().duplicates, 1U);
}

TEST_F(GroupRelayTest, DropsTheOldestForAGuestThatDoesNotReadAndTellsItHowMany) {
    up(kAnna);
    busy_.insert(kAnna);
    std::uint64_t number = 0;
    while (not_read_ == 0)
        deliver({kAnna}, std::string(3000, 'x'), ++number);
    busy_.clear();
    relay_.drained(kAnna, Dialect::native);
    EXPECT_THAT(lines(kAnna).front(), HasSubstr("\"dropped\":" + std::to_string(not_read_)));
}

TEST_F(GroupRelayTest, TellsAGuestWhatWasLostWhileItMoved) {
    up(kAnna);
    relay_.on(bus::GroupDeliver{{kAnna}, "carl", false, "one", "agent", 1, 4}, {0, now_});
    deliver({kAnna}, "two", 2);
    EXPECT_THAT(lines(kAnna),
                ElementsAre(AllOf(HasSubstr("one"), HasSubstr("\"dropped\":4")), Not(HasSubstr("dropped"))));
}

TEST_F(GroupRelayTest, WhatWasHeldUpUntilNewerOnesHadComeIsCountedForTheGuest) {
    up(kAnna);
    const base::TimePoint silent_from = now_;
    deliver({kAnna}, "newer", 1);
    after(std::chrono::seconds(5));
    relay_.on(bus::GroupDeliver{{kAnna}, "carl", false, "older", "agent before", 9, 2}, {1, now_, silent_from});
    deliver({kAnna}, "newest", 2);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("newer"), AllOf(HasSubstr("newest"), HasSubstr("\"dropped\":3"))));
    EXPECT_EQ(relay_.counters().late, 1U);
}

TEST_F(GroupRelayTest, ACgcsGuestIsAnsweredInItsVersion) {
    up(kAnna, Dialect::cgcs);
    relay_.spoke(kAnna, Dialect::cgcs, 1);
    deliver({kAnna}, "hi", 1);
    EXPECT_THAT(lines(kAnna), ElementsAre(AllOf(HasSubstr("\"version\":1"), HasSubstr("cgcs.server_grp"))));
}

TEST_F(GroupRelayTest, WhatWaitedForOneRunOfAGuestDoesNotReachTheNext) {
    up(kAnna);
    busy_.insert(kAnna);
    deliver({kAnna}, "old", 1);
    down(kAnna);
    EXPECT_EQ(not_read_, 1U);
    busy_.clear();
    up(kAnna);
    EXPECT_THAT(lines(kAnna), IsEmpty());
}

TEST_F(GroupRelayTest, SendsAPeersStateOnceHoweverOftenItComes) {
    up(kAnna);
    notify({kAnna}, "bert", "paused");
    notify({kAnna}, "bert", "paused");
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("paused")));
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("active")));
}

TEST_F(GroupRelayTest, SendsAStateAgainWhenAnAnswerHasShownAnotherOne) {
    up(kAnna);
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), SizeIs(1));
    show(kAnna, "bert", "paused");
    EXPECT_THAT(lines(kAnna), SizeIs(2)) << "an answer";
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("active"))) << "though that was notified last";
    show(kAnna, "bert", "active");
    EXPECT_THAT(lines(kAnna), SizeIs(2));
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), IsEmpty()) << "as it was notified and shown";
}

TEST_F(GroupRelayTest, SendsTheStateThatAnAnswerHasShownAgainstAnotherNotification) {
    up(kAnna);
    notify({kAnna}, "bert", "paused");
    show(kAnna, "bert", "active");
    EXPECT_THAT(lines(kAnna), SizeIs(3));
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("active"))) << "it may have taken the notification for the newer";
}

TEST_F(GroupRelayTest, SendsAStateAgainWhenAnAnswerHasLeftItsMemberOut) {
    up(kAnna);
    notify({kAnna}, "bert", "active");
    show(kAnna, "carl", "active");
    EXPECT_THAT(lines(kAnna), SizeIs(3));
    notify({kAnna}, "bert", "active");
    EXPECT_THAT(lines(kAnna), ElementsAre(AllOf(HasSubstr("bert"), HasSubstr("active"))));
}

TEST_F(GroupRelayTest, AnAnswerThatWaitedShowsWhatWasNotifiedSince) {
    up(kAnna);
    busy_.insert(kAnna);
    show(kAnna, "bert", "active");
    notify({kAnna}, "bert", "paused");
    busy_.clear();
    relay_.drained(kAnna, Dialect::native);
    const auto sent = lines(kAnna);
    ASSERT_THAT(sent, SizeIs(3)) << "a notification and an answer";
    EXPECT_THAT(sent[1], AllOf(HasSubstr("status_response"), HasSubstr("paused")));
}

TEST_F(GroupRelayTest, SendsAStateAgainWhenTheAnswerThatShowedItMayBeLost) {
    up(kAnna);
    notify({kAnna}, "bert", "active");
    after(std::chrono::minutes(1));
    show(kAnna, "bert", "paused");
    EXPECT_THAT(lines(kAnna), SizeIs(3));
    down(kAnna);
    up(kAnna);
    notify({kAnna}, "bert", "paused");
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("paused")));
}

TEST_F(GroupRelayTest, SendsTheNewestStateOfAPeerToAMemberWhoseChannelWasAway) {
    up(kAnna);
    down(kAnna);
    notify({kAnna}, "bert", "paused");
    notify({kAnna}, "bert", "error");
    EXPECT_THAT(lines(kAnna), IsEmpty());
    up(kAnna);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("error")));
    notify({kAnna}, "bert", "error");
    EXPECT_THAT(lines(kAnna), IsEmpty());
}

TEST_F(GroupRelayTest, SendsAPeersStateToAMemberWhoseChannelComesLater) {
    notify({kAnna}, "bert", "error");
    up(kAnna);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("error")));
}

TEST_F(GroupRelayTest, OneMembersAbsenceDoesNotSilenceTheOthers) {
    up(kBert);
    notify({kAnna, kBert}, "carl", "error");
    EXPECT_THAT(lines(kBert), SizeIs(1));
    up(kAnna);
    EXPECT_THAT(lines(kAnna), SizeIs(1));
    EXPECT_THAT(lines(kBert), IsEmpty());
}

TEST_F(GroupRelayTest, RepeatsAStateThatWentIntoAChannelWhichEndedAtOnce) {
    up(kAnna);
    notify({kAnna}, "bert", "error");
    EXPECT_THAT(lines(kAnna), SizeIs(1));
    after(std::chrono::seconds(1));
    down(kAnna);
    up(kAnna);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("error"))) << "it may not have been read";
    down(kAnna);
    up(kAnna);
    EXPECT_THAT(lines(kAnna), SizeIs(1)) << "nor the second time";
    after(std::chrono::minutes(1));
    down(kAnna);
    up(kAnna);
    EXPECT_THAT(lines(kAnna), IsEmpty());
}

TEST_F(GroupRelayTest, SendsStatesAgainToAMemberThatWasAwayFromThisHost) {
    up(kAnna);
    notify({kAnna}, "bert", "paused");
    EXPECT_THAT(lines(kAnna), SizeIs(1));
    relay_.forget(kAnna);  // it lives on another host for a while, where it is sent other states
    notify({kAnna}, "bert", "paused");
    EXPECT_THAT(lines(kAnna), SizeIs(1));
}

TEST_F(GroupRelayTest, WritesAStatusOfAnySizeWholeAsTheGuestReadsIt) {
    up(kAnna);
    reads_slowly_ = true;
    query(kAnna, 7, 500);  // ten times the queue
    std::vector<std::string> got;
    for (int turns = 0; turns < 1000 && (got.empty() || got.back().find("status_response_done") == std::string::npos);
         ++turns) {
        for (std::string& line : lines(kAnna))
            got.push_back(std::move(line));
        busy_.clear();
        relay_.drained(kAnna, Dialect::native);
    }
    ASSERT_THAT(got, SizeIs(501));
    EXPECT_THAT(got.back(), HasSubstr("\"count\":500"));
    EXPECT_EQ(not_read_, 0U);
    EXPECT_LT(largest_write_, 16'000U) << "a challenge must not wait behind all of it";
}

TEST_F(GroupRelayTest, RefusesFurtherQueriesOfAGuestThatDoesNotReadItsAnswers) {
    up(kAnna);
    busy_.insert(kAnna);
    query(kAnna, 1, 50);
    query(kAnna, 2, 50);
    query(kAnna, 3, 50);
    busy_.clear();
    relay_.drained(kAnna, Dialect::native);
    const auto got = lines(kAnna);
    EXPECT_THAT(got, SizeIs(1 + 51 + 51));
    EXPECT_THAT(got.front(), AllOf(HasSubstr("unavailable"), HasSubstr("\"seq\":3")));
}

TEST_F(GroupRelayTest, GivesACgcsGuestItsAnswersInPortionsThatItsQueueTakes) {
    up(kAnna, Dialect::cgcs);
    query(kAnna, 1, 20, Dialect::cgcs);
    EXPECT_THAT(lines(kAnna), SizeIs(8));
    after(Millis(19));
    EXPECT_THAT(lines(kAnna), IsEmpty());
    after(Millis(1));
    EXPECT_THAT(lines(kAnna), SizeIs(8));
    after(Millis(20));
    EXPECT_THAT(lines(kAnna), SizeIs(5)) << "four states and the end";
}

TEST_F(GroupRelayTest, AnEndedChannelTakesItsStatusAnswersWithIt) {
    up(kAnna);
    busy_.insert(kAnna);
    query(kAnna, 1, 50);
    down(kAnna);
    busy_.clear();
    up(kAnna);
    EXPECT_THAT(lines(kAnna), IsEmpty());
}

TEST_F(GroupRelayTest, TakesPartOnTheNativeChannelWhenTheGuestSpeaksThere) {
    up(kAnna, Dialect::cgcs);
    up(kAnna, Dialect::native);
    deliver({kAnna}, "one", 1);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("cgcs.server_grp"))) << "nothing was received on the other";
    relay_.spoke(kAnna, Dialect::native, 2);
    deliver({kAnna}, "two", 2);
    EXPECT_THAT(lines(kAnna), ElementsAre(HasSubstr("vitalwire.group")));
}

}  // namespace
}  // namespace vitalwire::host
