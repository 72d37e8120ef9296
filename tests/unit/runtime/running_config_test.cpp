#include "runtime/running_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "runtime/secret.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace vitalwire::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Settings {
    std::string level;
    std::string token;
};

Settings read_settings(const ConfigFile& file, ConfigErrors& errors) {
    ConfigReader section(file, "http", errors);
    Settings settings{section.text("level", "info"), read_secret(section, "token")};
    section.finish();
    return settings;
}

/// A daemon with one token, whose file is looked at every 10 ms.
class RunningConfigTest : public testing::Test {
protected:
    RunningConfigTest() {
        write("token", "first");
        configure("info");
        std::array<const char*, 3> argv{"daemon", "--config", path_.c_str()};
        if (command_.parse(3, const_cast<char**>(argv.data()))) throw std::runtime_error("command line");
        auto loaded = command_.load(read_settings);
        if (!loaded) throw std::runtime_error("configuration");
        running_.emplace(command_, read_settings, std::move(*loaded));
        running_->run(
            io_,
            {[this](const Settings& settings) { in_force_ = settings; },
             [this](const auto&, const auto&) { return applies_; }, [this](const std::string& why) { problem_ = why; }},
            base::Millis(10));
    }
    void write(const std::string& name, const std::string& text) { std::ofstream(dir_ / name) << text << '\n'; }
    /// As a file is replaced by who does it well.
    void replace(const std::string& text) {
        write("token.new", text);
        std::filesystem::rename(dir_ / "token.new", dir_ / "token");
    }
    void configure(const std::string& level) {
        write("conf", "[http]\nlevel = " + level + "\ntoken_file = " + (dir_ / "token"));
    }
    template <class Condition>
    bool until(Condition condition) {
        const auto deadline = base::Clock::now() + std::chrono::seconds(20);
        while (!condition() && base::Clock::now() < deadline)
            io_.run_one_for(base::Millis(20));
        return condition();
    }

    test::TempDir dir_;
    std::string path_ = dir_ / "conf";
    CommandLine command_{{"daemon", "tests", "1", "/nowhere"}};
    boost::asio::io_context io_;
    std::optional<RunningConfig<Settings>> running_;
    Settings in_force_{"info", "first"};
    bool applies_ = true;
    std::string problem_;
};

TEST_F(RunningConfigTest, ANewSecretIsInForceByItself) {
    replace("second");
    EXPECT_TRUE(until([&] { return in_force_.token == "second"; }));
    EXPECT_THAT(running_->reload().applied, IsEmpty()) << "it has been named already";
}

TEST_F(RunningConfigTest, AConfigurationThatIsBeingEditedIsNotReadForIt) {
    configure("debug");
    replace("second");
    ASSERT_TRUE(until([&] { return in_force_.token == "second"; }));
    EXPECT_EQ(in_force_.level, "info");
    EXPECT_THAT(running_->reload().applied, ElementsAre("[http] level: info -> debug"));
}

TEST_F(RunningConfigTest, AReloadNamesAFileWithAnotherContent) {
    replace("second");
    EXPECT_THAT(running_->reload().applied,
                ElementsAre("[http] token_file: the content of " + (dir_ / "token") + " has changed"));
    EXPECT_EQ(in_force_.token, "second");
}

TEST_F(RunningConfigTest, AFileThatCannotBeUsedIsAProblemUntilItCan) {
    std::filesystem::remove(dir_ / "token");
    ASSERT_TRUE(until([&] { return !problem_.empty(); }));
    EXPECT_THAT(problem_, HasSubstr("[http] token_file: expected a readable file"));
    EXPECT_EQ(in_force_.token, "first");
    write("token", "second");
    EXPECT_TRUE(until([&] { return problem_.empty() && in_force_.token == "second"; }));
}

TEST_F(RunningConfigTest, ANewSecretThatNeedsARestartIsAProblem) {
    applies_ = false;
    replace("second");
    ASSERT_TRUE(until([&] { return !problem_.empty(); }));
    EXPECT_THAT(problem_, HasSubstr("[http] token_file: the content of "));
    replace("first");
    EXPECT_TRUE(until([&] { return problem_.empty(); }));
}

}  // namespace
}  // namespace vitalwire::runtime
