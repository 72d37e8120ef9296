#include "guest/port_finder.hpp"

#include <gtest/gtest.h>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

namespace fs = std::filesystem;

class PortFinder : public testing::Test {
protected:
    PortFinder() {
        fs::create_directories(roots_.dev);
        fs::create_directories(roots_.sys_class);
    }

    void add_port(const std::string& number, const std::string& name) {
        fs::create_directories(roots_.sys_class + "/" + number);
        std::ofstream(roots_.sys_class + "/" + number + "/name") << name;
        add_node(number);
    }
    void add_node(const std::string& number) { std::ofstream(roots_.dev + "/" + number) << ""; }

    TempDir dir_;
    PortRoots roots_{dir_ / "dev", dir_ / "sys"};
};

TEST_F(PortFinder, FindsTheLinkThatUdevMade) {
    add_node("vport1p1");
    fs::create_directories(roots_.dev + "/virtio-ports");
    fs::create_symlink("../vport1p1", roots_.dev + "/virtio-ports/org.vitalwire.0");
    EXPECT_EQ(find_port("org.vitalwire.0", roots_), roots_.dev + "/virtio-ports/org.vitalwire.0");
}

TEST_F(PortFinder, FindsThePortByItsNameWhereNoUdevRuns) {
    add_port("vport0p1", "org.qemu.guest_agent.0\n");
    add_port("vport0p2", "org.vitalwire.0\n");
    EXPECT_EQ(find_port("org.vitalwire.0", roots_), roots_.dev + "/vport0p2");
}

TEST_F(PortFinder, FindsThePortByThePathOfItsLinkWhereNoUdevRuns) {
    add_port("vport0p2", "org.vitalwire.0\n");
    EXPECT_EQ(find_port(roots_.dev + "/virtio-ports/org.vitalwire.0", roots_), roots_.dev + "/vport0p2");
}

TEST_F(PortFinder, TakesAnyOtherPathForADevice) {
    EXPECT_EQ(find_port("/dev/hvc7", roots_), "/dev/hvc7");
}

TEST_F(PortFinder, FindsNothingWhileThePortIsMissing) {
    add_port("vport0p1", "org.vitalwire.00\n");
    add_port("vport0p2", "");
    EXPECT_EQ(find_port("org.vitalwire.0", roots_), std::nullopt);
}

TEST_F(PortFinder, FindsNothingWhileTheNodeIsMissing) {
    add_port("vport0p1", "org.vitalwire.0\n");
    fs::remove(roots_.dev + "/vport0p1");
    EXPECT_EQ(find_port("org.vitalwire.0", roots_), std::nullopt);
}

TEST_F(PortFinder, IgnoresALinkThatLeadsNowhere) {
    fs::create_directories(roots_.dev + "/virtio-ports");
    fs::create_symlink("../vport9p9", roots_.dev + "/virtio-ports/org.vitalwire.0");
    EXPECT_EQ(find_port("org.vitalwire.0", roots_), std::nullopt);
}

TEST_F(PortFinder, FindsNothingWithoutAnyPorts) {
    EXPECT_EQ(find_port("org.vitalwire.0", {dir_ / "no-dev", dir_ / "no-sys"}), std::nullopt);
}

}  // namespace
}  // namespace vitalwire::guest::test
