#include "wire/nack_codec.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace vitalwire::wire {
namespace {

using base::Errc;
using nlohmann::json;

TEST(MakeNack, TellsWhatWasRefusedAndWhatIsSupported) {
    const Nack nack = make_nack(json::parse(R"({"msg_type":"init","invocation_id":9})"),
                                {Errc::unsupported_version, "no"}, Dialect::native);
    EXPECT_EQ(nack.orig_msg_type, "init");
    EXPECT_EQ(nack.invocation_id, 9);
    EXPECT_EQ(nack.supported_versions, std::vector<int>{1});
}

TEST(MakeNack, EchoesNoMoreThanTheStartOfAType) {
    EXPECT_EQ(make_nack(json{{"msg_type", std::string(5000, 'x')}}, {Errc::unknown_msg_type, ""}, Dialect::native)
                  .orig_msg_type,
              std::string(32, 'x'));
    EXPECT_EQ(make_nack(json{{"msg_type", 5}}, {Errc::unknown_msg_type, ""}, Dialect::existing).orig_msg_type,
              "unknown");
}

TEST(MakeNack, EchoesTheSeqOfARefusedBroadcastAndTellsTheLimit) {
    const Nack nack = make_nack(json{{"msg_type", "broadcast"}, {"seq", 17}}, {Errc::too_large, "no"}, Dialect::native);
    EXPECT_EQ(nack.seq, 17);
    EXPECT_EQ(nack.max_payload, 3050);
}

TEST(Nack, SurvivesTheWire) {
    Nack nack{Errc::rate_limited, "slow down", "broadcast"};
    nack.refused = 12;
    nack.seq = 3;
    const auto back = decode_nack(nack_to_json(nack));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->code, Errc::rate_limited);
    EXPECT_EQ(back->refused, 12);
    EXPECT_EQ(back->seq, 3);
}

}  // namespace
}  // namespace vitalwire::wire
