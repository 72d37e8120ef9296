#include "controller/fleet.hpp"

#include <gtest/gtest.h>

namespace vitalwire::controller {
namespace {

const base::HostId kHost("compute-1");

bus::GuestReport report(const std::string& guest, const std::string& state = "registered") {
    bus::GuestReport report;
    report.guest = base::GuestId(guest);
    report.state = state;
    return report;
}

class FleetTest : public ::testing::Test {
protected:
    FleetTest() {
        bus::Hello hello;
        hello.host = kHost;
        hello.agent_version = "1.2";
        hello.lead = true;
        fleet.up(kHost, hello, "127.0.0.1:1", now);
    }
    const Agent& agent() const { return *fleet.find(kHost); }

    base::WallTime now{std::chrono::seconds(1'700'000'000)};
    Fleet fleet;
};

TEST_F(FleetTest, KeepsTheGuestsOfAnAgentThatIsAway) {
    ASSERT_TRUE(fleet.report(kHost, report("g1")));
    fleet.down(kHost, now + std::chrono::seconds(5));
    EXPECT_FALSE(agent().connected);
    EXPECT_EQ(agent().since, now + std::chrono::seconds(5));
    EXPECT_EQ(agent().guests.size(), 1U);
    EXPECT_EQ(fleet.connected(), 0U);
}

TEST_F(FleetTest, ForgetsGuestsThatAWholeStateDoesNotMention) {
    ASSERT_TRUE(fleet.report(kHost, report("g1")));
    ASSERT_TRUE(fleet.report(kHost, report("g2")));
    fleet.begin_state(kHost);
    ASSERT_TRUE(fleet.report(kHost, report("g2", "lost")));
    fleet.end_state(kHost);
    ASSERT_EQ(agent().guests.size(), 1U);
    EXPECT_EQ(agent().guests.at(base::GuestId("g2")).state, "lost");
}

TEST_F(FleetTest, KeepsGuestsWhenTheWholeStateBrokeOff) {
    ASSERT_TRUE(fleet.report(kHost, report("g1")));
    fleet.begin_state(kHost);
    fleet.down(kHost, now);
    fleet.end_state(kHost);
    EXPECT_EQ(agent().guests.size(), 1U);
}

TEST_F(FleetTest, RefusesMoreGuestsThanAHostCanHave) {
    for (std::size_t i = 0; i < kMaxGuestsPerHost; ++i)
        ASSERT_TRUE(fleet.report(kHost, report("g" + std::to_string(i))));
    EXPECT_FALSE(fleet.report(kHost, report("one-more")));
    EXPECT_TRUE(fleet.report(kHost, report("g0", "lost"))) << "a known guest is still heard";
}

TEST_F(FleetTest, KnowsAGuestAsLongAsAnAgentReportsIt) {
    const base::HostId other("compute-2");
    ASSERT_TRUE(fleet.report(kHost, report("g1")));
    ASSERT_TRUE(fleet.report(other, report("g1")));  // it migrates
    fleet.gone(kHost, base::GuestId("g1"));
    EXPECT_TRUE(fleet.knows(base::GuestId("g1")));
    fleet.begin_state(other);
    fleet.end_state(other);
    EXPECT_FALSE(fleet.knows(base::GuestId("g1")));
    ASSERT_TRUE(fleet.report(kHost, report("g2")));
    fleet.forget(kHost);
    EXPECT_FALSE(fleet.knows(base::GuestId("g2")));
}

TEST_F(FleetTest, KnowsAnAgentFromBeforeARestartAsNotHeard) {
    Fleet restarted;
    restarted.restore(kHost, Agent{});
    EXPECT_FALSE(restarted.find(kHost)->heard_since_start);
    EXPECT_TRUE(agent().heard_since_start);
}

}  // namespace
}  // namespace vitalwire::controller
