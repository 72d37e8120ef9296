#include "guest/unix_channel.hpp"

#include <gmock/gmock.h>

#include "channel_events.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::HasSubstr;

class UnixChannelTest : public LoopTest {
protected:
    ChannelEvents events_;
    std::string path_ = dir_ / "channel";
};

TEST_F(UnixChannelTest, ServesTheNextHostAfterOneForWhichNoDescriptorWasLeft) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's check of types needs descriptors itself";
#endif
    UnixChannel channel(io_, path_);
    channel.start(events_);
    const int host = connect_to(path_, SOCK_STREAM);
    ASSERT_GE(host, 0);
    {
        const NoDescriptors none(1);
        await("it says so", [&] { return channel.status() != "waiting for a host on socket " + path_; });
    }
    EXPECT_THAT(channel.status(), HasSubstr("Too many open files"));
    char end = 0;
    EXPECT_EQ(::read(host, &end, 1), 0) << "it is not left without an answer";
    ::close(host);
    const FakeHost next(path_);
    await("it is served", [&] { return events_.hosts == 1; });
    EXPECT_EQ(channel.status(), "host connected");
}

}  // namespace
}  // namespace vitalwire::guest::test
