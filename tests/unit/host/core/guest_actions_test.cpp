// The host's rows about actions of the cloud (proto-spec/heartbeat.md, sections 4 and 9), in virtual time.

#include "host/core/guest_actions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace vitalwire::host {
namespace {

using base::GuestId;
using base::Millis;
using model::LifecycleEvent;
using model::VoteResult;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::Dialect;
using Lines = std::vector<std::string>;

class Ids final : public heartbeat::IdGenerator {
public:
    std::int64_t challenge() override { return ++last_; }
    base::SessionId session_id() override { return base::SessionId("s"); }

private:
    std::int64_t last_ = 0;
};

/// Guests that declared 4 s for a vote, 10 s before a stop, 6 s before a pause, and that want to know when it is over.
class GuestActionsTest : public testing::Test, private GuestActions::Output {
protected:
    GuestActionsTest() : actions_({}, ids_, *this) {
        registration_.session = base::SessionId("s1");
        registration_.notice_times = {seconds(4), seconds(10), seconds(6), seconds(1)};
        standing_.registration = &registration_;
        standing_.connected = true;
    }

    void ask(LifecycleEvent event, bool vote = true, const std::string& guest = "g1") {
        const auto asked = actions_.ask(
            {GuestId(guest), event, vote}, standing_,
            [this, guest](const GuestActions::Outcome& outcome) { decisions_.push_back(words(guest, outcome)); }, now_);
        if (!asked) decisions_.push_back(std::string(to_string(asked.error().code)));
    }
    void answer(std::int64_t invocation, VoteResult result, const std::string& reason = {},
                const std::string& guest = "g1", const std::string& session = "s1") {
        wire::ActionResponse response;
        response.session = base::SessionId(session);
        response.invocation_id = invocation;
        response.event = asked_[invocation].event;
        response.revocable = asked_[invocation].revocable;
        response.result = result;
        response.reason = reason;
        actions_.answered(GuestId(guest), registration_.dialect, response, now_);
    }
    void after(base::Duration time) {
        const base::TimePoint until = now_ + time;
        while (actions_.next_due() <= until) {
            now_ = std::max(now_, actions_.next_due());
            actions_.tick(now_);
        }
        now_ = until;
    }
    Lines sent() { return std::exchange(sent_, {}); }
    Lines decided() { return std::exchange(decisions_, {}); }

    Ids ids_;
    heartbeat::Registration registration_;
    GuestActions::Standing standing_;
    GuestActions actions_;
    base::TimePoint now_{};
    std::map<std::string, GuestActions::Waiting> kept_;
    Lines expired_;

private:
    static std::string words(const std::string& guest, const GuestActions::Outcome& outcome) {
        return guest + (outcome.rejected ? " rejected " : " proceed ") + std::string(outcome.answer) +
               (outcome.reason.empty() ? "" : " '" + outcome.reason + "'") + " after " +
               std::to_string(std::chrono::duration_cast<Millis>(outcome.waited).count());
    }
    void waiting_changed(const GuestId& guest, const GuestActions::Waiting& waiting) override {
        kept_.erase(guest.str());
        if (!waiting.empty()) kept_[guest.str()] = waiting;
    }
    void notice_expired(const GuestId& guest, LifecycleEvent event) override {
        expired_.push_back(guest.str() + ' ' + std::string(model::to_string(event)));
    }
    void send_action(const GuestId& guest, Dialect dialect, const wire::ActionNotify& pdu) override {
        asked_[pdu.invocation_id] = pdu;
        sent_.push_back(guest.str() + (dialect == Dialect::cgcs ? " cgcs " : " ") + pdu.session.str() + " " +
                        std::to_string(pdu.invocation_id) + (pdu.revocable ? " vote " : " notice ") +
                        std::string(model::to_string(pdu.event)) + " " + std::to_string(pdu.timeout.count()));
    }

    Lines sent_;
    Lines decisions_;

protected:
    std::map<std::int64_t, wire::ActionNotify> asked_;
};

TEST_F(GuestActionsTest, H34_AsksForAVoteAndWaitsAsLongAsTheGuestDeclared) {
    ask(LifecycleEvent::stop);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 vote stop 4000"));
    after(Millis(3999));
    EXPECT_THAT(decided(), IsEmpty());
}

TEST_F(GuestActionsTest, H35_ARejectedActionNamesTheReason) {
    ask(LifecycleEvent::stop);
    after(seconds(1));
    answer(1, VoteResult::reject, "last member");
    EXPECT_THAT(decided(), ElementsAre("g1 rejected reject 'last member' after 1000"));
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 vote stop 4000"));
    EXPECT_EQ(actions_.counters().rejected, 1U);
}

TEST_F(GuestActionsTest, H36_EveryOtherAnswerToAVoteIsConsent) {
    for (const VoteResult result : {VoteResult::accept, VoteResult::complete, VoteResult::timeout, VoteResult::error}) {
        ask(LifecycleEvent::pause);
        sent();
        answer(2 * static_cast<std::int64_t>(result) + 1, result);
        EXPECT_THAT(sent(), ElementsAre(testing::EndsWith("notice pause 6000")));
        answer(2 * static_cast<std::int64_t>(result) + 2, VoteResult::complete);
        EXPECT_THAT(decided(), ElementsAre("g1 proceed complete after 0"));
    }
}

TEST_F(GuestActionsTest, H36_SilenceIsConsent) {
    ask(LifecycleEvent::stop);
    after(seconds(4));
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 vote stop 4000", "g1 s1 2 notice stop 10000"));
    after(seconds(10));
    EXPECT_THAT(decided(), ElementsAre("g1 proceed silent after 14000"));
    EXPECT_EQ(actions_.counters().silent, 2U);
}

TEST_F(GuestActionsTest, H37_TheActionBeginsWhenTheGuestIsReady) {
    ask(LifecycleEvent::live_migrate_begin);
    answer(1, VoteResult::accept);
    after(seconds(2));
    answer(2, VoteResult::complete);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed complete after 2000"));
}

TEST_F(GuestActionsTest, H37_ARejectionOfANoticeCountsForNothing) {
    ask(LifecycleEvent::stop, false);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 notice stop 10000"));
    answer(1, VoteResult::reject, "no");
    EXPECT_THAT(decided(), ElementsAre("g1 proceed reject 'no' after 0"));
}

TEST_F(GuestActionsTest, H37_WhatTheGuestDeclaredNoTimeForIsLeftOut) {
    registration_.notice_times = {};
    ask(LifecycleEvent::stop);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed not_asked after 0"));
    registration_.notice_times.vote = seconds(1);
    ask(LifecycleEvent::stop);
    answer(1, VoteResult::accept);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed accept after 0"));
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 vote stop 1000"));
}

TEST_F(GuestActionsTest, H38_AGuestThatCannotAnswerIsNotAsked) {
    standing_.runs = false;
    ask(LifecycleEvent::stop);
    standing_.lost = true;
    ask(LifecycleEvent::stop);
    standing_.connected = false;
    ask(LifecycleEvent::stop);
    standing_.registration = nullptr;
    ask(LifecycleEvent::stop);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed not_running after 0", "g1 proceed heartbeat_lost after 0",
                                       "g1 proceed not_connected after 0", "g1 proceed not_registered after 0"));
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(GuestActionsTest, H39_NobodyWaitsForAGuestThatIsGone) {
    ask(LifecycleEvent::stop);
    actions_.session_changed(GuestId("g1"), &registration_, now_);
    actions_.channel_closed(GuestId("g1"), Dialect::cgcs, now_);
    actions_.give_up(GuestId("g2"), "heartbeat_lost", now_);
    EXPECT_THAT(decided(), IsEmpty());
    actions_.session_changed(GuestId("g1"), nullptr, now_);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed gone after 0"));
    ask(LifecycleEvent::stop);
    actions_.channel_closed(GuestId("g1"), Dialect::native, now_);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed gone after 0"));
    ask(LifecycleEvent::stop);
    after(Millis(900));
    actions_.give_up(GuestId("g1"), "heartbeat_lost", now_);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed heartbeat_lost after 900"));
    EXPECT_EQ(actions_.next_due(), base::kNever);
}

TEST_F(GuestActionsTest, H39_AGuestThatRegistersAgainWhileItVotesIsNotGone) {
    ask(LifecycleEvent::stop);
    registration_.session = base::SessionId("s2");
    actions_.session_changed(GuestId("g1"), &registration_, now_);
    EXPECT_THAT(decided(), IsEmpty());
    answer(1, VoteResult::reject, "busy", "g1", "s1");
    EXPECT_EQ(decided().size(), 1U);
    EXPECT_EQ(actions_.counters().stale, 0U);
}

TEST_F(GuestActionsTest, H39_TheNoticeAfterAVoteIsSentInTheSessionOfThatTime) {
    ask(LifecycleEvent::stop);
    EXPECT_EQ(sent().size(), 1U);
    registration_.session = base::SessionId("s2");
    actions_.session_changed(GuestId("g1"), &registration_, now_);
    answer(1, VoteResult::accept, {}, "g1", "s1");
    EXPECT_THAT(sent(), ElementsAre("g1 s2 2 notice stop 10000"));
}

TEST_F(GuestActionsTest, H39_AGuestThatRegistersOnItsOtherChannelIsNotWaitedFor) {
    ask(LifecycleEvent::stop);
    registration_.dialect = Dialect::cgcs;
    actions_.session_changed(GuestId("g1"), &registration_, now_);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed gone after 0"));
}

TEST_F(GuestActionsTest, H40_WhatIsDoneIsToldAtOnceAndNobodyWaits) {
    ask(LifecycleEvent::unpause);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 notice unpause 0"));
    EXPECT_THAT(decided(), ElementsAre("g1 proceed notified after 0"));
    registration_.notice_times.resume = {};
    ask(LifecycleEvent::resume);
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(GuestActionsTest, H40_AnEndIsToldAgainAfterABeginThatTheGuestCouldNotBeTold) {
    ask(LifecycleEvent::unpause);
    EXPECT_EQ(sent().size(), 1U);
    standing_.lost = true;
    ask(LifecycleEvent::pause);
    EXPECT_THAT(sent(), IsEmpty());
    standing_.lost = false;
    ask(LifecycleEvent::unpause);
    EXPECT_EQ(sent().size(), 1U);
}

TEST_F(GuestActionsTest, H40_ItIsToldWhenTheGuestRegistersAtItsNewHost) {
    standing_.registration = nullptr;
    ask(LifecycleEvent::live_migrate_end);
    EXPECT_THAT(decided(), ElementsAre("g1 proceed waiting after 0"));
    actions_.reachable(GuestId("g2"), standing_, now_);
    EXPECT_THAT(sent(), IsEmpty());
    after(minutes(9));
    standing_.registration = &registration_;
    actions_.reachable(GuestId("g1"), standing_, now_);
    actions_.reachable(GuestId("g1"), standing_, now_);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 notice live_migrate_end 0"));
}

TEST_F(GuestActionsTest, H40_ItIsNotToldToAGuestThatTakesTooLong) {
    standing_.registration = nullptr;
    ask(LifecycleEvent::resize_end);
    EXPECT_EQ(kept_.size(), 1U);
    after(minutes(10));
    EXPECT_THAT(expired_, ElementsAre("g1 resize_end")) << "and that is seen";
    EXPECT_EQ(actions_.counters().expired, 1U);
    EXPECT_EQ(kept_.size(), 0U);
    standing_.registration = &registration_;
    actions_.reachable(GuestId("g1"), standing_, now_);
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(GuestActionsTest, H41_AnAnswerThatNobodyWaitsForHasNoEffect) {
    ask(LifecycleEvent::stop);
    answer(99, VoteResult::reject);
    answer(1, VoteResult::reject, {}, "g2");
    answer(1, VoteResult::reject, {}, "g1", "s0");
    EXPECT_THAT(decided(), IsEmpty());
    answer(1, VoteResult::accept);
    answer(1, VoteResult::reject);
    EXPECT_THAT(decided(), IsEmpty());
    EXPECT_EQ(actions_.counters().stale, 4U);
}

TEST_F(GuestActionsTest, H41_AnAnswerAboutAnotherEventOrANoticeIsNoVote) {
    ask(LifecycleEvent::stop);
    const wire::ActionNotify question = asked_[1];
    asked_[1].event = LifecycleEvent::pause;
    answer(1, VoteResult::reject);
    asked_[1] = question;
    asked_[1].revocable = false;
    answer(1, VoteResult::reject);
    EXPECT_THAT(decided(), IsEmpty());
    EXPECT_EQ(actions_.counters().stale, 2U);
    asked_[1] = question;
    answer(1, VoteResult::accept);
    EXPECT_EQ(sent().size(), 2U) << "the vote, and then the notice";
}

TEST_F(GuestActionsTest, TheOperatorsBoundHoldsForVoteAndNoticeTogether) {
    actions_.configure({seconds(5), true});
    ask(LifecycleEvent::stop);
    after(seconds(4));
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 vote stop 4000", "g1 s1 2 notice stop 1000"));
    after(seconds(1));
    EXPECT_THAT(decided(), ElementsAre("g1 proceed silent after 5000"));
    actions_.configure({seconds(2), true});
    ask(LifecycleEvent::stop);
    after(seconds(2));
    EXPECT_THAT(decided(), ElementsAre("g1 proceed silent after 2000"));
}

TEST_F(GuestActionsTest, WhereTheOperatorLetsNobodyVoteTheGuestGetsReadyAllTheSame) {
    actions_.configure({seconds(30), false});
    ask(LifecycleEvent::reboot);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 notice reboot 10000"));
}

TEST_F(GuestActionsTest, AGuestThatHangsDelaysNoOther) {
    ask(LifecycleEvent::stop, true, "g1");
    ask(LifecycleEvent::stop, true, "g2");
    answer(2, VoteResult::reject, "no", "g2");
    EXPECT_THAT(decided(), ElementsAre("g2 rejected reject 'no' after 0"));
    after(seconds(14));
    EXPECT_THAT(decided(), ElementsAre("g1 proceed silent after 14000"));
}

TEST_F(GuestActionsTest, ACgcsGuestAnswersWithoutASession) {
    registration_.dialect = Dialect::cgcs;
    ask(LifecycleEvent::stop);
    EXPECT_THAT(sent(), ElementsAre("g1 cgcs s1 1 vote stop 4000"));
    answer(1, VoteResult::reject, "busy", "g1", "");
    EXPECT_THAT(decided(), ElementsAre("g1 rejected reject 'busy' after 0"));
}

TEST_F(GuestActionsTest, TooManyAtOnceAreRefused) {
    for (int i = 0; i < 1024; ++i)
        ask(LifecycleEvent::stop, true, "g" + std::to_string(i));
    EXPECT_THAT(decided(), IsEmpty());
    ask(LifecycleEvent::stop, true, "more");
    EXPECT_THAT(decided(), ElementsAre("too_many"));
}

TEST_F(GuestActionsTest, TheHypervisorsEventNotifiesAGuestThatNobodyAsked) {
    actions_.notify(GuestId("g1"), LifecycleEvent::live_migrate_begin, standing_, now_);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 1 notice live_migrate_begin 0"));
    actions_.notify(GuestId("g1"), LifecycleEvent::live_migrate_end, standing_, now_);
    actions_.notify(GuestId("g1"), LifecycleEvent::live_migrate_begin, standing_, now_);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 2 notice live_migrate_end 0", "g1 s1 3 notice live_migrate_begin 0"));
    standing_.connected = false;
    actions_.notify(GuestId("g1"), LifecycleEvent::stop, standing_, now_);
    EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(GuestActionsTest, TheHypervisorsEventAboutAnActionThatTheGuestWasAskedAboutSaysNothingNew) {
    ask(LifecycleEvent::live_migrate_begin, false);
    answer(1, VoteResult::complete);
    sent();
    actions_.notify(GuestId("g1"), LifecycleEvent::live_migrate_begin, standing_, now_);
    EXPECT_THAT(sent(), IsEmpty());
    actions_.notify(GuestId("g1"), LifecycleEvent::live_migrate_end, standing_, now_);
    ask(LifecycleEvent::live_migrate_end);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 2 notice live_migrate_end 0"));
    after(seconds(61));
    ask(LifecycleEvent::live_migrate_end);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 3 notice live_migrate_end 0"));
}

TEST_F(GuestActionsTest, AfterARejectionTheHypervisorsEventIsAboutAnotherAction) {
    ask(LifecycleEvent::stop);
    answer(1, VoteResult::reject);
    sent();
    actions_.notify(GuestId("g1"), LifecycleEvent::stop, standing_, now_);
    EXPECT_THAT(sent(), ElementsAre("g1 s1 2 notice stop 0"));
}

}  // namespace
}  // namespace vitalwire::host
