#include "tests/unit/controller/core/core_fixture.hpp"

namespace vitalwire::controller {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// g1 on compute-1 and g2 on compute-2 are in one group, and answer: what g2 is notified of g1.
class GroupStatesTest : public CoreTest {
protected:
    GroupStatesTest() {
        inventory.put_group({base::GroupId("g"), "g", "p"});
        for (const auto& [guest, host] : {std::pair("g1", "compute-1"), std::pair("g2", "compute-2")}) {
            InventoryGuest member = placed(guest, host);
            member.policy.messaging = true;
            member.group = base::GroupId("g");
            member.project = "p";
            inventory.put(member);
        }
        core->inventory_changed({}, moment);
    }
    void come(const std::string& host, const std::string& guest) { up(hello(host), {}, {answering(guest)}); }
    void both_come() {
        come("compute-1", "g1");
        come("compute-2", "g2");
        keep_alive({"compute-1", "compute-2"}, seconds(1));
    }
    std::vector<std::string> heartbeats() {
        std::vector<std::string> notified_of;
        for (const auto& notify : received<bus::GroupNotify>("compute-2"))
            if (notify.state.instance_id == "g1") notified_of.push_back(*notify.state.heartbeat);
        sent.clear();
        return notified_of;
    }
};

TEST_F(GroupStatesTest, PeersAreNotifiedThatAGuestOfASilentHostIsNotWatched) {
    both_come();
    EXPECT_THAT(heartbeats(), Contains("healthy"));
    keep_alive({"compute-2"}, seconds(1));
    EXPECT_THAT(heartbeats(), ElementsAre("unmonitored"));
    EXPECT_EQ(core->groups().state(base::GuestId("g1")).heartbeat, "unmonitored");
    keep_alive({"compute-1", "compute-2"}, seconds(1));
    EXPECT_THAT(heartbeats(), ElementsAre("healthy"));
}

TEST_F(GroupStatesTest, PeersAreNotifiedThatAGuestWhoseAgentHasGoneIsNotWatched) {
    both_come();
    down("compute-1");
    heartbeats();
    keep_alive({"compute-2"}, kAgentPatience - seconds(1));
    EXPECT_THAT(heartbeats(), IsEmpty()) << "it may be restarting";
    keep_alive({"compute-2"}, seconds(30));
    EXPECT_THAT(heartbeats(), ElementsAre("unmonitored"));
    come("compute-1", "g1");
    EXPECT_THAT(heartbeats(), ElementsAre("healthy"));
}

TEST_F(GroupStatesTest, AnAgentThatIsRestartedIsNoNews) {
    both_come();
    down("compute-1");
    heartbeats();
    keep_alive({"compute-2"}, seconds(3));
    come("compute-1", "g1");
    keep_alive({"compute-1", "compute-2"}, seconds(30));
    EXPECT_THAT(heartbeats(), ElementsAre("healthy"));
}

TEST_F(GroupStatesTest, PeersAreNotifiedOfAGuestWhoseAgentDidNotComeBackAfterARestart) {
    both_come();
    heartbeats();
    restart();
    core->inventory_changed({}, moment);
    come("compute-2", "g2");
    EXPECT_THAT(heartbeats(), IsEmpty());
    keep_alive({"compute-2"}, seconds(30));
    EXPECT_THAT(heartbeats(), ElementsAre("unmonitored"));
}

TEST_F(GroupStatesTest, PeersAreNotifiedOfAGuestWhoseHostHasNoAgent) {
    come("compute-2", "g2");
    EXPECT_THAT(heartbeats(), IsEmpty()) << "it may come";
    keep_alive({"compute-2"}, seconds(30));
    EXPECT_THAT(heartbeats(), ElementsAre("unmonitored"));
}

}  // namespace
}  // namespace vitalwire::controller
