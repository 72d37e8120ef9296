#include "controller/fleet/inventory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/sources/inventory_file.hpp"

namespace vitalwire::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

InventoryGuest guest(const std::string& id, const std::string& host, const std::string& group = {}) {
    InventoryGuest guest;
    guest.id = base::GuestId(id);
    guest.host = base::HostId(host);
    guest.group = base::GroupId(group);
    guest.policy.guest = guest.id;
    return guest;
}

std::vector<std::string> ids(const std::vector<const InventoryGuest*>& guests) {
    std::vector<std::string> out;
    for (const auto* one : guests)
        out.push_back(one->id.str());
    return out;
}

class InventoryTest : public ::testing::Test {
protected:
    Inventory inventory;
    const base::HostId h1{"h1"};
    const base::HostId h2{"h2"};
    const base::GroupId pair{"pair"};
};

TEST_F(InventoryTest, FindsGuestsByHostAndGroup) {
    inventory.replace({{guest("a", "h1", "pair"), guest("b", "h2", "pair"), guest("c", "h1")}, {{pair, "Pair", "p"}}});
    EXPECT_THAT(ids(inventory.of_host(h1)), ElementsAre("a", "c"));
    EXPECT_THAT(ids(inventory.of_group(pair)), ElementsAre("a", "b"));
    EXPECT_EQ(inventory.group(pair)->name, "Pair");
    EXPECT_THAT(inventory.hosts(), ElementsAre(h1, h2));
}

TEST_F(InventoryTest, AMoveChangesHostAtOnce) {
    inventory.put(guest("a", "h1"));
    const auto change = inventory.put(guest("a", "h2"));
    EXPECT_EQ(change->before->host, h1);
    EXPECT_EQ(change->after->host, h2);
    EXPECT_THAT(inventory.of_host(h1), IsEmpty());
    EXPECT_THAT(ids(inventory.of_host(h2)), ElementsAre("a"));
}

TEST_F(InventoryTest, ReplacingReportsOnlyWhatIsDifferent) {
    inventory.replace({{guest("a", "h1"), guest("b", "h1"), guest("c", "h1")}, {}});
    InventoryGuest stopped = guest("b", "h1");
    stopped.state = "stopped";
    const auto changes = inventory.replace({{guest("a", "h1"), stopped, guest("d", "h1")}, {}});
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[0].before->id.str(), "c");
    EXPECT_FALSE(changes[0].after);
    EXPECT_EQ(changes[1].before->state, "active");
    EXPECT_EQ(changes[1].after->state, "stopped");
    EXPECT_FALSE(changes[2].before);
    EXPECT_EQ(changes[2].after->id.str(), "d");
}

TEST_F(InventoryTest, RemovingWhatIsNotThereChangesNothing) {
    EXPECT_FALSE(inventory.remove(base::GuestId("a")));
    inventory.put(guest("a", "h1", "pair"));
    EXPECT_TRUE(inventory.remove(base::GuestId("a")));
    EXPECT_THAT(inventory.of_group(pair), IsEmpty());
    EXPECT_THAT(inventory.hosts(), IsEmpty());
}

class InventoryFileTest : public ::testing::Test {
protected:
    InventorySnapshot read(const std::string& text) {
        const auto file = runtime::ConfigFile::parse(text, "inv", errors);
        return read_inventory(file, errors);
    }
    std::vector<std::string> mistakes(const std::string& text) {
        read(text);
        std::vector<std::string> out;
        for (const auto& error : errors)
            out.push_back(runtime::to_string(error));
        return out;
    }

    runtime::ConfigErrors errors;
};

TEST_F(InventoryFileTest, ReadsGuestsAndGroups) {
    const auto snapshot = read(
        "[guest vm-1]\nname = web 1\nhost = compute-1\ngroup = pair\nstate = paused\nheartbeat = "
        "yes\ndetect_multiplier = 3\n"
        "min_interval = 500 ms\ndetection_time = 1500 ms\nestablish_timeout = 30 s\nmessages_per_second = "
        "9\nbytes_per_second = 2K\nmetadata = "
        "role=web server\ncorrective_action = reboot\nchannels = cgcs.heartbeat cgcs.messaging\n"
        "[guest vm-2]\n[group pair]\nname = The pair\nproject = red\n");
    ASSERT_TRUE(errors.empty()) << runtime::to_string(errors[0]);
    ASSERT_EQ(snapshot.guests.size(), 2U);
    const InventoryGuest& vm = snapshot.guests[0];
    EXPECT_EQ(vm.display_name, "web 1");
    EXPECT_EQ(vm.host.str(), "compute-1");
    EXPECT_EQ(vm.group.str(), "pair");
    EXPECT_EQ(vm.project, "red") << "a guest is in its group's project";
    EXPECT_EQ(vm.state, "paused");
    EXPECT_EQ(vm.metadata.at("role"), "web server");
    EXPECT_EQ(vm.policy.guest.str(), "vm-1");
    EXPECT_TRUE(vm.policy.heartbeat);
    EXPECT_TRUE(vm.policy.messaging) << "what is in a group talks, unless it is configured otherwise";
    EXPECT_EQ(vm.policy.detect_multiplier, 3);
    EXPECT_EQ(vm.policy.min_interval, std::chrono::milliseconds(500));
    EXPECT_EQ(vm.policy.detection_time, std::chrono::milliseconds(1500));
    EXPECT_EQ(vm.policy.establish_timeout, std::chrono::seconds(30));
    EXPECT_EQ(vm.policy.messages_per_second, 9);
    EXPECT_EQ(vm.policy.bytes_per_second, 2048);
    EXPECT_EQ(vm.policy.corrective_action, model::CorrectiveAction::reboot);
    EXPECT_EQ(vm.policy.channels, (std::vector<std::string>{"cgcs.heartbeat", "cgcs.messaging"}));
    EXPECT_TRUE(snapshot.guests[1].policy.channels.empty());
    EXPECT_FALSE(snapshot.guests[1].policy.heartbeat);
    EXPECT_FALSE(snapshot.guests[1].policy.messaging);
    EXPECT_EQ(snapshot.groups.at(0).name, "The pair");
}

TEST_F(InventoryFileTest, ReportsEveryMistakeWithItsLine) {
    EXPECT_THAT(mistakes("[guest ../etc]\n[guest vm-1]\nstate = dead\nhost = h\ngroup = none\nheartbeat = maybe\n"
                         "detect_multiplier = 0\ntypo = 1\n[gest vm-2]\n[guest vm-3]\nmetadata = x\nchannels = eth0\n"),
                ElementsAre(HasSubstr("inv:9: unknown section [gest vm-2]"),
                            HasSubstr("inv:1: [guest ...]: expected an id of 1 to 128 letters"),
                            HasSubstr("inv:5: [guest vm-1] group: there is no [group none] in this file"),
                            HasSubstr("inv:3: [guest vm-1] state: expected one of active"),
                            HasSubstr("inv:6: [guest vm-1] heartbeat: expected true or false"),
                            HasSubstr("inv:7: [guest vm-1] detect_multiplier: expected a whole number from 1"),
                            HasSubstr("inv:8: [guest vm-1] typo: is no key"),
                            HasSubstr("inv:11: [guest vm-3] metadata: expected name=value"),
                            HasSubstr("inv:12: [guest vm-3] channels: expected some of org.vitalwire.0")));
}

TEST_F(InventoryFileTest, RefusesAGuestInAnotherProjectsGroup) {
    EXPECT_THAT(mistakes("[group pair]\nproject = red\n[guest vm]\ngroup = pair\nproject = blue\n"),
                ElementsAre("inv:5: [guest vm] project: expected the project of its group, 'red'"));
}

}  // namespace
}  // namespace vitalwire::controller
