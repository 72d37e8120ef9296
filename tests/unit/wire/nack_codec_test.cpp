#include "wire/nack_codec.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "read_text.hpp"

namespace vitalwire::wire {
namespace {

using base::Errc;

TEST(MakeNack, TellsWhatWasRefusedAndWhatIsSupported) {
    const Nack nack = make_nack(Text(R"({"msg_type":"init","invocation_id":9})").root(),
                                {Errc::unsupported_version, "no"}, Dialect::native, kHeartbeatAddress);
    EXPECT_EQ(nack.orig_msg_type, "init");
    EXPECT_EQ(nack.invocation_id, 9);
    EXPECT_EQ(nack.supported_versions, std::vector<int>{1});
}

TEST(MakeNack, EchoesNoMoreThanTheStartOfAType) {
    EXPECT_EQ(make_nack(Text(R"({"msg_type":")" + std::string(5000, 'x') + "\"}").root(), {Errc::unknown_msg_type, ""},
                        Dialect::native, kHeartbeatAddress)
                  .orig_msg_type,
              std::string(32, 'x'));
    EXPECT_EQ(
        make_nack(Text(R"({"msg_type":5})").root(), {Errc::unknown_msg_type, ""}, Dialect::cgcs, "").orig_msg_type,
        "unknown");
}

TEST(MakeNack, EchoesTheSeqOfARefusedBroadcastAndTellsTheLimit) {
    const Nack nack = make_nack(Text(R"({"msg_type":"broadcast","seq":17})").root(), {Errc::too_large, "no"},
                                Dialect::native, kGroupAddress);
    EXPECT_EQ(nack.seq, 17);
    EXPECT_EQ(nack.max_payload, 3050);
}

TEST(MakeNack, EchoesOnlyWhatItsLayerLists) {
    const Text response(R"({"msg_type":"action_response","invocation_id":7,"seq":3})");
    const Nack heartbeat = make_nack(response.root(), {Errc::bad_field, "no"}, Dialect::native, kHeartbeatAddress);
    EXPECT_FALSE(heartbeat.invocation_id) << "it is no init";
    EXPECT_FALSE(heartbeat.seq);
    const Nack group = make_nack(response.root(), {Errc::bad_field, "no"}, Dialect::native, kGroupAddress);
    EXPECT_FALSE(group.invocation_id);
    EXPECT_EQ(group.seq, 3);
    const Nack base = make_nack(response.root(), {Errc::unknown_address, "no"}, Dialect::native, kBaseAddress);
    EXPECT_EQ(base.invocation_id, 7);
    EXPECT_EQ(base.seq, 3);
}

TEST(Nack, SurvivesTheWire) {
    Nack nack{Errc::rate_limited, "slow down", "broadcast"};
    nack.refused = 12;
    nack.seq = 3;
    const auto back = decode_nack(Text(nack_to_json(nack).dump()).root());
    ASSERT_TRUE(back);
    EXPECT_EQ(back->code, Errc::rate_limited);
    EXPECT_EQ(back->refused, 12);
    EXPECT_EQ(back->seq, 3);
}

}  // namespace
}  // namespace vitalwire::wire
