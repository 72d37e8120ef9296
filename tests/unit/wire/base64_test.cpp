#include "wire/base64.hpp"

#include <gtest/gtest.h>

#include <string>

namespace vitalwire::wire {
namespace {

TEST(Base64, WritesTheVectorsOfRfc4648) {
    EXPECT_EQ(encode_base64(""), "");
    EXPECT_EQ(encode_base64("f"), "Zg==");
    EXPECT_EQ(encode_base64("fo"), "Zm8=");
    EXPECT_EQ(encode_base64("foo"), "Zm9v");
    EXPECT_EQ(encode_base64("foob"), "Zm9vYg==");
    EXPECT_EQ(encode_base64("fooba"), "Zm9vYmE=");
    EXPECT_EQ(encode_base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, BytesSurviveTheWayThereAndBack) {
    std::string bytes;
    for (int length = 0; length < 300; ++length) {
        EXPECT_EQ(decode_base64(encode_base64(bytes)), bytes);
        bytes += static_cast<char>(length * 37);
    }
}

TEST(Base64, RefusesAnyOtherSpelling) {
    for (const char* bad :
         {"Zg", "Zg=", "Z===", "====", "=AAA", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm-_", "Zh==", "Zm9="}) {
        EXPECT_FALSE(decode_base64(bad)) << bad;
    }
}

}  // namespace
}  // namespace vitalwire::wire
