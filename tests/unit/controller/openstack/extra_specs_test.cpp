#include "controller/openstack/extra_specs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ExtraSpecsTest : public ::testing::Test {
protected:
    model::GuestPolicy read(const ExtraSpecs& specs) {
        problems.clear();
        return read_extra_specs(base::GuestId("vm-1"), specs, problems);
    }
    std::vector<std::string> problems;
};

TEST_F(ExtraSpecsTest, NothingIsAskedForWithoutOurKeys) {
    const auto policy = read({{"hw:cpu_policy", "dedicated"}, {"quota:disk", "?"}});
    model::GuestPolicy nothing;
    nothing.guest = base::GuestId("vm-1");
    EXPECT_EQ(policy, nothing);
    EXPECT_THAT(problems, IsEmpty());
}

TEST_F(ExtraSpecsTest, EveryKeyIsTaken) {
    const auto policy = read({{"vitalwire:heartbeat", "True"},
                              {"vitalwire:messaging", "yes"},
                              {"vitalwire:heartbeat_detect_multiplier", "3"},
                              {"vitalwire:heartbeat_min_interval_ms", "500"},
                              {"vitalwire:detection_time", "1500"},
                              {"vitalwire:establish_timeout_s", "60"},
                              {"vitalwire:messages_per_second", "20"},
                              {"vitalwire:bytes_per_second", "65536"},
                              {"vitalwire:corrective_action", "reboot"}});
    EXPECT_THAT(problems, IsEmpty());
    EXPECT_TRUE(policy.heartbeat);
    EXPECT_TRUE(policy.messaging);
    EXPECT_EQ(policy.detect_multiplier, 3);
    EXPECT_EQ(policy.min_interval, base::Millis(500));
    EXPECT_EQ(policy.detection_time, base::Millis(1500));
    EXPECT_EQ(policy.establish_timeout, base::Millis(60'000));
    EXPECT_EQ(policy.messages_per_second, 20);
    EXPECT_EQ(policy.bytes_per_second, 65'536);
    EXPECT_EQ(policy.corrective_action, model::CorrectiveAction::reboot);
    EXPECT_THAT(policy.channels, ElementsAre("org.vitalwire.0"));
}

TEST_F(ExtraSpecsTest, TheKeysOfCgcsGuestsCountAsOurs) {
    const auto policy = read({{"sw:wrs:guest:heartbeat", "true"}, {"sw:wrs:srv_grp_messaging", "1"}});
    EXPECT_TRUE(policy.heartbeat);
    EXPECT_TRUE(policy.messaging);
    EXPECT_THAT(policy.channels, ElementsAre("cgcs.heartbeat", "cgcs.messaging"));
}

TEST_F(ExtraSpecsTest, AHardwareWatchdogMakesTheMachinesFailuresFaults) {
    EXPECT_TRUE(read({{"hw:watchdog_action", "reset"}}).machine_faults);
    EXPECT_TRUE(read({{"hw:watchdog_action", "none"}}).machine_faults) << "it fires, and nobody acts";
    EXPECT_FALSE(read({{"hw:watchdog_action", "reset"}}).heartbeat);
    EXPECT_FALSE(read({{"hw:watchdog_action", "disabled"}}).machine_faults);
    EXPECT_FALSE(read({}).machine_faults);
}

TEST_F(ExtraSpecsTest, AGuestWatchedByItsQemuGuestAgentNeedsNoChannel) {
    const auto policy = read({{"vitalwire:heartbeat_guest_agent", "true"}});
    EXPECT_TRUE(policy.guest_agent);
    EXPECT_TRUE(policy.heartbeat);
    EXPECT_THAT(policy.channels, IsEmpty());
    EXPECT_THAT(problems, IsEmpty());
}

TEST_F(ExtraSpecsTest, ABadValueIsReportedAndDisablesNothing) {
    const auto policy = read({{"vitalwire:heartbeat", "true"},
                              {"vitalwire:messaging", "perhaps"},
                              {"vitalwire:heartbeat_detect_multiplier", "11"},
                              {"vitalwire:bytes_per_second", "1k"},
                              {"vitalwire:detection_time", "900"},
                              {"vitalwire:heartbeat_min_interval_ms", "451"},
                              {"vitalwire:corrective_action", "explode"},
                              {"vitalwire:hartbeat\n", "true"}});
    EXPECT_TRUE(policy.heartbeat);
    EXPECT_FALSE(policy.messaging);
    EXPECT_EQ(policy.detect_multiplier, 0) << "the agent's own rule";
    EXPECT_THAT(problems,
                ElementsAre("vitalwire:messaging: expected true or false, found 'perhaps'",
                            "vitalwire:heartbeat_detect_multiplier: expected 1 to 10, found '11'",
                            "vitalwire:detection_time: expected at least twice vitalwire:heartbeat_min_interval_ms",
                            "vitalwire:bytes_per_second: expected 1024 to 10485760, found '1k'",
                            "vitalwire:corrective_action: expected none, log, reboot or stop, found 'explode'",
                            "vitalwire:hartbeat\\n: no such key"));
}

}  // namespace
}  // namespace vitalwire::controller
