#include "guest/virtio_port.hpp"

#include <gmock/gmock.h>

#include "channel_events.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::HasSubstr;

class VirtioPortTest : public LoopTest {
protected:
    ChannelEvents events_;
    std::string path_ = dir_ / "port";
};

TEST_F(VirtioPortTest, WaitsForThePortWhereAFileStands) {
    std::ofstream(path_) << "what a shell has written before the port was there";
    VirtioPort port(io_, path_);
    port.start(events_);
    EXPECT_EQ(port.status(), path_ + " is not a port but a file: remove it, or name another port");
    std::filesystem::remove(path_);
    await("the file is looked for again", [&] { return port.status().starts_with("cannot open port"); });
}

TEST_F(VirtioPortTest, WaitsForThePortWhereADeviceStandsThatIsNone) {
    VirtioPort port(io_, "/dev/null");
    port.start(events_);
    EXPECT_THAT(port.status(), HasSubstr("/dev/null is not a port"));
}

}  // namespace
}  // namespace vitalwire::guest::test
