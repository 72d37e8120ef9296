#include "wire/group_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "wire/inbound.hpp"
#include "wire/limits.hpp"

namespace vitalwire::wire {
namespace {

using base::Errc;
using nlohmann::json;
using testing::ElementsAre;

std::string every_byte() {
    std::string bytes;
    for (int i = 0; i < 256; ++i)
        bytes += static_cast<char>(i);
    return bytes;
}

/// What the other end reads of `pdu`.
template <class Pdu>
Pdu through_the_wire(const Pdu& pdu, ChannelKind channel, Receiver receiver) {
    const Dialect dialect = channel == ChannelKind::native ? Dialect::native : Dialect::cgcs;
    const auto line = encode_group(pdu, dialect, 2);
    EXPECT_TRUE(line) << (line ? "" : line.error().message);
    if (!line) return {};
    const Inbound inbound = read_line(std::string_view(*line).substr(1, line->size() - 2), channel, receiver);
    const auto* message = std::get_if<GroupMessage>(&inbound);
    EXPECT_NE(message, nullptr) << *line;
    return message == nullptr ? Pdu{} : std::get<Pdu>(message->pdu);
}

MemberState state_with(std::size_t metadata_bytes) {
    MemberState state;
    state.instance_id = "9b5a0d5e-8a2a-4a3f-9f2c-0f6c4b1f6a11";
    state.display_name = "db-1";
    state.state = "active";
    state.host = "compute-3";
    state.metadata = {{"big", std::string(metadata_bytes, 'x')}};
    return state;
}

TEST(GroupPayload, AnyBytesReachTheOtherEndUnchanged) {
    for (const std::string& payload :
         {std::string(), std::string("hello"), std::string("a\nb\0c\"d\\", 8), every_byte(), std::string(3050, '\xFF'),
          std::string(3050, '"'), std::string(3050, '\0')}) {
        EXPECT_EQ(through_the_wire(Broadcast{payload, 5}, ChannelKind::native, Receiver::host).payload, payload);
        EXPECT_EQ(through_the_wire(Delivery{"g1", payload}, ChannelKind::native, Receiver::guest).payload, payload);
    }
}

TEST(GroupPayload, NeverMakesAMessageLongerThanTheSpecificationSays) {
    for (const char byte : {'\0', '"', '\xFF', 'x', '\x7F', '\\'}) {
        const Delivery largest{std::string(128, 'i'), std::string(3050, byte), true, 2147483647};
        EXPECT_LE(encode_group(largest, Dialect::native, 2)->size(), 4428U) << int(byte);
    }
}

TEST(GroupPayload, Of3051BytesIsRefusedBeforeItIsSent) {
    EXPECT_EQ(encode_group(Broadcast{std::string(3051, 'x'), {}}, Dialect::native, 2).error().code, Errc::too_large);
}

TEST(GroupPayload, GoesToACgcsGuestOnlyAsTextThatFits) {
    EXPECT_TRUE(encode_group(Delivery{"g1", "hello\n"}, Dialect::cgcs, 2));
    EXPECT_TRUE(encode_group(Delivery{"g1", std::string(3050, 'x')}, Dialect::cgcs, 2));
    EXPECT_EQ(encode_group(Delivery{"g1", "\xFF"}, Dialect::cgcs, 2).error().code, Errc::bad_field);
    EXPECT_EQ(encode_group(Delivery{"g1", std::string(3050, '"')}, Dialect::cgcs, 2).error().code, Errc::too_large);
}

TEST(GroupDelivery, TellsWhoSentItAndWhatWasLostBefore) {
    const Delivery delivery =
        through_the_wire(Delivery{"operator", "x", true, 7}, ChannelKind::native, Receiver::guest);
    EXPECT_EQ(delivery.source, "operator");
    EXPECT_TRUE(delivery.from_operator);
    EXPECT_EQ(delivery.dropped, 7U);
}

TEST(GroupDelivery, SaysNothingToACgcsGuestThatItDoesNotKnow) {
    const std::string line = *encode_group(Delivery{"operator", "x", true, 7}, Dialect::cgcs, 1);
    EXPECT_EQ(json::parse(line),
              json::parse(R"({"version":1,"source_addr":"cgcs.server_grp","dest_addr":"cgcs.server_grp",)"
                          R"("data":{"version":1,"msg_type":"broadcast","source_instance":"operator","data":"x"}})"));
}

TEST(GroupState, ThatIsTooLongLosesWholeFieldsAndSaysWhich) {
    const auto response = through_the_wire(StatusResponse{1, state_with(9000)}, ChannelKind::native, Receiver::guest);
    EXPECT_FALSE(response.state.metadata);
    EXPECT_EQ(response.state.host, "compute-3");
    EXPECT_THAT(response.state.reduced, ElementsAre("metadata"));
}

TEST(GroupState, FitsACgcsGuestsBuffer) {
    const auto line = encode_group(StatusResponse{1, state_with(3990)}, Dialect::cgcs, 2);
    ASSERT_TRUE(line);
    EXPECT_LE(line->size(), kMaxCgcsMessage);
}

TEST(GroupState, KeepsWhatCameAsItCame) {
    const auto response = through_the_wire(StatusResponse{1, state_with(5)}, ChannelKind::native, Receiver::guest);
    EXPECT_EQ(json::parse(response.state.raw).at("metadata").at("big"), "xxxxx");
}

TEST(GroupNotification, IsWrappedForACgcsGuest) {
    const std::string line = *encode_group(
        Notification{"compute.instance.update", "2024-05-14T09:30:00.125000Z", state_with(1)}, Dialect::cgcs, 2);
    const json data = json::parse(line).at("data").at("data");
    EXPECT_EQ(data.at("timestamp"), "2024-05-14 09:30:00.125000");
    EXPECT_EQ(data.at("event_type"), "compute.instance.update");
    EXPECT_EQ(data.at("priority"), "INFO");
    EXPECT_EQ(data.at("payload").at("state"), "active");
}

TEST(GroupDelivery, IsToldOfWhatWasLostAfterItWasEncoded) {
    auto line = encode_group(Delivery{"g1", "payload"}, Dialect::native, 2).value();
    ASSERT_TRUE(add_dropped(line, 3));
    EXPECT_EQ(json::parse(line).at("data").at("dropped"), 3);
    EXPECT_EQ(json::parse(line).at("data").at("data"), "payload");
}

TEST(GroupDelivery, OfTheLongestLengthStaysAsItIs) {
    const std::string longest = "\n{\"data\":{" + std::string(kMaxNativeMessage - 13, ' ') + "}}\n";
    std::string line = longest;
    ASSERT_EQ(line.size(), kMaxNativeMessage);
    EXPECT_FALSE(add_dropped(line, 3));
    EXPECT_EQ(line, longest);
}

TEST(GroupQuery, EveryAnswerSurvivesTheWire) {
    EXPECT_EQ(through_the_wire(StatusQuery{9}, ChannelKind::native, Receiver::host).seq, 9);
    const StatusDone done = through_the_wire(StatusDone{9, 4, 1}, ChannelKind::native, Receiver::guest);
    EXPECT_EQ(done.count, 4U);
    EXPECT_EQ(done.dropped, 1U);
    EXPECT_EQ(through_the_wire(StatusDone{9, 4, 1}, ChannelKind::cgcs_messaging, Receiver::guest).seq, 9);
}

}  // namespace
}  // namespace vitalwire::wire
