// The host's state table of the server group (proto-spec/server-group.md, section 7). Tests are named after rows.

#include "group/rate_limiter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace vitalwire::group {
namespace {

using base::Errc;
using base::GuestId;
using base::Millis;
using testing::ElementsAre;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

const GuestId kAnna("anna");
const GuestId kBert("bert");

wire::MemberState member(const std::string& id) {
    wire::MemberState state;
    state.instance_id = id;
    state.state = "active";
    return state;
}

/// An agent's gate and its clock; what it does is written down as words.
class Agent : private RateLimiter::Output {
public:
    Agent() {
        rate_limiter_.set_limits(kAnna, Limits{true});
        rate_limiter_.set_limits(kBert, Limits{true});
        rate_limiter_.serving();
    }

    Agent& after(Millis time) {
        now_ += time;
        return *this;
    }
    Lines says(const GuestId& guest, const wire::GroupPdu& pdu) {
        rate_limiter_.received({guest, wire::Dialect::native, 2}, pdu, now_);
        return take();
    }
    Lines broadcast(const GuestId& guest, const std::string& payload, std::optional<std::int64_t> seq = {}) {
        return says(guest, wire::Broadcast{payload, seq});
    }
    Lines tick() {
        rate_limiter_.tick(now_);
        return take();
    }
    template <class F>
    Lines controller(F&& does) {
        does(rate_limiter_);
        return take();
    }
    RateLimiter& gate() { return rate_limiter_; }

private:
    void broadcast(std::uint64_t number, const GuestId& sender, const std::string& payload) override {
        done_.push_back("forward " + std::to_string(number) + " " + sender.str() + " " + payload);
    }
    void query(std::uint64_t number, const GuestId& asker) override {
        done_.push_back("ask " + std::to_string(number) + " " + asker.str());
    }
    void answer(const Channel& to, wire::GroupPdu pdu) override {
        std::string line = to.guest.str() + " <- ";
        if (const auto* nack = std::get_if<wire::Nack>(&pdu)) {
            line += "nack " + std::string(to_string(nack->code)) + " of " + nack->orig_msg_type;
            if (nack->seq) line += " " + std::to_string(*nack->seq);
            if (nack->refused) line += " refused " + std::to_string(*nack->refused);
        }
        done_.push_back(line);
    }
    void status(const Channel& to, std::int64_t seq, std::vector<wire::MemberState> members) override {
        std::string line = to.guest.str() + " <- status " + std::to_string(seq);
        for (const wire::MemberState& member : members)
            line += " " + member.instance_id;
        done_.push_back(line);
    }
    Lines take() { return std::exchange(done_, {}); }

    RateLimiter rate_limiter_{*this};
    base::TimePoint now_{std::chrono::hours(1)};
    Lines done_;
};

TEST(RateLimiter, S01_HandsABroadcastToTheControllerInTheSendersName) {
    Agent agent;
    EXPECT_THAT(agent.broadcast(kAnna, "hello"), ElementsAre("forward 1 anna hello"));
    EXPECT_THAT(agent.broadcast(kBert, "hi"), ElementsAre("forward 2 bert hi"));
}

TEST(RateLimiter, S02_AQueryEndsWithOneStateAMemberAndTheirNumber) {
    Agent agent;
    EXPECT_THAT(agent.says(kAnna, wire::StatusQuery{7}), ElementsAre("ask 1 anna"));
    EXPECT_THAT(agent.controller([](RateLimiter& gate) { gate.status(1, {member("anna")}, false); }), IsEmpty());
    EXPECT_THAT(agent.controller([](RateLimiter& gate) { gate.status(1, {member("bert")}, true); }),
                ElementsAre("anna <- status 7 anna bert"));
}

TEST(RateLimiter, S02_AnAnswerToNoQueryReachesNobody) {
    Agent agent;
    EXPECT_THAT(agent.controller([](RateLimiter& gate) { gate.status(9, {member("anna")}, true); }), IsEmpty());
}

TEST(RateLimiter, S03_ACutOffHostSaysSoAtOnce) {
    Agent agent;
    agent.gate().cut_off();
    EXPECT_THAT(agent.broadcast(kAnna, "x", 5), ElementsAre("anna <- nack unavailable of broadcast 5"));
    EXPECT_THAT(agent.says(kAnna, wire::StatusQuery{7}), ElementsAre("anna <- nack unavailable of status_query 7"));
}

TEST(RateLimiter, S05_RefusesAGuestForWhichMessagingIsNotEnabled) {
    Agent agent;
    agent.gate().set_limits(kAnna, Limits{false});
    EXPECT_THAT(agent.broadcast(kAnna, "x"), ElementsAre("anna <- nack not_enabled of broadcast"));
    EXPECT_THAT(agent.broadcast(GuestId("stranger"), "x"), ElementsAre("stranger <- nack not_enabled of broadcast"));
}

TEST(RateLimiter, S06_TellsTheGuestWhyTheControllerRefused) {
    Agent agent;
    agent.broadcast(kAnna, "x", 5);
    EXPECT_THAT(agent.controller([](RateLimiter& gate) {
        gate.refused(1, {Errc::not_in_group, "no group"});
    }),
                ElementsAre("anna <- nack not_in_group of broadcast 5"));
}

TEST(RateLimiter, S06_AGuestThatTheCloudHasElsewhereIsToldToTryLater) {
    Agent agent;
    agent.broadcast(kAnna, "x");
    EXPECT_THAT(agent.controller([](RateLimiter& gate) {
        gate.refused(1, {Errc::permission, "elsewhere"});
    }),
                ElementsAre("anna <- nack unavailable of broadcast"));
}

TEST(RateLimiter, S07_S08_TellsOnceASecondHowManyWereAboveTheRate) {
    Agent agent;
    for (int i = 0; i < 100; ++i)
        agent.broadcast(kAnna, "");
    EXPECT_THAT(agent.broadcast(kAnna, ""), ElementsAre("anna <- nack rate_limited of broadcast refused 1"));
    EXPECT_THAT(agent.broadcast(kAnna, ""), IsEmpty());
    EXPECT_THAT(agent.broadcast(kAnna, ""), IsEmpty());
    EXPECT_THAT(agent.broadcast(kBert, ""), ElementsAre("forward 101 bert ")) << "another guest's flood is not bert's";
    agent.after(Millis(1000));
    for (int i = 0; i < 50; ++i)
        agent.broadcast(kAnna, "");
    EXPECT_THAT(agent.broadcast(kAnna, ""), ElementsAre("anna <- nack rate_limited of broadcast refused 3"));
}

TEST(RateLimiter, S08_TellsTheRestOfAFloodThatHasEnded) {
    Agent agent;
    for (int i = 0; i < 103; ++i)
        agent.broadcast(kAnna, "");
    agent.controller([](RateLimiter& gate) { gate.accepted(100); });
    EXPECT_THAT(agent.after(Millis(999)).tick(), IsEmpty());
    EXPECT_THAT(agent.after(Millis(1)).tick(), ElementsAre("anna <- nack rate_limited of broadcast refused 2"));
    EXPECT_THAT(agent.after(Millis(5000)).tick(), IsEmpty());
}

TEST(RateLimiter, S08_TellsOfWhatKindTheRefusedMessagesWereOneKindAtATime) {
    Agent agent;
    for (int i = 0; i < 100; ++i)
        agent.says(kAnna, wire::StatusQuery{i});
    EXPECT_THAT(agent.says(kAnna, wire::StatusQuery{100}),
                ElementsAre("anna <- nack rate_limited of status_query 100 refused 1"));
    EXPECT_THAT(agent.says(kAnna, wire::StatusQuery{101}), IsEmpty());
    EXPECT_THAT(agent.broadcast(kAnna, "", 7), IsEmpty());
    EXPECT_THAT(agent.says(kAnna, wire::StatusQuery{102}), IsEmpty());
    agent.controller([](RateLimiter& gate) {
        for (std::uint64_t number = 1; number <= 100; ++number)
            gate.status(number, {}, true);
    });
    EXPECT_THAT(agent.after(Millis(1000)).tick(), ElementsAre("anna <- nack rate_limited of broadcast refused 1"));
    EXPECT_THAT(agent.after(Millis(999)).tick(), IsEmpty());
    EXPECT_THAT(agent.after(Millis(1)).tick(), ElementsAre("anna <- nack rate_limited of status_query refused 2"));
    EXPECT_THAT(agent.after(Millis(5000)).tick(), IsEmpty());
}

TEST(RateLimiter, WhatAControllerAnswersToAnEarlierLifeOfTheAgentIsNoAnswer) {
    Agent agent;
    agent.gate().number_from(500);
    agent.says(kAnna, wire::StatusQuery{1});
    EXPECT_THAT(agent.broadcast(kAnna, "hi", 2), ElementsAre("forward 501 anna hi"));
    agent.controller([](RateLimiter& gate) {
        gate.status(1, {member("bert")}, true);
        gate.accepted(777);
    });
    EXPECT_THAT(agent.after(Millis(900)).tick(),
                ElementsAre("anna <- nack unavailable of status_query 1", "anna <- nack unavailable of broadcast 2"));
}

TEST(RateLimiter, S07_TheSmallestRateStillLetsTheLargestMessagePass) {
    Agent agent;
    agent.gate().set_limits(kAnna, Limits{true, 0.1, 1024, 2});
    EXPECT_THAT(agent.broadcast(kAnna, std::string(wire::kMaxPayload, 'x')),
                ElementsAre(testing::StartsWith("forward")));
}

TEST(RateLimiter, S07_CountsBytesAsWellAsMessages) {
    Agent agent;
    const std::string large(3000, 'x');
    int taken = 0;
    while (agent.broadcast(kAnna, large).front().starts_with("forward"))
        ++taken;
    EXPECT_EQ(taken, 2 * 65536 / 3000);
    EXPECT_THAT(agent.broadcast(kAnna, "small"), ElementsAre(testing::StartsWith("forward"))) << "there is room for it";
}

TEST(RateLimiter, S09_WhatTheControllerDoesNotTakeInTimeIsUnavailable) {
    Agent agent;
    agent.broadcast(kAnna, "x", 5);
    agent.says(kAnna, wire::StatusQuery{7});
    EXPECT_THAT(agent.after(RateLimiter::kReach - Millis(1)).tick(), IsEmpty());
    EXPECT_THAT(agent.after(Millis(1)).tick(),
                ElementsAre("anna <- nack unavailable of broadcast 5", "anna <- nack unavailable of status_query 7"));
    EXPECT_EQ(agent.gate().next_deadline(), base::kNever);
}

TEST(RateLimiter, S09_WhatTheControllerHasTakenIsNotRefusedAfterwards) {
    Agent agent;
    agent.broadcast(kAnna, "x");
    agent.broadcast(kAnna, "y", 2);
    agent.gate().accepted(1);
    EXPECT_THAT(agent.after(Millis(1000)).tick(), ElementsAre("anna <- nack unavailable of broadcast 2"));
}

TEST(RateLimiter, S09_AnAcceptedBroadcastLeavesTheQueryBeforeItPending) {
    Agent agent;
    agent.says(kAnna, wire::StatusQuery{7});
    agent.broadcast(kAnna, "x");
    agent.gate().accepted(2);
    EXPECT_THAT(agent.after(Millis(1000)).tick(), ElementsAre("anna <- nack unavailable of status_query 7"));
}

TEST(RateLimiter, S10_LosingTheControllerEndsWhatItHadNotTaken) {
    Agent agent;
    agent.broadcast(kAnna, "x", 5);
    EXPECT_THAT(agent.controller([](RateLimiter& gate) { gate.cut_off(); }),
                ElementsAre("anna <- nack unavailable of broadcast 5"));
    EXPECT_THAT(agent.controller([](RateLimiter& gate) { gate.cut_off(); }), IsEmpty());
}

TEST(RateLimiter, S11_ServiceResumesWithoutTheGuestDoingAnything) {
    Agent agent;
    agent.gate().cut_off();
    agent.gate().serving();
    EXPECT_THAT(agent.broadcast(kAnna, "x"), ElementsAre("forward 1 anna x"));
}

TEST(RateLimiter, AGuestThatIsGoneGetsNoAnswer) {
    Agent agent;
    agent.broadcast(kAnna, "x");
    agent.gate().forget(kAnna);
    EXPECT_THAT(agent.after(Millis(1000)).tick(), IsEmpty());
}

TEST(RateLimiter, WhatWaitsForAControllerThatHangsIsBounded) {
    Agent agent;
    std::size_t forwarded = 0;
    for (std::size_t guest = 0; guest < 500; ++guest) {
        const GuestId id("g" + std::to_string(guest));
        agent.gate().set_limits(id, Limits{true});
        for (int i = 0; i < 100; ++i)
            forwarded += agent.broadcast(id, "").front().starts_with("forward") ? 1U : 0U;
    }
    EXPECT_EQ(forwarded, RateLimiter::kMaxPending);
}

}  // namespace
}  // namespace vitalwire::group
