#include "wire/json_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "read_text.hpp"

namespace vitalwire::wire {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string problem(std::string_view text) {
    const auto parsed = parse_object(text);
    return parsed ? "accepted" : parsed.error().message;
}

TEST(ParseObject, ReadsNestedValues) {
    const auto parsed = parse_object(R"({"a":[1,-2,{"b":null}],"c":"x","d":true,"e":1.5})");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, json::parse(R"({"a":[1,-2,{"b":null}],"c":"x","d":true,"e":1.5})"));
}

TEST(ParseObject, RefusesWhatIsNoJson) {
    for (const char* bad : {"", "{", "{'a':1}", "{\"a\":NaN}", "{\"a\":1}//x", "{\"a\":1}{\"b\":2}", "{\"a\":01}",
                            "{\"a\":\"\x01\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\xff\"}", "{\"a\":1e400}"}) {
        EXPECT_FALSE(parse_object(bad)) << bad;
    }
}

TEST(ParseObject, RefusesAnythingButAnObject) {
    EXPECT_THAT(problem("[1]"), HasSubstr("expected a JSON object, found a array"));
}

TEST(ParseObject, RefusesAKeyTwice) {
    EXPECT_THAT(problem(R"({"a":1,"a":2})"), HasSubstr("a key twice"));
}

TEST(ParseObject, StopsAtTheDepthLimit) {
    std::string nested = "{\"a\":";
    EXPECT_EQ(problem(nested + std::string(15, '[') + std::string(15, ']') + "}"), "accepted");
    EXPECT_THAT(problem(nested + std::string(16, '[') + std::string(16, ']') + "}"),
                HasSubstr("nested deeper than 16"));
    EXPECT_THAT(problem(nested + std::string(2000, '[')), HasSubstr("nested deeper than 16"));
}

TEST(ParseObject, StopsAtTheKeyLimit) {
    std::string object = "{";
    for (int i = 0; i < 64; ++i)
        object += "\"k" + std::to_string(i) + "\":1,";
    EXPECT_EQ(problem(object.substr(0, object.size() - 1) + "}"), "accepted");
    EXPECT_THAT(problem(object + "\"one more\":1}"), HasSubstr("more than 64 keys"));
}

TEST(ReadField, NamesTheKeyWhatWasExpectedAndWhatWasFound) {
    const json object = {{"n", "five"}, {"big", 11}, {"f", 1.0}, {"huge", 18446744073709551615ULL},
                         {"s", ""},     {"b", 1}};
    EXPECT_EQ(read_int(object, "n", 0, 10).error().message,
              "key 'n': expected an integer from 0 to 10, found a string");
    EXPECT_EQ(read_int(object, "big", 0, 10).error().message, "key 'big': expected an integer from 0 to 10, found 11");
    EXPECT_EQ(read_int(object, "f", 0, 10).error().message,
              "key 'f': expected an integer from 0 to 10, found a fraction");
    EXPECT_EQ(read_int(object, "huge", 0, 10).error().message,
              "key 'huge': expected an integer from 0 to 10, found 18446744073709551615");
    EXPECT_EQ(read_int(object, "none", 0, 10).error().message,
              "key 'none' is missing, expected an integer from 0 to 10");
    EXPECT_EQ(read_text(object, "s", 1, 4).error().message,
              "key 's': expected a string of 1 to 4 bytes, found 0 bytes");
    EXPECT_EQ(read_bool(object, "b").error().message, "key 'b': expected true or false, found a number");
}

TEST(ReadField, TakesAnIntegerOfAnySizeForOne) {
    const Text text(R"({"n":7,"edge":9223372036854775808,"huge":1180591620717411303424,"low":-9223372036854775809,)"
                    R"("f":1e30,"s":"7"})");
    EXPECT_EQ(read_any_int(text.root(), "n"), 7);
    EXPECT_EQ(read_any_int(text.root(), "edge"), INT64_MAX);
    EXPECT_EQ(read_any_int(text.root(), "huge"), INT64_MAX);
    EXPECT_EQ(read_any_int(text.root(), "low"), INT64_MIN);
    EXPECT_EQ(read_any_int(text.root(), "f").error().message, "key 'f': expected an integer, found a fraction");
    EXPECT_EQ(read_any_int(text.root(), "s").error().message, "key 's': expected an integer, found a string");
    EXPECT_EQ(read_any_int(text.root(), "none").error().message, "key 'none' is missing, expected an integer");
    EXPECT_EQ(read_any_int(to_json(text.root()), "huge"), INT64_MAX);
    EXPECT_FALSE(read_int(text.root(), "huge", 0, INT64_MAX));
    EXPECT_EQ(not_supported(7), "version 7 is not supported");
    EXPECT_EQ(not_supported(INT64_MAX), "version 9223372036854775807 or more is not supported");
}

TEST(Dump, ReplacesBytesThatAreNoTextInsteadOfThrowing) {
    EXPECT_EQ(dump(json{{"a", "\xff"}}), "{\"a\":\"\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace vitalwire::wire
