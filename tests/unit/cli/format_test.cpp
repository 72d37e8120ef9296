#include "cli/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vitalwire::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;

TEST(JsonText, IsSafeForATerminal) {
    const std::string text = json_text({{"name", "\x1b[2J\xC2\x9B\x7F\xFF"}});
    EXPECT_EQ(text.find_first_of("\x1b\xC2\x9B\x7F"), std::string::npos) << text;
}

TEST(Yaml, NestsListsAndObjects) {
    const json document = {{"guests", {{{"guest", "a"}, {"misses", 3}}, {{"guest", "b"}}}}, {"none", json::array()}};
    EXPECT_THAT(yaml_lines(document), ElementsAre("guests:", "  -", R"(    guest: "a")", "    misses: 3", "  -",
                                                  R"(    guest: "b")", "none: []"));
}

TEST(Yaml, TakesNoStringForAnythingElse) {
    EXPECT_THAT(yaml_lines({{"no", "yes"}}), ElementsAre(R"("no": "yes")"));
    EXPECT_THAT(yaml_lines({{"version", "1.0"}, {"is", true}}), ElementsAre("is: true", R"(version: "1.0")"));
}

TEST(Yaml, WritesCharactersBeyondTheBasicPlaneAsYamlDoes) {
    EXPECT_THAT(yaml_lines({{"name", "\xF0\x9F\x98\x80 \\ud83d\\ude00"}}),
                ElementsAre(R"(name: "\U0001F600 \\ud83d\\ude00")"));
}

}  // namespace
}  // namespace vitalwire::cli
