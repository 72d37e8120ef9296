#include "cli/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Parsed parse(std::vector<const char*> arguments, const std::string& environment = {}) {
    arguments.insert(arguments.begin(), "vitalwire");
    return parse_options(static_cast<int>(arguments.size()), arguments.data(), [&](const char* name) {
        return name == std::string("VITALWIRE_CONTROLLER") ? environment : "";
    });
}

/// What is printed about a wrong command line.
std::string mistake(const std::vector<const char*>& arguments, const std::string& environment = {}) {
    testing::internal::CaptureStderr();
    const Parsed parsed = parse(arguments, environment);
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_FALSE(parsed.options);
    EXPECT_EQ(parsed.exit_code, kUsage);
    EXPECT_THAT(printed, testing::StartsWith("vitalwire: "));
    return printed;
}

TEST(CommandLine, AsksTheControllerOfThisHostByDefault) {
    const Options options = parse({"status"}).options.value();
    EXPECT_EQ(options.command, Command::status);
    EXPECT_THAT(options.controllers, ElementsAre("http://127.0.0.1:8990"));
    EXPECT_EQ(options.agent, "/run/vitalwire/agent.sock");
    EXPECT_FALSE(options.controllers_chosen);
    EXPECT_FALSE(options.agent_chosen);
}

TEST(CommandLine, TakesOptionsBeforeAndAfterTheCommand) {
    const Options options =
        parse({"--json", "guests", "--state", "lost", "--host", "c1", "--controller", "a:1"}).options.value();
    EXPECT_EQ(options.command, Command::guests);
    EXPECT_EQ(options.format, Format::json);
    EXPECT_EQ(options.state, "lost");
    EXPECT_EQ(options.host, "c1");
    EXPECT_THAT(options.controllers, ElementsAre("http://a:1"));
    EXPECT_EQ(parse({"--controller", "a:1", "agents"}).options.value().command, Command::agents);
}

TEST(CommandLine, NamesAGroupAndWhatToSendToIt) {
    const Options options = parse({"send", "g-1", "hello all"}).options.value();
    EXPECT_EQ(options.command, Command::send);
    EXPECT_EQ(options.target, "g-1");
    EXPECT_EQ(options.message, "hello all");
    EXPECT_EQ(parse({"group", "g-1", "--json"}).options.value().command, Command::group);
    EXPECT_THAT(mistake({"group", ""}), HasSubstr("expected an id, a name"));
    EXPECT_THAT(mistake({"send", "g-1"}), HasSubstr("message"));
}

TEST(CommandLine, AsksControllersOnlyForGroups) {
    EXPECT_TRUE(parse({"groups"}).options.value().controllers_chosen) << "not the agent when it does not answer";
    EXPECT_THAT(mistake({"groups", "--agent", "/x"}), HasSubstr("only controllers know that"));
}

TEST(CommandLine, TakesSeveralControllers) {
    EXPECT_THAT(parse({"faults", "--all", "--controller", "http://a:1/", "--controller", "https://b"})
                    .options.value()
                    .controllers,
                ElementsAre("http://a:1", "https://b"));
}

TEST(CommandLine, ReadsTheEnvironmentUnlessItIsToldOtherwise) {
    EXPECT_THAT(parse({"status"}, "a:1, http://b:2").options.value().controllers,
                ElementsAre("http://a:1", "http://b:2"));
    EXPECT_THAT(parse({"status", "--controller", "c:3"}, "a:1").options.value().controllers, ElementsAre("http://c:3"));
    const Options agent = parse({"status", "--agent", "/x"}, "a:1").options.value();
    EXPECT_THAT(agent.controllers, IsEmpty());
    EXPECT_EQ(agent.agent, "/x");
}

TEST(CommandLine, ChoosesTheFormat) {
    EXPECT_EQ(parse({"guests", "-o", "csv"}).options.value().format, Format::csv);
    EXPECT_TRUE(parse({"guests", "-o", "wide"}).options.value().style.wide);
    EXPECT_THAT(mistake({"guests", "-o", "xml"}), HasSubstr("xml"));
    EXPECT_THAT(mistake({"status", "-o", "csv"}), HasSubstr("only lists have rows"));
    EXPECT_THAT(mistake({"guests", "--json", "-o", "yaml"}), HasSubstr("--json contradicts"));
    EXPECT_THAT(mistake({"events", "--follow", "-o", "csv"}), HasSubstr("--follow: expected"));
}

TEST(CommandLine, ChoosesOrderAndTimes) {
    const Options options =
        parse({"agents", "--sort", "LAST SEEN", "--reverse", "--no-headers", "--time", "absolute"}).options.value();
    EXPECT_EQ(options.style.sort, "last-seen");
    EXPECT_TRUE(options.style.reverse);
    EXPECT_FALSE(options.style.headings);
    EXPECT_TRUE(options.style.absolute_times);
    EXPECT_THAT(mistake({"status", "--sort", "host"}), HasSubstr("only for lists"));
}

TEST(CommandLine, ClosesAFaultWithAReason) {
    const Options options = parse({"close", "f-1", "--reason", "rebuilt", "--controller", "unix:/x"}).options.value();
    EXPECT_EQ(options.target, "f-1");
    EXPECT_EQ(options.message, "rebuilt");
    EXPECT_THAT(options.controllers, ElementsAre("unix:/x"));
    EXPECT_THAT(mistake({"close", "f-1"}), HasSubstr("--reason"));
}

TEST(CommandLine, TakesAPeriodOfEvents) {
    const Options options =
        parse({"events", "--since", "2026-11-22T06:04", "--until", "2026-11-22T06:05"}).options.value();
    EXPECT_EQ(options.since.value(), base::from_iso8601("2026-11-22T06:04:00.000000Z"));
    EXPECT_LT(parse({"events", "--since", "2h"}).options.value().since.value(), base::WallTime::clock::now());
    EXPECT_EQ(options.until.value(), base::from_iso8601("2026-11-22T06:05:00.000000Z"));
    EXPECT_FALSE(parse({"events"}).options.value().since);
    EXPECT_THAT(mistake({"events", "--since", "yesterday"}), HasSubstr("expected a time before now"));
    EXPECT_THAT(mistake({"events", "--since", "1h", "--until", "2h"}), HasSubstr("expected a time after --since"));
}

TEST(CommandLine, PrintsNoPassword) {
    EXPECT_THAT(mistake({"status", "--controller", "ftp://op:secret@x"}), testing::Not(HasSubstr("secret")));
}

TEST(CommandLine, SaysWhatIsWrong) {
    EXPECT_THAT(mistake({}), HasSubstr("subcommand"));
    EXPECT_THAT(mistake({"gusts"}), HasSubstr("no such command: 'gusts'"));
    EXPECT_THAT(mistake({"guests", "--state", "sad"}), HasSubstr("--state"));
    EXPECT_THAT(mistake({"status", "--controller", "ftp://x"}), HasSubstr("expected a URL like"));
    EXPECT_THAT(mistake({"status"}, "ftp://x"), HasSubstr("VITALWIRE_CONTROLLER: expected a URL like"));
    EXPECT_THAT(mistake({"status", "--all"}), HasSubstr("--all"));
}

TEST(CommandLine, HelpIsNoMistake) {
    testing::internal::CaptureStdout();
    const Parsed parsed = parse({"guests", "--help"});
    EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("--state"));
    EXPECT_FALSE(parsed.options);
    EXPECT_EQ(parsed.exit_code, kOk);
}

TEST(Options, TakeATokenFromTheFirstLineOfAFile) {
    const test::TempDir directory;
    std::ofstream(directory / "token") << "s3cret \nmore\n";
    const std::string file = directory / "token";
    EXPECT_EQ(parse({"--token-file", file.c_str(), "status"}).options.value().token, "s3cret");
    EXPECT_EQ(parse({"--token-file", "/no/such/file", "status"}).exit_code, kUsage);
    EXPECT_EQ(parse({"--token-file", "/dev/null", "status"}).exit_code, kUsage);
}

}  // namespace
}  // namespace vitalwire::cli
