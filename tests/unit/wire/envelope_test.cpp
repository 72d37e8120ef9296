#include "wire/envelope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "read_text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::wire {
namespace {

using base::Errc;
using nlohmann::json;

std::string text(const std::string& version, const std::string& data) {
    return R"({"version":)" + version + R"(,"source_addr":"a.b","dest_addr":"c_d-1","data":)" + data + "}";
}

Errc refusal(const std::string& message) {
    const Text line(message);
    JsonDocument unpacked;
    const auto opened = open_envelope(line.root(), unpacked);
    EXPECT_FALSE(opened) << message;
    return opened ? Errc::io : opened.error().code;
}

TEST(Envelope, GivesTheApplicationsObjectAndTheAddresses) {
    const Text line(text("2", R"({"x":1})"));
    JsonDocument unpacked;
    const auto opened = open_envelope(line.root(), unpacked);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->source_addr, "a.b");
    EXPECT_EQ(opened->dest_addr, "c_d-1");
    EXPECT_EQ(to_json(*opened->data), json({{"x", 1}}));
}

TEST(Envelope, AcceptsAnObjectInAString) {
    const Text line(text("1", R"("{\"x\":\"\\u0041\"}")"));
    JsonDocument unpacked;
    const auto opened = open_envelope(line.root(), unpacked);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_json(*opened->data), json({{"x", "A"}}));
}

TEST(Envelope, TellsAnotherVersionFromWhatIsNoVersion) {
    const Text line(text("3", "{}"));
    JsonDocument unpacked;
    const auto opened = open_envelope(line.root(), unpacked);
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->version, 3);
    EXPECT_EQ(refusal(text("\"2\"", "{}")), Errc::malformed);
    EXPECT_EQ(refusal(R"({"source_addr":"a","dest_addr":"a","data":{}})"), Errc::malformed);
}

TEST(Envelope, IsMalformedWithoutAnObject) {
    for (const char* data : {"[]", "1", "null", "\"[1]\"", "\"{\""})
        EXPECT_EQ(refusal(text("2", data)), Errc::malformed);
}

TEST(Envelope, IsOneLineBetweenNewlines) {
    EXPECT_EQ(seal_envelope({2, "a", "b"}, R"({"x":1})"),
              "\n{\"version\":2,\"source_addr\":\"a\",\"dest_addr\":\"b\",\"data\":{\"x\":1}}\n");
}

}  // namespace
}  // namespace vitalwire::wire
