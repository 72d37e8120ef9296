#include "controller/fleet/fleet.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace vitalwire::controller {
namespace {

const base::HostId kAgentHost("compute-1");

model::GuestReport report(const std::string& guest, const std::string& state = "registered") {
    model::GuestReport report;
    report.guest = base::GuestId(guest);
    report.state = state;
    return report;
}

class FleetTest : public ::testing::Test {
protected:
    FleetTest() {
        bus::Hello hello;
        hello.host = kAgentHost;
        hello.agent_version = "1.2";
        hello.is_primary = true;
        fleet.up(kAgentHost, hello, "127.0.0.1:1", now);
    }
    const Agent& agent() const { return *fleet.find(kAgentHost); }

    base::WallTime now{std::chrono::seconds(1'700'000'000)};
    Fleet fleet;
};

TEST_F(FleetTest, KeepsTheGuestsOfAnAgentThatIsAway) {
    ASSERT_TRUE(fleet.report(kAgentHost, report("g1")));
    fleet.down(kAgentHost, {{}, now + std::chrono::seconds(5)});
    EXPECT_FALSE(agent().connected);
    EXPECT_EQ(agent().since, now + std::chrono::seconds(5));
    EXPECT_EQ(agent().guests.size(), 1U);
    EXPECT_EQ(fleet.connected(), 0U);
}

TEST_F(FleetTest, DropsGuestsThatASnapshotDoesNotMention) {
    ASSERT_TRUE(fleet.report(kAgentHost, report("g1")));
    ASSERT_TRUE(fleet.report(kAgentHost, report("g2")));
    fleet.begin_snapshot(kAgentHost);
    ASSERT_TRUE(fleet.report(kAgentHost, report("g2", "lost")));
    fleet.end_snapshot(kAgentHost);
    ASSERT_EQ(agent().guests.size(), 1U);
    EXPECT_EQ(agent().guests.at(base::GuestId("g2")).state, "lost");
}

TEST_F(FleetTest, CountsGuestsByTheirStates) {
    using Counts = std::map<std::string, std::size_t>;
    for (const char* guest : {"g1", "g2", "g3"})
        ASSERT_TRUE(fleet.report(kAgentHost, report(guest)));
    ASSERT_TRUE(fleet.report(kAgentHost, report("g2", "lost")));
    EXPECT_EQ(fleet.states(), (Counts{{"lost", 1}, {"registered", 2}}));
    fleet.gone(kAgentHost, base::GuestId("g1"));
    fleet.gone(kAgentHost, base::GuestId("nobody"));
    EXPECT_EQ(fleet.states(), (Counts{{"lost", 1}, {"registered", 1}}));
    fleet.begin_snapshot(kAgentHost);
    ASSERT_TRUE(fleet.report(kAgentHost, report("g3", "unhealthy")));
    fleet.end_snapshot(kAgentHost);
    EXPECT_EQ(fleet.states(), (Counts{{"unhealthy", 1}}));
    fleet.erase(kAgentHost);
    EXPECT_EQ(fleet.states(), Counts());
}

TEST_F(FleetTest, AnAgentIsSyncedOnceItsSnapshotOnThisConnectionIsComplete) {
    EXPECT_FALSE(agent().synced);
    fleet.begin_snapshot(kAgentHost);
    EXPECT_FALSE(agent().synced);
    fleet.end_snapshot(kAgentHost);
    EXPECT_TRUE(agent().synced);
    fleet.up(kAgentHost, {}, "127.0.0.1:2", now);
    EXPECT_FALSE(agent().synced);
}

TEST_F(FleetTest, KeepsGuestsWhenTheSnapshotBrokeOff) {
    ASSERT_TRUE(fleet.report(kAgentHost, report("g1")));
    fleet.begin_snapshot(kAgentHost);
    fleet.down(kAgentHost, {{}, now});
    fleet.end_snapshot(kAgentHost);
    EXPECT_EQ(agent().guests.size(), 1U);
}

TEST_F(FleetTest, RefusesMoreGuestsThanAHostCanHave) {
    for (std::size_t i = 0; i < kMaxGuestsPerHost; ++i)
        ASSERT_TRUE(fleet.report(kAgentHost, report("g" + std::to_string(i))));
    EXPECT_FALSE(fleet.report(kAgentHost, report("one-more")));
    EXPECT_TRUE(fleet.report(kAgentHost, report("g0", "lost"))) << "a known guest is still reported";
}

TEST_F(FleetTest, HasAGuestAsLongAsAnAgentReportsIt) {
    const base::HostId other("compute-2");
    ASSERT_TRUE(fleet.report(kAgentHost, report("g1")));
    ASSERT_TRUE(fleet.report(other, report("g1")));  // it migrates
    fleet.gone(kAgentHost, base::GuestId("g1"));
    EXPECT_TRUE(fleet.is_reported(base::GuestId("g1")));
    fleet.begin_snapshot(other);
    fleet.end_snapshot(other);
    EXPECT_FALSE(fleet.is_reported(base::GuestId("g1")));
    ASSERT_TRUE(fleet.report(kAgentHost, report("g2")));
    fleet.erase(kAgentHost);
    EXPECT_FALSE(fleet.is_reported(base::GuestId("g2")));
}

TEST_F(FleetTest, TellsAContinuousAgentFromAFreshOneAndFromAnOldCopy) {
    const auto up = [&](const char* state, std::uint64_t starts, const char* instance) {
        bus::Hello hello;
        hello.state = state;
        hello.state_starts = starts;
        hello.instance = instance;
        fleet.up(kAgentHost, hello, "peer", now);
        return agent().continuous;
    };
    EXPECT_FALSE(up("s1", 5, "a")) << "the first that is known of this state";
    EXPECT_TRUE(up("s1", 6, "b"));
    EXPECT_TRUE(up("s1", 6, "b")) << "a lost connection";
    EXPECT_FALSE(up("s1", 3, "c")) << "restored from an old copy";
    EXPECT_FALSE(up("s2", 9, "d")) << "the disk was replaced";
    EXPECT_FALSE(up("", 0, "e"));
    EXPECT_FALSE(up("", 0, "f")) << "an agent without a state keeps nothing";
    EXPECT_TRUE(up("", 0, "f"));
}

/// Agents that name their lives on the state "s", each of which ended with so many changes.
class FleetLivesTest : public FleetTest {
protected:
    using Lives = std::vector<bus::Hello::Life>;

    bool up(const char* instance, Lives lives, std::uint64_t changes, const char* state = "s") {
        bus::Hello hello;
        hello.state = state;
        hello.state_starts = ++starts;
        hello.state_changes = changes;
        hello.instance = instance;
        hello.lives = std::move(lives);
        fleet.up(kAgentHost, hello, "peer", now);
        return agent().continuous;
    }

    std::uint64_t starts = 0;
};

TEST_F(FleetLivesTest, ContinuesTheLifeThatIsKnownOrALaterOne) {
    up("a", {}, 5);
    EXPECT_TRUE(up("b", {{"a", 5}}, 5));
    EXPECT_TRUE(up("d", {{"a", 5}, {"b", 7}, {"c", 7}}, 8)) << "one life was not seen here";
    EXPECT_FALSE(up("e", {{"a", 5}, {"b", 7}, {"c", 7}, {"d", 8}}, 8, "another"));
}

TEST_F(FleetLivesTest, ACloneThatHasCountedForItselfContinuesNothing) {
    up("a", {}, 5);
    EXPECT_TRUE(fleet.changed(kAgentHost, 6));
    fleet.down(kAgentHost, {{}, now});
    EXPECT_FALSE(up("x", {{"a", 5}}, 9)) << "it was copied before the last change, and has changes of its own";
    EXPECT_FALSE(up("a", {}, 6));
    fleet.down(kAgentHost, {{}, now});
    EXPECT_FALSE(up("z", {{"a", 5}, {"x", 9}, {"y", 12}}, 12)) << "however often it was started";
}

TEST_F(FleetLivesTest, TheAgentThatReturnsAfterItsCloneContinuesNothingOfIt) {
    up("a", {}, 5);
    EXPECT_TRUE(up("x", {{"a", 5}}, 9)) << "nothing tells a perfect copy from a restart";
    fleet.down(kAgentHost, {{}, now});
    EXPECT_FALSE(up("a", {}, 7));
    EXPECT_FALSE(up("x", {{"a", 5}}, 9)) << "nor does the clone any more";
}

TEST_F(FleetTest, ListsTheHoldersOfAGuestInTheOrderOfTheirReports) {
    const base::HostId other("compute-2");
    const base::GuestId guest("g1");
    ASSERT_TRUE(fleet.report(other, report("g1")));
    EXPECT_TRUE(fleet.held_twice().empty());
    ASSERT_TRUE(fleet.report(kAgentHost, report("g1")));
    EXPECT_EQ(fleet.holders(guest), (std::vector{other, kAgentHost}));
    EXPECT_TRUE(fleet.held_twice().contains(guest));
    fleet.gone(other, guest);
    EXPECT_EQ(fleet.holders(guest), std::vector{kAgentHost});
    EXPECT_TRUE(fleet.held_twice().empty());
}

TEST_F(FleetTest, AnAgentFromBeforeARestartIsUnseen) {
    Fleet restarted;
    restarted.restore(kAgentHost, Agent{});
    EXPECT_FALSE(restarted.find(kAgentHost)->seen_since_start);
    EXPECT_TRUE(agent().seen_since_start);
}

TEST_F(FleetTest, TakesOnAnAgentThatItHasNeverSeen) {
    const base::HostId stranger("compute-9");
    fleet.adopt(stranger, {{}, now});
    EXPECT_TRUE(fleet.find(stranger)->is_primary);
    EXPECT_FALSE(fleet.find(stranger)->connected);
    EXPECT_EQ(fleet.find(stranger)->last_seen, now);
}

TEST_F(FleetTest, IsPrimaryForAnAgentThatItAdopts) {
    fleet.set_primary(kAgentHost, {false, {}, {}});
    fleet.down(kAgentHost, {{}, now + std::chrono::seconds(1)});
    fleet.adopt(kAgentHost, {{}, now + std::chrono::seconds(9)});
    EXPECT_TRUE(agent().is_primary);
    EXPECT_EQ(agent().since, now + std::chrono::seconds(1)) << "it was lost then";
}

}  // namespace
}  // namespace vitalwire::controller
