#include "runtime/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

namespace vitalwire::runtime {
namespace {

using base::Millis;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> shown(const ConfigErrors& errors) {
    std::vector<std::string> out;
    for (const ConfigError& error : errors)
        out.push_back(to_string(error));
    return out;
}

class Config : public testing::Test {
protected:
    ConfigFile parse(std::string_view text) { return ConfigFile::parse(text, "x.conf", errors_); }
    /// A reader of the section [s], whose lines are `text`; its first line is line 2 of the file.
    ConfigReader section(const std::string& text) {
        file_ = parse("[s]\n" + text);
        return {file_, "s", errors_};
    }

    ConfigErrors errors_;
    ConfigFile file_;
};

TEST_F(Config, HoldsSectionsWithLabelsAndKeysWithLines) {
    const ConfigFile file = parse("# comment\n[bus]\n url = tcp://a:1 \r\n\n[sink doctor]\n;old\ntype=doctor");
    ASSERT_THAT(errors_, IsEmpty());
    ASSERT_EQ(file.sections.size(), 2U);
    EXPECT_EQ(file.sections[0].name, "bus");
    EXPECT_EQ(file.sections[0].entries[0].value, "tcp://a:1");
    EXPECT_EQ(file.sections[0].entries[0].line, 3);
    EXPECT_EQ(file.sections[1].label, "doctor");
    EXPECT_EQ(file.sections[1].entries[0].line, 7);
}

TEST_F(Config, KeepsEverythingAfterTheFirstEqualsSign) {
    EXPECT_EQ(section("url = http://h/?a=b#c").text("url", ""), "http://h/?a=b#c");
}

TEST_F(Config, TakesACommentAfterAValueButNotInsideQuotes) {
    EXPECT_EQ(section("url = http://h/#top   # where \"it\" is").text("url", ""), "http://h/#top");
    EXPECT_EQ(section("command = test \"a # b\" = 'c # d'\t# why").text("command", ""), "test \"a # b\" = 'c # d'");
    EXPECT_EQ(section("reason = it's ill # as it is").text("reason", ""), "it's ill");
    EXPECT_EQ(parse("[s] # the section\nkey = # nothing\n").sections.at(0).name, "s");
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:2: key 'key' has no value; remove the line to use the default"));
}

TEST_F(Config, TakesAByteOrderMarkAtTheStartOnly) {
    EXPECT_EQ(parse("\xEF\xBB\xBF[s]\na = 1\n").sections.at(0).name, "s");
    EXPECT_EQ(parse("\xEF\xBB\xBF# mine\n[s]\na = 1\n").sections.at(0).name, "s");
    EXPECT_TRUE(errors_.empty());
    parse(
        "[s]\n\xEF\xBB\xBF"
        "a = 1\n");
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:2: expected a key before '=', found '\\u{feff}a'"));
}

TEST_F(Config, TakesTheCommandLineInsteadOfTheFile) {
    ConfigFile file = parse("[bus]\nurl = tcp://a:1\n[source directory]\npath = /a\n");
    file.set("bus.url=tcp://b:2", errors_);
    file.set("bus.url=tcp://c:3", errors_);
    file.set("source.directory.path = /b", errors_);
    file.set("agent.host=n1", errors_);
    EXPECT_THAT(errors_, IsEmpty());
    EXPECT_THAT(ConfigReader(file, "bus", errors_).list("url"), ElementsAre("tcp://b:2", "tcp://c:3"));
    EXPECT_EQ(ConfigReader(file, file.sections_named("source").at(0), errors_).text("path", ""), "/b");
    EXPECT_EQ(ConfigReader(file, "agent", errors_).text("host", ""), "n1");
}

TEST_F(Config, BlamesTheCommandLineForItsMistakes) {
    ConfigFile file = parse("[bus]\nurl = tcp://a:1\n");
    for (const char* given : {"bus.url=a", "bus.url=b", "bus.ulr=c", "buss.url=d"})
        file.set(given, errors_);
    ConfigReader reader(file, "bus", errors_);
    static_cast<void>(reader.text("url", ""));
    reader.refuse("url", "is no URL", "b");
    reader.finish();
    file.check_sections({"bus"}, errors_);
    EXPECT_THAT(shown(errors_), ElementsAre("--set: [bus] url: is given twice", "--set: [bus] url: is no URL",
                                            "--set: [bus] ulr: is no key of this section, expected one of url",
                                            "--set: unknown section [buss], expected [bus]"));
}

TEST_F(Config, RefusesACommandLineThatSetsNothing) {
    ConfigFile file = parse("");
    for (const char* wrong : {"", "=", "a=b", ".a=b", "a.=b", "a.b", "a.b="})
        file.set(wrong, errors_);
    EXPECT_EQ(errors_.size(), 7U);
    EXPECT_EQ(to_string(errors_[2]), "--set: expected section.key=value or section.label.key=value, found 'a=b'");
}

TEST_F(Config, ReportsAllSyntaxMistakesAtOnceWithTheirLines) {
    parse("early = 1\n[a b c]\nlost = 1\n[ok]\nno equals\n= 5\nempty =\n[open\n[ok]\n\xFF = 1\n");
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:1: key 'early' stands before the first [section]",
                                            "x.conf:2: expected [section] or [section label], found '[a b c]'",
                                            "x.conf:5: expected 'key = value', found 'no equals'",
                                            "x.conf:6: expected a key before '=', found ''",
                                            "x.conf:7: key 'empty' has no value; remove the line to use the default",
                                            "x.conf:8: expected [section] or [section label], found '[open'",
                                            "x.conf:9: [ok] is there twice, first at line 4",
                                            "x.conf:10: this line is not UTF-8 text"));
}

TEST_F(Config, NamesUnknownSectionsAndWhatIsExpected) {
    parse("[bus]\n[sink a]\n[sink]\n[buss]\n").check_sections({"bus", "sink *"}, errors_);
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:3: unknown section [sink], expected [bus], [sink NAME]",
                                            "x.conf:4: unknown section [buss], expected [bus], [sink NAME]"));
}

TEST_F(Config, GivesTheDefaultsOfASectionThatIsNotThere) {
    const ConfigFile file = parse("[other]\n");
    ConfigReader reader(file, "s", errors_);
    EXPECT_EQ(reader.text("a", "x"), "x");
    EXPECT_EQ(reader.duration("b", Millis(5), Millis(1), Millis(9)), Millis(5));
    EXPECT_THAT(reader.list("c"), IsEmpty());
    reader.finish();
    EXPECT_THAT(errors_, IsEmpty());
}

TEST_F(Config, ReadsEveryTypeOfValue) {
    ConfigReader reader = section("b = off\ni = -3\nd = 2 min\ne=250ms\nz = 16M\nc = tcp\nl = a b\nl = c\n");
    EXPECT_FALSE(reader.boolean("b", true));
    EXPECT_EQ(reader.integer("i", 0, -5, 5), -3);
    EXPECT_EQ(reader.duration("d", {}, {}, std::chrono::hours(1)), std::chrono::minutes(2));
    EXPECT_EQ(reader.duration("e", {}, {}, std::chrono::hours(1)), Millis(250));
    EXPECT_EQ(reader.size("z", 0, 0, 1U << 30U), 16U << 20U);
    EXPECT_EQ(reader.choice("c", "unix", {"unix", "tcp"}), "tcp");
    EXPECT_THAT(reader.list("l"), ElementsAre("a", "b", "c"));
    reader.finish();
    EXPECT_THAT(errors_, IsEmpty());
}

TEST_F(Config, RefusesEveryBadValueWithWhatWasExpected) {
    ConfigReader reader =
        section("b = 1\ni = 6\nj = 3x\nd = 500\ne = 2 h\nz = 1T\nc = udp\nk = 99999999999999999999d\n");
    EXPECT_TRUE(reader.boolean("b", true));
    EXPECT_EQ(reader.integer("i", 1, 0, 5), 1);
    reader.integer("j", 1, 0, 5);
    reader.duration("d", Millis(1), Millis(100), std::chrono::hours(1));
    reader.duration("e", Millis(1), Millis(100), std::chrono::hours(1));
    reader.size("z", 0, 0, 1U << 20U);
    reader.choice("c", "unix", {"unix", "tcp"});
    reader.duration("k", Millis(1), Millis(100), std::chrono::hours(1));
    EXPECT_THAT(
        shown(errors_),
        ElementsAre("x.conf:2: [s] b: expected true or false, found '1'",
                    "x.conf:3: [s] i: expected a whole number from 0 to 5, found '6'",
                    "x.conf:4: [s] j: expected a whole number from 0 to 5, found '3x'",
                    "x.conf:5: [s] d: expected a time from 100 ms to 1 h (units: ms, s, min, h, d), found '500'",
                    "x.conf:6: [s] e: expected a time from 100 ms to 1 h (units: ms, s, min, h, d), found '2 h'",
                    "x.conf:7: [s] z: expected a number of bytes from 0 to 1 M (units: K, M, G), found '1T'",
                    "x.conf:8: [s] c: expected one of unix, tcp, found 'udp'",
                    HasSubstr("x.conf:9: [s] k: expected a time")));
}

TEST_F(Config, RefusesKeysNobodyAskedForMissingOnesAndRepeatedOnes) {
    ConfigReader reader = section("a = 1\na = 2\ntypo = 1\n");
    EXPECT_EQ(reader.text("a", ""), "1");
    EXPECT_EQ(reader.required_text("url"), "");
    reader.finish();
    EXPECT_THAT(shown(errors_),
                ElementsAre("x.conf:3: [s] a: is there twice, first at line 2", "x.conf:1: [s] url: is missing",
                            "x.conf:4: [s] typo: is no key of this section, expected one of a, url"));
}

TEST_F(Config, ReportsTheCallersOwnCheckAtTheKeysLine) {
    ConfigReader reader = section("a = 1\n");
    reader.refuse("a", "no such host");
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:2: [s] a: no such host"));
}

TEST_F(Config, EscapesWhatItQuotes) {
    section("b = \x1b[2J\n").boolean("b", false);
    EXPECT_THAT(to_string(errors_.at(0)), HasSubstr("found '\\x1b[2J'"));
}

TEST_F(Config, SaysWhyAFileCannotBeRead) {
    const auto missing = ConfigFile::load("/nonexistent/x.conf", errors_);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message, "/nonexistent/x.conf: cannot read: No such file or directory");
    const auto directory = ConfigFile::load("/", errors_);
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().message, "/: expected a regular file, found a folder");
    EXPECT_FALSE(ConfigFile::load("/dev/zero", errors_)) << "endless input must be refused, not read";
}

TEST_F(Config, LoadsAFile) {
    const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "vitalwire-config-test.conf";
    std::ofstream(path) << "[a]\nb = c\n";
    const auto file = ConfigFile::load(path, errors_);
    std::filesystem::remove(path);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->sections.at(0).entries.at(0).value, "c");
}

TEST_F(Config, ReadsRepeatedKeysAsWholeLines) {
    ConfigReader reader = section("header = A: one two\nheader = B: three\n");
    EXPECT_THAT(reader.lines("header"), ElementsAre("A: one two", "B: three"));
}

TEST_F(Config, ReportsAMistakeOfAListAtTheLineOfItsElement) {
    ConfigReader reader = section("listen = a:1 b:2\nlisten = a:11\nlisten = c d\n");
    reader.refuse("listen", "no", "a:11");
    reader.refuse("listen", "no", "d");
    reader.refuse("listen", "no", "not there");
    EXPECT_THAT(shown(errors_),
                ElementsAre("x.conf:3: [s] listen: no", "x.conf:4: [s] listen: no", "x.conf:2: [s] listen: no"));
}

TEST_F(Config, WhatHasNoEffectIsAMistakeOnlyWhenTheFileIsChecked) {
    ConfigFile file = parse("[s]\nkey = 1\n");
    ConfigReader(file, "s", errors_).check("key", "has no effect");
    EXPECT_THAT(errors_, IsEmpty());
    file.only_checked = true;
    ConfigReader(file, "s", errors_).check("key", "");
    ConfigReader(file, "s", errors_).check("key", "has no effect");
    EXPECT_THAT(shown(errors_), ElementsAre("x.conf:2: [s] key: has no effect"));
}

TEST_F(Config, WhatFollowsFromAMistakeIsNotReported) {
    ConfigFile file = parse("[s]\nfile = /nonexistent/a\nother = 1\n");
    file.only_checked = true;
    ConfigReader reader(file, "s", errors_);
    reader.file("file");
    reader.check("file", "holds nothing");
    EXPECT_TRUE(reader.refused("file"));
    EXPECT_FALSE(reader.refused("other"));
    EXPECT_THAT(shown(errors_), ElementsAre(HasSubstr("[s] file: /nonexistent/a: cannot read")));
}

TEST_F(Config, NotesTheValuesInForceAndWhereEachIsFrom) {
    ConfigFile file = parse("[s]\nlist = a b\nlist = c\nsize = 4K\n");
    file.set("s.name=x", errors_);
    ConfigReader reader(file, "s", errors_);
    reader.list("list");
    reader.list("other", {"d", "e"});
    reader.size("size", 1, 1, 1U << 20U);
    reader.duration("time", Millis(2000), Millis(1), Millis(10'000));
    reader.boolean("flag", true);
    reader.text("name", "");
    reader.text("name", "read once more");
    reader.text("cloud", "y");
    reader.set_origin("cloud", "clouds.yaml");
    reader.set_origin("name", "clouds.yaml");
    const ConfigValues expected = {{"[s]", "list", "a b", "x.conf:2"}, {"[s]", "list", "c", "x.conf:3"},
                                   {"[s]", "other", "d e", "default"}, {"[s]", "size", "4K", "x.conf:4"},
                                   {"[s]", "time", "2 s", "default"},  {"[s]", "flag", "yes", "default"},
                                   {"[s]", "name", "x", "--set"},      {"[s]", "cloud", "y", "clouds.yaml"}};
    EXPECT_EQ(file.values->list(), expected);
    EXPECT_THAT(errors_, IsEmpty());
}

/// CPU time of a file as large as the inventory of a cloud.
std::clock_t time_to_read(int sections) {
    std::string text;
    for (int i = 0; i < sections; ++i)
        text += "[guest vm-" + std::to_string(i) + "]\nhost = compute-1\n";
    ConfigErrors errors;
    const std::clock_t begun = std::clock();
    const ConfigFile file = ConfigFile::parse(text, "x.conf", errors);
    for (const ConfigSection& section : file.sections) {
        ConfigReader reader(file, section, errors);
        for (const char* key : {"host", "name", "flavor", "state", "node"})
            reader.text(key, "");
    }
    EXPECT_EQ(file.values->list().size(), 5U * static_cast<std::size_t>(sections));
    return std::clock() - begun;
}

TEST_F(Config, SixteenTimesTheSectionsTakeNoHundredTimesTheTime) {
    EXPECT_LT(time_to_read(8000), 100 * time_to_read(500));
}

}  // namespace
}  // namespace vitalwire::runtime
