#include "guest/action_votes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <utility>
#include <vector>

namespace vitalwire::guest {
namespace {

using base::Millis;
using model::LifecycleEvent;
using model::VoteResult;
using testing::ElementsAre;
using testing::IsEmpty;
using Names = std::vector<std::string>;

/// Two applications, unless a test says otherwise.
class ActionVotesTest : public testing::Test, private ActionVotes::Voters {
protected:
    ActionVotesTest() { votes_.add(*this); }

    void asked(std::int64_t invocation, bool vote = true, Millis timeout = Millis(60'000)) {
        votes_.asked({base::SessionId("s1"), invocation, LifecycleEvent::stop, vote, timeout});
    }
    Names answered() { return std::exchange(answers_, {}); }

    boost::asio::io_context io_;
    MonitorClock clock_{io_};
    Names names_{"db", "web"};
    Names over_;
    ActionVotes votes_{clock_, [this](const wire::ActionNotify& notify, VoteResult result, const std::string& reason) {
                           answers_.push_back(std::to_string(notify.invocation_id) + " " +
                                              std::string(model::to_string(result)) +
                                              (reason.empty() ? "" : " '" + reason + "'"));
                       }};

private:
    std::vector<Voter> ask(const wire::ActionNotify&) override {
        std::vector<Voter> voters;
        for (const std::string& name : names_)
            voters.push_back({name, name});
        return voters;
    }
    void over(std::int64_t invocation) override { over_.push_back(std::to_string(invocation)); }

    Names answers_;
};

TEST_F(ActionVotesTest, WhereNobodyIsToBeAskedTheGuestConsentsAtOnce) {
    names_.clear();
    asked(1);
    asked(2, false);
    EXPECT_THAT(answered(), ElementsAre("1 accept", "2 complete"));
}

TEST_F(ActionVotesTest, TheGuestAnswersWhenAllHave) {
    asked(1);
    votes_.vote({"web", "web"}, 1, VoteResult::accept, "fine");
    EXPECT_THAT(answered(), IsEmpty());
    votes_.vote({"web", "web"}, 1, VoteResult::reject, "a second answer of one is none");
    votes_.vote({"somebody", "somebody"}, 1, VoteResult::reject, "");
    votes_.vote({"db", "db"}, 1, VoteResult::accept, "");
    EXPECT_THAT(answered(), ElementsAre("1 accept"));
    EXPECT_THAT(over_, ElementsAre("1"));
}

TEST_F(ActionVotesTest, TheWorstAnswerIsTheGuestsAndNamesWhoGaveIt) {
    asked(1);
    votes_.vote({"web", "web"}, 1, VoteResult::reject, "last member");
    votes_.vote({"db", "db"}, 1, VoteResult::error, "?");
    EXPECT_THAT(answered(), ElementsAre("1 reject 'web: last member'"));
}

TEST_F(ActionVotesTest, OneThatGotItsNameSinceItWasAskedIsNamedByIt) {
    asked(1);
    votes_.vote({"web", "the web server"}, 1, VoteResult::reject, "last member");
    votes_.vote({"db", "db"}, 1, VoteResult::accept, "");
    EXPECT_THAT(answered(), ElementsAre("1 reject 'the web server: last member'"));
}

TEST_F(ActionVotesTest, ANoticeCannotBeRejected) {
    asked(1, false);
    votes_.vote({"web", "web"}, 1, VoteResult::reject, "no");
    votes_.vote({"db", "db"}, 1, VoteResult::accept, "");
    EXPECT_THAT(answered(), ElementsAre("1 error 'web: no'"));
}

TEST_F(ActionVotesTest, OneThatLeavesHasNothingAgainstIt) {
    asked(1);
    asked(2);
    votes_.vote({"web", "web"}, 1, VoteResult::accept, "");
    votes_.left("db");
    EXPECT_THAT(answered(), ElementsAre("1 accept"));
    votes_.left("web");
    EXPECT_THAT(answered(), ElementsAre("2 accept"));
}

TEST_F(ActionVotesTest, OneThatDoesNotAnswerInTimeIsNamed) {
    asked(1, true, Millis(50));
    votes_.vote({"web", "web"}, 1, VoteResult::accept, "");
    while (over_.empty())
        io_.run_one();
    EXPECT_THAT(answered(), ElementsAre("1 timeout 'db did not answer in time'"));
}

TEST_F(ActionVotesTest, WhatIsDoneIsNotAnswered) {
    asked(1, false, Millis(0));
    votes_.vote({"web", "web"}, 1, VoteResult::complete, "");
    votes_.vote({"db", "db"}, 1, VoteResult::complete, "");
    EXPECT_THAT(answered(), IsEmpty());
    EXPECT_THAT(over_, ElementsAre("1"));
}

TEST_F(ActionVotesTest, TooManyQuestionsAtOnceAreAnsweredWithoutAskingAnybody) {
    for (int i = 1; i <= 8; ++i)
        asked(i);
    EXPECT_THAT(answered(), IsEmpty());
    asked(9);
    EXPECT_THAT(answered(), ElementsAre("9 error 'asked about too many actions at once'"));
}

TEST_F(ActionVotesTest, WhatNobodyWaitsForKeepsNoQuestionFromBeingAsked) {
    for (int i = 1; i <= 20; ++i)
        asked(i, false, Millis(0));
    EXPECT_EQ(over_.size(), 12U) << "the oldest make room";
    asked(21);
    votes_.vote({"web", "web"}, 21, VoteResult::reject, "busy");
    votes_.vote({"db", "db"}, 21, VoteResult::accept, "");
    EXPECT_THAT(answered(), ElementsAre("21 reject 'web: busy'"));
}

}  // namespace
}  // namespace vitalwire::guest
