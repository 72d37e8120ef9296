// Channels that the host itself cannot connect, in virtual time.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host_under_test.hpp"

namespace vitalwire::heartbeat::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(HostSession, NobodyIsJudgedWhoseChannelTheHostItselfCannotConnect) {
    Host host;
    host.resume({});
    host.on(ChannelBarred{Dialect::native});
    EXPECT_THAT(host.run(Millis(1'000'000)), Not(Contains(HasSubstr("open"))));
    host.connect();
    EXPECT_THAT(host.run(Millis(10'000)), Contains(HasSubstr("open heartbeat_lost silent"))) << "it hangs";
}

TEST(HostSession, AChannelThatTheHostCouldConnectAgainIsJudgedThoughNobodyListens) {
    Host host;
    host.resume({});
    host.on(ChannelBarred{Dialect::native});
    host.run(Millis(1'000'000));
    host.on(ChannelBarred{Dialect::native, false});
    EXPECT_THAT(host.run(Millis(10'000)), Contains(HasSubstr("open heartbeat_lost channel_closed")));
}

TEST(HostSession, AGuestThatMustRegisterIsNotMissedOnAChannelThatTheHostCannotConnect) {
    Host host{required()};
    host.on(ChannelBarred{Dialect::native});
    host.on(Started{});
    EXPECT_THAT(host.run(Millis(1'000'000)), IsEmpty());
    host.connect();
    EXPECT_THAT(host.run(Millis(1'000'000)), Contains(HasSubstr("open not_established")));
}

}  // namespace
}  // namespace vitalwire::heartbeat::test
