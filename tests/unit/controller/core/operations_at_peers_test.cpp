#include "tests/unit/controller/core/operations_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(OperationsTest, AFaultThatIsClosedAtAnotherControllerIsClosedWhileItsAgentIsAway) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    down("compute-1");
    take();
    core->merge_journal(f1.id, "ctl-2", closed("looked at it"), moment);
    run_deferred();
    EXPECT_THAT(take(), Contains("f1 cleared 2"));
    EXPECT_THAT(journal("f1"), Contains("closed by the operator: looked at it (at ctl-2)"));
}

TEST_F(OperationsTest, AFaultThatIsClosedAtAnotherControllerIsClosedAtItsAgentToo) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    sent.clear();
    core->merge_journal(f1.id, "ctl-2", closed("looked at it"), moment);
    run_deferred();
    const auto handed = received<bus::HandBack>("compute-1");
    ASSERT_EQ(handed.size(), 1U);
    EXPECT_EQ(handed[0].faults.at(0).clear_reason, kByOperator);
}

TEST_F(OperationsTest, WhatAnotherControllerOnlySawClosesNothing) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    take();
    core->merge_journal(f1.id, "ctl-2", {{{moment.wall, "cleared", "", "recovered"}}, 0}, moment);
    run_deferred();
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(tracked("f1")->fault.open(), true);
}

TEST_F(OperationsTest, AHostThatIsRemovedAtAnotherControllerIsRemovedHere) {
    up(hello("compute-1"));
    down("compute-1");
    pass(seconds(10));
    take();
    core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", host_removed(), moment);
    pass(seconds(2));
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
    EXPECT_THAT(take(), Contains("agent_lost.compute-1 cleared 2"));
}

TEST_F(OperationsTest, AReasonInTheWordsOfARemovalRemovesNoHost) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    down("compute-1");
    pass(seconds(10));
    take();
    for (const char* reason : {"host removed", "host removed by the operator"})
        core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", closed(reason), moment);
    pass(seconds(2));
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr);
    EXPECT_THAT(take(), Not(Contains(HasSubstr("f1"))));
    core->merge_journal(f1.id, "ctl-2", closed("host removed"), moment);
    run_deferred();
    EXPECT_THAT(take(), Contains("f1 cleared 2")) << "that one was closed";
}

TEST_F(OperationsTest, WhatIsClosedAtAnAgentsPrimaryIsDeliveredThereAlone) {
    place("g1", "compute-1");
    bus::Hello standby = hello("compute-1");
    standby.is_primary = false;
    standby.primary = "ctl-2";
    standby.controllers = {"ctl", "ctl-2"};
    up(standby, {f1});
    take();
    core->merge_journal(f1.id, "ctl-2", closed("looked at it"), moment);
    pass(seconds(5));
    EXPECT_THAT(journal("f1"), Contains(HasSubstr("closed by the operator")));
    EXPECT_THAT(take(), IsEmpty());
}

TEST_F(OperationsTest, AHostWhosePrimaryLivesIsForgottenThere) {
    auto standby = [&](const std::string& host) {
        bus::Hello greeting = hello(host);
        greeting.is_primary = false;
        greeting.primary = "ctl-2";
        greeting.controllers = {"ctl", "ctl-2"};
        return greeting;
    };
    up(standby("compute-1"));
    up(standby("compute-2"));
    down("compute-1");
    const auto forgotten = core->remove_host(base::HostId("compute-1"), moment);
    ASSERT_FALSE(forgotten);
    EXPECT_THAT(forgotten.error().message, HasSubstr("controller ctl-2 is the primary of 'compute-1'"));
    pass(seconds(1));
    core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", host_removed(), moment);
    EXPECT_EQ(core->fleet().find(base::HostId("compute-1")), nullptr);
}

TEST_F(OperationsTest, AHostThatIsRemovedWhereItsLinkIsCutKeepsItsFaultsWhereItIsConnected) {
    place("g1", "compute-1");
    up(hello("compute-1"), {f1});
    take();
    core->merge_journal(f1.id, "ctl-2", host_removed(), moment);
    run_deferred();
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(tracked("f1")->fault.open());
}

TEST_F(OperationsTest, AHostThatHasReturnedSinceItWasRemovedElsewhereStays) {
    up(hello("compute-1"));
    const Journal::Part removed = host_removed();
    pass(seconds(5));
    core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", removed, moment);
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr) << "its agent is connected";
    down("compute-1");
    pass(seconds(10));
    core->merge_journal(base::FaultId("agent_lost.compute-1"), "ctl-2", removed, moment);
    EXPECT_NE(core->fleet().find(base::HostId("compute-1")), nullptr) << "it was lost after that";
}

TEST_F(OperationsTest, TheOtherControllersLearnOfARemovedHostWhoseLossIsNoAlarmHere) {
    up(hello("compute-1"));
    down("compute-1");
    ASSERT_TRUE(core->remove_host(base::HostId("compute-1"), moment));
    EXPECT_THAT(journal("agent_lost.compute-1"), Contains("host removed by the operator: compute-1"));
}

}  // namespace
}  // namespace vitalwire::controller
