#include "wire/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "wire/json_reader.hpp"

namespace vitalwire::wire {
namespace {

using base::Errc;
using nlohmann::json;

struct Opened {
    base::Result<EnvelopeHeader> header;
    json data;
};

Opened open(const char* text) {
    json message = json::parse(text);
    json data;
    auto header = open_envelope(message, data);
    return {std::move(header), std::move(data)};
}

TEST(Envelope, GivesTheApplicationsObjectAndTheAddresses) {
    const auto opened = open(R"({"version":2,"source_addr":"a.b","dest_addr":"c_d-1","data":{"x":1}})");
    ASSERT_TRUE(opened.header);
    EXPECT_EQ(opened.header->source_addr, "a.b");
    EXPECT_EQ(opened.header->dest_addr, "c_d-1");
    EXPECT_EQ(opened.data, json({{"x", 1}}));
}

TEST(Envelope, AcceptsAnObjectInAString) {
    EXPECT_EQ(open(R"({"version":1,"source_addr":"a","dest_addr":"a","data":"{\"x\":1}"})").data, json({{"x", 1}}));
}

TEST(Envelope, TellsAnotherVersionFromWhatIsNoVersion) {
    EXPECT_EQ(open(R"({"version":3,"source_addr":"a","dest_addr":"a","data":{}})").header.error().code,
              Errc::unsupported_version);
    EXPECT_EQ(open(R"({"version":"2","source_addr":"a","dest_addr":"a","data":{}})").header.error().code,
              Errc::malformed);
    EXPECT_EQ(open(R"({"source_addr":"a","dest_addr":"a","data":{}})").header.error().code, Errc::malformed);
}

TEST(Envelope, IsOneLineBetweenNewlines) {
    EXPECT_EQ(seal_envelope({2, "a", "b"}, R"({"x":1})"),
              "\n{\"version\":2,\"source_addr\":\"a\",\"dest_addr\":\"b\",\"data\":{\"x\":1}}\n");
}

}  // namespace
}  // namespace vitalwire::wire
