#include "controller/fleet/host_names.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vitalwire::controller {
namespace {

using base::HostId;

class HostNamesTest : public ::testing::Test {
protected:
    void guest(const std::string& id, const std::string& host) {
        InventoryGuest made;
        made.id = base::GuestId(id);
        made.host = HostId(host);
        inventory.put(made);
    }
    void agent(const std::string& host) { fleet.up(HostId(host), {}, "peer", {}); }
    bool same(const std::string& agent, const std::string& host) const {
        return names.same(HostId(agent), HostId(host));
    }
    std::size_t guests_of(const std::string& agent) const { return names.guests_of(HostId(agent)).size(); }

    Inventory inventory;
    Fleet fleet;
    HostNames names{inventory, fleet};
};

TEST_F(HostNamesTest, HaveOneFormWhateverTheCase) {
    EXPECT_EQ(canonical(HostId("Compute-1.Example.NET.")), HostId("compute-1.example.net"));
    guest("g1", "Compute-1");
    guest("g2", "compute-1");
    agent("compute-1");
    EXPECT_TRUE(same("compute-1", "COMPUTE-1"));
    EXPECT_EQ(guests_of("compute-1"), 2U);
    EXPECT_EQ(names.agent_of(HostId("Compute-1")), HostId("compute-1"));
}

TEST_F(HostNamesTest, MatchAShortNameWithItsFullOne) {
    guest("g1", "compute-1.example.net");
    agent("compute-1");
    EXPECT_TRUE(same("compute-1", "compute-1.example.net"));
    EXPECT_EQ(guests_of("compute-1"), 1U);
    EXPECT_EQ(names.agent_of(HostId("compute-1.example.net")), HostId("compute-1"));
    guest("g2", "compute-2");
    agent("compute-2.example.net");
    EXPECT_TRUE(same("compute-2.example.net", "compute-2"));
    EXPECT_EQ(guests_of("compute-2.example.net"), 1U);
}

TEST_F(HostNamesTest, AreNotTakenForTwoHostsWhileTheyMayBeOne) {
    guest("g1", "compute-1");
    agent("compute-1.a.net");
    agent("compute-1.b.net");
    const auto differ = [&](const std::string& agent, const std::string& host) {
        return names.differ(HostId(agent), HostId(host));
    };
    EXPECT_FALSE(same("compute-1.a.net", "compute-1"));
    EXPECT_FALSE(differ("compute-1.a.net", "compute-1")) << "nobody can tell";
    EXPECT_TRUE(differ("compute-1.a.net", "compute-2"));
    EXPECT_TRUE(differ("compute-1.a.net", "compute-1.b.net"));
    agent("compute-1");
    EXPECT_TRUE(differ("compute-1.a.net", "compute-1")) << "that host has an agent of its own";
}

TEST_F(HostNamesTest, DoNotGuessWhenTwoHostsHaveThatShortName) {
    guest("g1", "compute-1.a.net");
    guest("g2", "compute-1.b.net");
    agent("compute-1");
    EXPECT_FALSE(same("compute-1", "compute-1.a.net"));
    EXPECT_EQ(guests_of("compute-1"), 0U);
}

TEST_F(HostNamesTest, DoNotGuessWhenTwoAgentsHaveThatShortName) {
    guest("g1", "compute-1");
    agent("compute-1.a.net");
    agent("compute-1.b.net");
    EXPECT_FALSE(same("compute-1.a.net", "compute-1"));
    EXPECT_FALSE(names.has_agent(HostId("compute-1")));
    fleet.down(HostId("compute-1.b.net"), {});
    EXPECT_TRUE(same("compute-1.a.net", "compute-1")) << "the other one is gone";
}

TEST_F(HostNamesTest, DoNotMatchTwoFullNames) {
    guest("g1", "compute-1.a.net");
    agent("compute-1.b.net");
    EXPECT_FALSE(same("compute-1.b.net", "compute-1.a.net"));
}

TEST_F(HostNamesTest, PreferTheExactName) {
    guest("g1", "compute-1");
    guest("g2", "compute-1.example.net");
    agent("compute-1");
    agent("compute-1.example.net");
    EXPECT_EQ(names.agent_of(HostId("compute-1")), HostId("compute-1"));
    EXPECT_EQ(guests_of("compute-1.example.net"), 1U);
}

TEST_F(HostNamesTest, PreferTheAgentThatIsConnectedToOneOfAnEarlierName) {
    guest("g1", "compute-1");
    agent("compute-1");
    fleet.down(HostId("compute-1"), {});
    agent("compute-1.example.net");
    EXPECT_EQ(names.agent_of(HostId("compute-1")), HostId("compute-1.example.net"));
    EXPECT_EQ(guests_of("compute-1.example.net"), 1U);
}

TEST_F(HostNamesTest, FollowAnAgentThatIsAway) {
    guest("g1", "compute-1.example.net");
    agent("compute-1");
    fleet.down(HostId("compute-1"), {});
    EXPECT_TRUE(same("compute-1", "compute-1.example.net"));
}

}  // namespace
}  // namespace vitalwire::controller
