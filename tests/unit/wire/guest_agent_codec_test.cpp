#include "wire/guest_agent_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

namespace vitalwire::wire {
namespace {

/// The echo in a line of qemu-ga; absent when it is no answer.
std::optional<std::int64_t> echo(std::string_view line) {
    const Inbound read = read_line(line, ChannelKind::guest_agent, Receiver::host);
    const auto* message = std::get_if<HeartbeatMessage>(&read);
    if (message == nullptr) return std::nullopt;
    return std::get<ChallengeResponse>(message->pdu).value;
}

TEST(GuestAgentCodec, AChallengeIsAGuestSyncInOneLine) {
    EXPECT_EQ(encode_guest_agent(Challenge{{}, 42}), "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":42}}\n");
}

TEST(GuestAgentCodec, TheEchoOfAnyIdIsAnAnswer) {
    EXPECT_EQ(echo(R"({"return": 42})"), 42);
    EXPECT_EQ(echo(R"({"return": -1})"), -1);
    EXPECT_EQ(echo(R"({"return": 9223372036854775807})"), std::numeric_limits<std::int64_t>::max());
}

TEST(GuestAgentCodec, TheEchoOfADelimitedSyncIsAnAnswer) {
    EXPECT_EQ(echo("\xff{\"return\": 8}"), 8);
}

TEST(GuestAgentCodec, AnErrorIsNoAnswer) {
    EXPECT_EQ(echo(R"({"error": {"class": "GenericError", "desc": "JSON parse error, stray '\uFFFD'"}})"),
              std::nullopt);
    EXPECT_EQ(echo(R"({"error": {"class": "GenericError", "desc": "\"return\": 42"}})"), std::nullopt);
}

TEST(GuestAgentCodec, TheAnswerToSomebodyElsesCommandIsNone) {
    EXPECT_EQ(echo(R"({"return": {}})"), std::nullopt);
    EXPECT_EQ(echo(R"({"return": {}, "id": 77})"), std::nullopt);
    EXPECT_EQ(echo(R"({"return": "frozen"})"), std::nullopt);
    EXPECT_EQ(echo(R"({"return": 18446744073709551615})"), std::nullopt);
}

TEST(GuestAgentCodec, GarbageIsMalformed) {
    for (const char* line : {"garbage", "\xff", "[1]", R"({"return": 1)", R"({"return": 1} x)"}) {
        const Inbound read = read_line(line, ChannelKind::guest_agent, Receiver::host);
        EXPECT_TRUE(std::holds_alternative<Malformed>(read)) << line;
    }
}

TEST(GuestAgentCodec, BothNamesOfItsPortAreTheSameKindOfChannel) {
    EXPECT_EQ(channel_kind("org.qemu.guest_agent.0"), ChannelKind::guest_agent);
    EXPECT_EQ(channel_kind("org.vitalwire.qga.0"), ChannelKind::guest_agent);
}

}  // namespace
}  // namespace vitalwire::wire
