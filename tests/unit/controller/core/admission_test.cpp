#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Which agent is admitted under a name.

TEST_F(CoreTest, OneNameHasOneHolder) {
    const auto first = hello("compute-1");
    up(first);
    auto second = hello("COMPUTE-1.");
    second.state = "state-of-another-disk";
    const auto rejected = core->admit(0, second, "10.0.0.2:5", moment);
    ASSERT_TRUE(rejected);
    EXPECT_THAT(rejected->reason, HasSubstr("another agent named compute-1 is connected, from peer"));
    EXPECT_GT(rejected->retry_after, base::Millis(0));
    pass(seconds(1));
    EXPECT_THAT(problem("several agents have the same name"), HasSubstr("10.0.0.2:5 is rejected (1 attempts)"));
    pass(seconds(31));
    EXPECT_EQ(problem("several agents have the same name"), "");
    down("compute-1");
    pass(seconds(5));
    EXPECT_FALSE(core->admit(0, second, "10.0.0.2:5", moment));
}

TEST_F(CoreTest, AnAgentThatComesBackReplacesItsEarlierLife) {
    const auto first = hello("compute-1");
    up(first);
    EXPECT_FALSE(core->admit(0, first, "peer", moment)) << "it lost its connection, and we do not know yet";
    EXPECT_TRUE(core->admit(1, first, "peer", moment)) << "by another URL it is connected already";
    EXPECT_FALSE(core->admit(0, hello("compute-1", "state", 2), "peer", moment)) << "started again from its state";
    EXPECT_TRUE(core->admit(0, hello("compute-1", "state", 1), "peer", moment)) << "a copy of its disk";
}

TEST_F(CoreTest, AnAgentThatHasLostItsConnectionIsAdmittedAtOnceByAnotherUrl) {
    auto first = hello("compute-1");
    up(first, {f1});
    EXPECT_TRUE(core->admit(1, first, "peer", moment)) << "it does not know yet that it is connected";
    message("compute-1", bus::PrimaryChanged{true, "ctl", {"ctl"}});
    first.controllers = {"ctl"};
    const auto rejected = core->admit(1, first, "peer", moment);
    ASSERT_TRUE(rejected) << "it is connected";
    EXPECT_TRUE(rejected->connected_already);
    first.controllers = {"another"};
    ASSERT_FALSE(core->admit(1, first, "peer", moment)) << "it is no more, though we do not see that";
    core->agent_up(1, first, "peer", moment);
    EXPECT_EQ(received<bus::Rejected>("compute-1").size(), 1U) << "the end of its earlier connection";
    core->agent_down(0, base::HostId("compute-1"), "EOF", moment);
    core->message(1, base::HostId("compute-1"), bus::Faults{{cleared(f1)}, {}}, moment);
    pass(seconds(1));
    EXPECT_EQ(core->fleet().connected(), 1U);
    EXPECT_THAT(take(), ElementsAre("f1 opened 1", "f1 cleared 2"));
}

TEST_F(CoreTest, ACloneThatHasStartedMoreOftenReplacesNoAgentThatLives) {
    up(hello("compute-1", "state", 1));
    core->agent_alive(0, base::HostId("compute-1"), moment);
    const auto clone = hello("compute-1", "state", 5);
    const auto rejected = core->admit(0, clone, "10.0.0.2:5", moment);
    ASSERT_TRUE(rejected);
    EXPECT_EQ(rejected->retry_after, seconds(1)) << "it may be the same one, restarted";
    EXPECT_EQ(problem("several agents have the same name"), "");
    keep_alive({"compute-1"}, seconds(1));
    EXPECT_TRUE(core->admit(0, clone, "10.0.0.2:5", moment));
    keep_alive({"compute-1"}, seconds(1));
    EXPECT_THAT(problem("several agents have the same name"), HasSubstr("(2 attempts)"));
    pass(seconds(2));
    EXPECT_FALSE(core->admit(0, clone, "10.0.0.2:5", moment)) << "the holder has fallen silent";
}

/// It has an older copy of the state, as a rule.
TEST_F(CoreTest, ACloneThatWasSeenBesideTheAgentIsNotTakenForItWhenThatFallsSilent) {
    up(hello("compute-1"));
    auto clone = hello("compute-1");
    clone.state = "an older copy";
    EXPECT_TRUE(core->admit(0, clone, "10.0.0.2:5", moment));
    keep_alive({"compute-1"}, seconds(2));
    down("compute-1");
    pass(seconds(20));
    const auto rejected = core->admit(0, clone, "10.0.0.2:5", moment);
    ASSERT_TRUE(rejected);
    EXPECT_THAT(rejected->reason, HasSubstr("compute-1 is expected back"));
    pass(seconds(1));
    EXPECT_THAT(problem("several agents have the same name"), HasSubstr("none is connected, 10.0.0.2:5 is rejected"));
    EXPECT_FALSE(core->admit(0, hello("compute-1"), "peer", moment)) << "the agent itself";
    auto emptied = hello("compute-1");
    emptied.state = "new";
    EXPECT_FALSE(core->admit(0, emptied, "peer", moment)) << "or without its state";
    pass(std::chrono::minutes(10));
    EXPECT_FALSE(core->admit(0, clone, "10.0.0.2:5", moment)) << "the host was replaced";
}

TEST_F(CoreTest, AnAgentThatHasLostItsStateIsNoCloneOfItsEarlierLife) {
    up(hello("compute-1"));
    auto fresh = hello("compute-1");
    fresh.state = "new";
    EXPECT_TRUE(core->admit(0, fresh, "peer", moment)) << "the end of its earlier connection is still to be read";
    core->agent_alive(0, base::HostId("compute-1"), moment);
    pass(seconds(1));
    down("compute-1");
    pass(seconds(5));
    EXPECT_FALSE(core->admit(0, fresh, "peer", moment));
}

TEST_F(CoreTest, ACloneDoesNotSpeakForAnAgentThatIsOnlyRestarting) {
    auto original = hello("compute-1");
    original.state_changes = 7;
    up(original);
    down("compute-1");
    auto clone = hello("compute-1");
    clone.state_changes = 9;
    clone.lives = {{"life-before-the-copy", 3}};
    const auto rejected = core->admit(0, clone, "10.0.0.2:5", moment);
    ASSERT_TRUE(rejected);
    EXPECT_THAT(rejected->reason, HasSubstr("the agent named compute-1 is expected back"));
    EXPECT_EQ(rejected->retry_after, seconds(1));
    auto restarted = hello("compute-1");
    restarted.state_changes = 7;
    restarted.lives = {{original.instance, 7}};
    EXPECT_FALSE(core->admit(0, restarted, "peer", moment));
    pass(seconds(5));
    EXPECT_FALSE(core->admit(0, clone, "10.0.0.2:5", moment)) << "the original is away for good, or has lost its state";
}

TEST_F(CoreTest, ACompleteCloneIsAnotherMachine) {
    auto original = hello("compute-1");
    original.boot = "boot-1";
    up(original);
    down("compute-1");
    auto clone = hello("compute-1");
    clone.lives = {{original.instance, 0}};
    clone.boot = "boot-2";
    EXPECT_TRUE(core->admit(0, clone, "10.0.0.2:5", moment));
    auto restarted = clone;
    restarted.boot = "boot-1";
    EXPECT_FALSE(core->admit(0, restarted, "peer", moment));
    pass(seconds(5));
    EXPECT_FALSE(core->admit(0, clone, "10.0.0.2:5", moment)) << "its host may have been restarted by now";
}

TEST_F(CoreTest, ACloneDoesNotSpeakForTheAgentWhenTheControllerIsRestarted) {
    auto original = hello("compute-1");
    original.state_changes = 7;
    up(original);
    restart();
    auto clone = hello("compute-1", "another-disk");
    EXPECT_TRUE(core->admit(0, clone, "10.0.0.2:5", moment));
    EXPECT_FALSE(core->admit(0, original, "peer", moment));
    EXPECT_FALSE(core->admit(0, hello("compute-2"), "peer", moment)) << "one that is not known";
}

TEST_F(CoreTest, ACloneDoesNotReplaceAnAgentThatStandsStill) {
    auto original = hello("compute-1");
    original.state_changes = 7;
    up(original);
    auto clone = hello("compute-1");
    clone.lives = {{"life-before-the-copy", 3}};
    EXPECT_TRUE(core->admit(0, clone, "10.0.0.2:5", moment)) << "the original is connected, and nothing is heard of it";
    auto restarted = hello("compute-1");
    restarted.lives = {{original.instance, 7}};
    EXPECT_FALSE(core->admit(0, restarted, "peer", moment));
}

}  // namespace
}  // namespace vitalwire::controller
