#include "controller/fleet/succession.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::controller {
namespace {

using base::HostId;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SuccessionTest : public ::testing::Test {
protected:
    void up(const std::string& host, const std::string& state = "", std::uint64_t starts = 1) {
        bus::Hello hello;
        hello.host = HostId(host);
        hello.state = state;
        hello.state_starts = starts;
        const bool is_new = fleet.find(hello.host) == nullptr;
        fleet.up(hello.host, hello, "peer", {});
        succession.connected(hello.host, is_new);
        succession.heard(hello.host);
    }
    void down(const std::string& host) { fleet.down(HostId(host), {now += seconds(1), {}}); }
    /// Known before our own start, and not seen since.
    void on_disk(const std::string& host, const std::string& state = "") {
        Agent agent;
        agent.state = state;
        agent.away_since = now;
        fleet.restore(HostId(host), agent);
    }
    std::string successor(const std::string& host) const {
        return succession.successor(HostId(host)).value_or(HostId("none")).str();
    }

    base::TimePoint now{std::chrono::hours(1)};
    Inventory inventory;
    Fleet fleet;
    HostNames names{inventory, fleet};
    Succession succession{fleet, names};
};

TEST_F(SuccessionTest, WhoComesWithTheStateOfOneThatHasGoneIsThatHost) {
    up("compute-1", "s");
    down("compute-1");
    up("node-7", "s", 2);
    EXPECT_EQ(successor("compute-1"), "node-7");
    EXPECT_THAT(succession.predecessors(HostId("node-7")), ElementsAre(HostId("compute-1")));
}

TEST_F(SuccessionTest, WhoComesWithTheFullNameOfOneThatHasGoneIsThatHost) {
    InventoryGuest guest;
    guest.id = base::GuestId("g1");
    guest.host = HostId("compute-1");
    inventory.put(guest);
    up("compute-1");
    down("compute-1");
    up("compute-1.example.net");
    EXPECT_EQ(successor("compute-1"), "compute-1.example.net");
}

TEST_F(SuccessionTest, AHostMayHaveBeenRenamedWhileTheControllerWasDown) {
    on_disk("compute-1", "s");
    up("compute-1.example.net", "s", 2);
    EXPECT_EQ(successor("compute-1"), "compute-1.example.net");
}

TEST_F(SuccessionTest, NobodySucceedsAnAgentThatIsConnected) {
    up("compute-1", "s");
    up("node-7", "s", 2);
    EXPECT_EQ(successor("compute-1"), "none");
}

TEST_F(SuccessionTest, ACloneThatWasSeenBesideItIsNoSuccessor) {
    up("compute-1", "s");
    up("compute-2", "s", 2);
    succession.heard(HostId("compute-1"));
    down("compute-1");
    EXPECT_EQ(successor("compute-1"), "none");
    down("compute-2");
    up("compute-2", "s", 3);
    EXPECT_EQ(successor("compute-1"), "none") << "its connection was cut for a moment";
}

TEST_F(SuccessionTest, ANeighbourWithTheSameShortNameIsNoSuccessor) {
    up("compute-1");
    up("compute-1.edge.example.net");
    succession.heard(HostId("compute-1"));
    down("compute-1");
    EXPECT_EQ(successor("compute-1"), "none");
}

TEST_F(SuccessionTest, ACloneKnownFromDiskIsNoSuccessorOfOneThatIsNotSeen) {
    on_disk("compute-1", "s");
    on_disk("compute-2", "s");
    up("compute-2", "s", 3);
    EXPECT_EQ(successor("compute-1"), "none");
}

TEST_F(SuccessionTest, ADeadConnectionThatNobodyHasNoticedIsNoAgentBesideIt) {
    up("compute-1", "s");
    up("node-7", "s", 2);
    down("compute-1");
    EXPECT_EQ(successor("compute-1"), "node-7");
}

TEST_F(SuccessionTest, AHostMayBeRenamedBack) {
    up("compute-1", "s");
    down("compute-1");
    up("node-7", "s", 2);
    down("node-7");
    up("compute-1", "s", 3);
    EXPECT_EQ(successor("node-7"), "compute-1");
}

TEST_F(SuccessionTest, TheBoardNamesTwoHostsWithOneState) {
    up("compute-1", "s");
    up("compute-2", "s", 2);
    EXPECT_THAT(succession.copies(), IsEmpty()) << "the first may be a dead connection";
    succession.heard(HostId("compute-1"));
    EXPECT_THAT(succession.copies(), ElementsAre("compute-1 and compute-2"));
    succession.forget(HostId("compute-2"));
    EXPECT_THAT(succession.copies(), IsEmpty());
}

}  // namespace
}  // namespace vitalwire::controller
