#include "wire/object_writer.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>

namespace vitalwire::wire {
namespace {

TEST(ObjectWriter, WritesKeysInTheirOrder) {
    ObjectWriter out;
    out.number("a", -5).flag("b", true).flag("c", false).text("d", "plain");
    EXPECT_EQ(out.finish(), R"({"a":-5,"b":true,"c":false,"d":"plain"})");
}

TEST(ObjectWriter, TakesWhatIsJsonAlready) {
    ObjectWriter out;
    out.json("a", R"({"b":[1]})").texts("c", {"d", "e"});
    EXPECT_EQ(out.finish(), R"({"a":{"b":[1]},"c":["d","e"]})");
}

TEST(ObjectWriter, WritesAnEmptyObject) {
    EXPECT_EQ(ObjectWriter().finish(), "{}");
}

TEST(ObjectWriter, WritesEveryIntegerWhole) {
    ObjectWriter out;
    out.number("min", INT64_MIN).number("max", INT64_MAX);
    EXPECT_EQ(out.finish(), R"({"min":-9223372036854775808,"max":9223372036854775807})");
}

TEST(ObjectWriter, EscapesWhatJsonCannotHoldAsItIs) {
    for (const char* text : {"", "a \"quote\"", "back\\slash", "line\nbreak", "\x01", "\x7f", "gr\xc3\xbc\xc3\x9f"}) {
        ObjectWriter out;
        out.text("k", text);
        EXPECT_EQ(nlohmann::json::parse(out.finish())["k"], text);
    }
}

TEST(ObjectWriter, ReplacesWhatIsNotUtf8) {
    ObjectWriter out;
    out.text("k", "a\xff");
    EXPECT_EQ(nlohmann::json::parse(out.finish())["k"], "a\xef\xbf\xbd");
}

}  // namespace
}  // namespace vitalwire::wire
