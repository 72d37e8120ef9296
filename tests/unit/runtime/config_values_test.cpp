#include "runtime/config_values.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "runtime/config.hpp"
#include "runtime/secret.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> shown(const std::vector<ConfigChange>& changes) {
    std::vector<std::string> out;
    for (const ConfigChange& change : changes)
        out.push_back(to_string(change));
    return out;
}

TEST(ConfigValues, AreShownAsAFileThatCanBeReadAgain) {
    const ConfigValues values = {{"[a]", "x", "1", "f:2"}, {"[a]", "y", "", "default"}, {"[b c]", "z", "2 s", "--set"}};
    const std::string text = to_text(values);
    EXPECT_THAT(text, HasSubstr("[a]\nx = 1 "));
    EXPECT_THAT(text, HasSubstr("  # f:2\n# y is not set\n\n[b c]\nz = 2 s "));
    ConfigErrors errors;
    const ConfigFile file = ConfigFile::parse(text, "again", errors);
    EXPECT_THAT(errors, IsEmpty());
    ASSERT_EQ(file.sections.size(), 2U);
    EXPECT_EQ(file.sections[0].entries.at(0).value, "1");
    EXPECT_EQ(file.sections[1].entries.at(0).value, "2 s");
}

TEST(ConfigValues, AreShownWithoutSecrets) {
    EXPECT_EQ(masked({"[s]", "header", "X-Key: abc", ""}), "X-Key: (masked)");
    EXPECT_EQ(masked({"[s]", "header", "abc", ""}), "(masked)");
    EXPECT_EQ(masked({"[s]", "url", "amqp://u:abc@h:1/ amqp://u@h:2/", ""}), "amqp://u:(masked)@h:1/ amqp://u@h:2/");
    EXPECT_EQ(masked({"[s]", "url", "http://h:1/a@b:c", ""}), "http://h:1/a@b:c");
    EXPECT_THAT(to_text({{"[s]", "header", "X-Key: abc", "f:1"}}), Not(HasSubstr("abc")));
}

TEST(ConfigValues, DifferInWhatWasChangedAddedAndRemoved) {
    const ConfigValues before = {
        {"[a]", "same", "1", "f:1"}, {"[a]", "changed", "1", "f:2"}, {"[b]", "gone", "1", "f:3"}};
    const ConfigValues after = {{"[a]", "same", "1", "f:9"},
                                {"[a]", "changed", "1", "f:1"},
                                {"[a]", "changed", "2", "f:2"},
                                {"[c]", "unset", "", "default"},
                                {"[c]", "is_new", "1", "f:3"}};
    EXPECT_THAT(shown(differences(before, after)),
                ElementsAre("[a] changed: 1 -> 1 2", "[c] is_new: not set -> 1", "[b] gone: 1 -> not set"));
    EXPECT_THAT(differences(before, before), IsEmpty());
}

TEST(ConfigValues, DifferInTheContentOfAFileThatTheyName) {
    const test::TempDir dir;
    const auto read = [&](const std::string& content) {
        std::ofstream(dir / "token") << content;
        ConfigErrors errors;
        const ConfigFile file = ConfigFile::parse("[http]\ntoken_file = " + (dir / "token") + "\n", "f", errors);
        ConfigReader reader(file, "http", errors);
        read_secret(reader, "token");
        EXPECT_EQ(file.values->files().at(0).path, dir / "token");
        return file.values->list();
    };
    const ConfigValues before = read("one");
    EXPECT_THAT(differences(before, read("one")), IsEmpty());
    EXPECT_THAT(shown(differences(before, read("two"))),
                ElementsAre("[http] token_file: the content of " + (dir / "token") + " has changed"));
}

TEST(ConfigValues, DifferInASecretWithoutShowingIt) {
    EXPECT_THAT(shown(differences({{"[a]", "header", "X: a", ""}}, {{"[a]", "header", "X: b", ""}})),
                ElementsAre("[a] header: X: (masked) -> X: (masked)"));
}

}  // namespace
}  // namespace vitalwire::runtime
