#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kLost = "agent_lost.compute-1";
constexpr const char* kUnreachable = "host_unreachable.compute-1";
constexpr const char* kElsewhere = "agents are connected to other controllers only";

/// Two hosts whose primary is this controller, and another controller, "other", which it asks.
class PeerAgentsTest : public CoreTest {
protected:
    PeerAgentsTest() {
        place("g1", "compute-1");
        for (const char* host : {"compute-1", "compute-2"}) {
            up(hello(host));
            core->agent_alive(0, base::HostId(host), moment);
        }
        answer({connected("compute-1", 100)});
        take();
    }
    static PeerAgent connected(const std::string& host, int seen, bool is_primary = false) {
        return {base::HostId(host), true, is_primary, base::Millis(seen)};
    }
    void answer(std::vector<PeerAgent> agents) {
        core->peer_answered({"other", base::Millis(900), std::move(agents)}, moment.steady, moment);
        run_deferred();
    }
    /// For that long `agents` is what the other controller answers, whenever it is asked.
    void pass_answered(const std::vector<PeerAgent>& agents, base::Millis time) {
        for (const base::TimePoint end = moment.steady + time; moment.steady < end;) {
            core->agent_alive(0, base::HostId("compute-2"), moment);
            const int before = asked_peers;
            pass(base::Millis(50));
            if (asked_peers != before) answer(agents);
        }
    }
    /// Until compute-1 is missed, and the other controller asked about it.
    void fall_silent() {
        keep_alive({"compute-1", "compute-2"}, base::Millis(500));
        const int before = asked_peers;
        for (int i = 0; i < 10 && asked_peers == before; ++i)
            keep_alive({"compute-2"}, base::Millis(100));
    }
    bool is_open(const char* alarm) const { return core->self_monitoring().open(base::FaultId(alarm)); }
};

TEST_F(PeerAgentsTest, AHostThatAnotherControllerStillSeesIsNotUnreachable) {
    fall_silent();
    EXPECT_FALSE(is_open(kUnreachable)) << "it is asked first";
    pass_answered({connected("compute-1", 200)}, seconds(20));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem(kElsewhere), HasSubstr("compute-1 (other)"));
}

TEST_F(PeerAgentsTest, AnAgentThatIsConnectedToAnotherControllerIsNotLost) {
    down("compute-1");
    pass_answered({connected("compute-1", 200)}, seconds(20));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_THAT(problem(kElsewhere), HasSubstr("compute-1 (other)"));
    EXPECT_EQ(problem("agent compute-1 is not connected"), "");
    EXPECT_FALSE(core->remove_host(base::HostId("compute-1"), moment));
}

TEST_F(PeerAgentsTest, AHostThatIsDeadForAllIsUnreachableAsSoonAsTheOtherMissesIt) {
    fall_silent();
    pass_answered({connected("compute-1", 850)}, base::Millis(150));
    EXPECT_FALSE(is_open(kUnreachable)) << "the other has not heard it since, and not missed it";
    answer({});
    EXPECT_TRUE(is_open(kUnreachable));
}

TEST_F(PeerAgentsTest, AControllerThatHangsIsNotWaitedForForLong) {
    fall_silent();
    pass(PeerAgents::kPatience);
    EXPECT_TRUE(is_open(kUnreachable));
}

TEST_F(PeerAgentsTest, AControllerThatDoesNotAnswerIsNotWaitedFor) {
    core->peer_silent("other", moment);
    fall_silent();
    EXPECT_TRUE(is_open(kUnreachable));
}

TEST_F(PeerAgentsTest, AnAlarmThatWasRaisedEndsWhenAnotherControllerSeesTheAgent) {
    core->peer_silent("other", moment);
    down("compute-1");
    pass(seconds(20));
    ASSERT_TRUE(is_open(kLost));
    answer({connected("compute-1", 200)});
    EXPECT_THAT(take(), Contains("agent_lost.compute-1 cleared 2"));
    EXPECT_EQ(last_alarm.clear_reason, "connected to another controller");
}

TEST_F(PeerAgentsTest, WhatAControllerToldThatIsAwayNowDoesNotCount) {
    down("compute-1");
    pass_answered({connected("compute-1", 200)}, seconds(10));
    core->peer_silent("other", moment);
    pass(seconds(10));
    EXPECT_TRUE(is_open(kLost));
}

TEST_F(PeerAgentsTest, AnAgentsNewPrimaryDeliversItsFaults) {
    down("compute-1");
    answer({connected("compute-1", 200, true)});
    const Agent& agent = *core->fleet().find(base::HostId("compute-1"));
    EXPECT_FALSE(agent.is_primary);
    EXPECT_EQ(agent.primary, "other");
}

TEST_F(PeerAgentsTest, AnAgentThatIsConnectedHereHasThePrimaryThatItNames) {
    answer({connected("compute-1", 200, true)});
    EXPECT_TRUE(core->fleet().find(base::HostId("compute-1"))->is_primary);
}

/// This controller stands by for compute-1, whose primary is "other"; f1 is open there.
class OrphanTest : public PeerAgentsTest {
protected:
    OrphanTest() {
        message("compute-1", bus::PrimaryChanged{false, "other", {"ctl", "other"}});
        message("compute-2", bus::PrimaryChanged{true, "ctl", {"ctl"}});
        report("compute-1", f1);
        take();
    }
    void witness(const std::string& host, const std::vector<std::string>& controllers) {
        bus::Hello greeting = hello(host);
        greeting.is_primary = false;
        greeting.primary = controllers.back();
        greeting.controllers = controllers;
        up(greeting);
    }
    void primary_dies() {
        down("compute-1");
        core->peer_silent("other", moment);
    }
    void acknowledged_at(const std::string& controller, std::uint64_t revision) {
        JournalEntry entry{moment.wall, kAcknowledgedEntry, "a", "opened at somewhere"};
        entry.revision = revision;
        core->merge_journal(f1.id, controller, {{entry}}, moment);
    }
};

TEST_F(OrphanTest, WhatItsPrimaryHadNotDeliveredIsDelivered) {
    primary_dies();
    pass(seconds(12));
    EXPECT_THAT(take(), Contains("f1 opened 1"));
}

TEST_F(OrphanTest, WhatItsPrimaryHadAcknowledgedIsNotToldAgain) {
    acknowledged_at("other", 1);
    primary_dies();
    pass(seconds(30));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1"))));
    ASSERT_TRUE(core->clear_by_operator(f1.id, "gone", moment));
    run_deferred();
    EXPECT_THAT(take(), Contains("f1 cleared 2")) << "it is this one's to end";
}

TEST_F(OrphanTest, OnlyTheNewerRevisionIsTold) {
    acknowledged_at("other", 1);
    model::Fault updated = f1;
    updated.revision = 2;
    report("compute-1", updated);
    primary_dies();
    pass(seconds(12));
    EXPECT_THAT(take(), Contains("f1 updated 2"));
}

TEST_F(OrphanTest, APrimaryThatIsRestartedKeepsItsHosts) {
    down("compute-1");
    pass(seconds(60));
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1"))->primary, "other");
    core->peer_silent("other", moment);
    pass(seconds(5));
    answer({{base::HostId("compute-1"), false, true, std::nullopt}});
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1"))));
}

TEST_F(OrphanTest, OneAgentAloneDoesNotVouchForAPrimaryThatDoesNotAnswer) {
    witness("evil", {"ctl", "other"});
    primary_dies();
    keep_alive({"compute-2"}, seconds(12));
    EXPECT_THAT(take(), Contains("f1 opened 1"));
}

TEST_F(OrphanTest, MostAgentsVouchForAPrimaryThatDoesNotAnswer) {
    witness("compute-3", {"ctl", "other"});
    witness("compute-4", {"ctl", "other"});
    take();
    primary_dies();
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1"))));
}

TEST_F(OrphanTest, APrimaryThatHasLostItsStateVouchesForNothing) {
    witness("compute-3", {"ctl", "other"});
    witness("compute-4", {"ctl", "other"});
    take();
    down("compute-1");
    answer({connected("compute-3", 100)});
    pass(seconds(12));
    EXPECT_THAT(take(), Contains("f1 opened 1"));
}

TEST_F(OrphanTest, AnotherOneOfTheOwnNameIsNotWaitedFor) {
    message("compute-1", bus::PrimaryChanged{false, "ctl", {"ctl"}});
    witness("compute-3", {"ctl"});
    witness("compute-4", {"ctl"});
    take();
    down("compute-1");
    pass(seconds(12));
    EXPECT_THAT(take(), Contains("f1 opened 1")) << "who sees this one says nothing of the other";
}

TEST_F(OrphanTest, OfSeveralStandbysTheFirstByNameAdopts) {
    core->peer_answered({"bck", base::Millis(900), {}}, moment.steady, moment);
    primary_dies();
    pass(seconds(19));
    EXPECT_THAT(take(), Not(Contains("f1 opened 1"))) << "bck is to";
    core->peer_answered({"bck", base::Millis(900), {{base::HostId("compute-1"), false, true, std::nullopt}}},
                        moment.steady, moment);
    pass(seconds(60));
    EXPECT_THAT(take(), Not(Contains("f1 opened 1"))) << "it has";
}

TEST_F(PeerAgentsTest, WhatWasDecidedCountsOnceHoweverItsClockIsMeasured) {
    const auto lose = [&] {
        pass(base::Millis(1));
        down("compute-1");
        pass(seconds(20));
        ASSERT_TRUE(is_open(kLost));
    };
    lose();
    Journal::Part closed{{{moment.wall, kClosedEntry, "", "known"}}, 0, last_alarm, std::chrono::minutes(-60)};
    core->merge_journal(base::FaultId(kLost), "other", closed, moment);
    ASSERT_FALSE(is_open(kLost));
    core->merge_journal(base::FaultId(kLost), "other", closed, moment);
    up(hello("compute-1"));
    keep_alive({"compute-1", "compute-2"}, seconds(60));
    lose();
    // Its clock has been set: the same decision, by the same time of its own, is an hour later by the clock here.
    closed.entries[0].at += std::chrono::hours(1);
    closed.entries[0].first_at += std::chrono::hours(1);
    closed.ahead -= std::chrono::hours(1);
    core->merge_journal(base::FaultId(kLost), "other", closed, moment);
    EXPECT_TRUE(is_open(kLost)) << "what was decided is about the time before";
}

TEST_F(PeerAgentsTest, AHostThatIsSetUpAgainIsNotRemovedByTheDecisionOfThen) {
    const auto ahead = std::chrono::hours(1);
    Journal::Part removed{{{moment.wall + ahead, kHostRemovedEntry, "", "compute-1"}}};
    core->merge_journal(base::FaultId(kLost), "other", removed, moment);
    report("compute-1", f1);
    take();
    down("compute-1");
    pass(seconds(20));
    removed.entries.push_back({moment.wall + ahead, kOpenedEntry});
    removed.alarm = last_alarm;
    core->merge_journal(base::FaultId(kLost), "other", removed, moment);
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr);
    EXPECT_TRUE(tracked("f1")->fault.open());
}

TEST_F(PeerAgentsTest, OthersAreToldOfAgentsThatAreConnectedOrWhoseFaultsAreDeliveredFromHere) {
    fall_silent();
    const std::vector<PeerAgent> told = core->agents_for_peers(moment.steady);
    ASSERT_EQ(told.size(), 2u);
    EXPECT_EQ(told[0], (PeerAgent{base::HostId("compute-1"), false, true, std::nullopt}));
    EXPECT_TRUE(told[1].connected);
    EXPECT_LE(told[1].seen, base::Millis(100));
}

}  // namespace
}  // namespace vitalwire::controller
