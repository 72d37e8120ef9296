#include "runtime/logging.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "base/log.hpp"
#include "runtime/metrics.hpp"

namespace vitalwire::runtime {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

/// A process of its own for each test, as logging starts once. Its standard error is the pipe that `reader` reads.
class Logging : public testing::Test {
protected:
    Logging() { EXPECT_EQ(pipe(pipe_.data()), 0); }
    ~Logging() override { close(pipe_[0]); }

    /// True if `log` in a child returns true and the child then ends by itself.
    void start(const std::function<bool()>& log) {
        child_ = fork();
        if (child_ == 0) {
            dup2(pipe_[1], STDERR_FILENO);
            close(pipe_[0]);
            std::exit(log() ? 0 : 1);
        }
        close(pipe_[1]);
    }
    std::string read_all() {
        std::string text;
        std::array<char, 4096> chunk{};
        for (ssize_t size = 0; (size = read(pipe_[0], chunk.data(), chunk.size())) > 0;)
            text.append(chunk.data(), static_cast<std::size_t>(size));
        return text;
    }
    int wait() const {
        int status = -1;
        waitpid(child_, &status, 0);
        return status;
    }

private:
    std::array<int, 2> pipe_{};
    pid_t child_ = -1;
};

TEST_F(Logging, WritesTimeAndLevelOutsideTheJournal) {
    start([] {
        start_logging(log::Level::info, kHostLogBuffer);
        log::warning("a {} thing", {{"guest", "g1"}});
        log::debug("unseen");
        return true;
    });
    EXPECT_THAT(read_all(),
                MatchesRegex("[0-9]+-[0-9]+-[0-9]+ [0-9:]+[.][0-9][0-9][0-9] warning a \\{\\} thing guest=g1\n"));
    EXPECT_EQ(wait(), 0);
}

TEST_F(Logging, WritesThePriorityThatTheJournalReads) {
    start([] {
        struct stat status {};
        fstat(STDERR_FILENO, &status);
        const std::string stream = std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
        setenv("JOURNAL_STREAM", stream.c_str(), 1);
        start_logging(log::Level::debug, kHostLogBuffer);
        log::error("down");
        log::debug("detail");
        return true;
    });
    EXPECT_EQ(read_all(), "<3>down\n<7>detail\n");
    EXPECT_EQ(wait(), 0);
}

bool log_much(int lines) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < lines; ++i)
        log::warning("fault opened", {{"number", i}, {"reason", std::string(200, 'r')}});
    return std::chrono::steady_clock::now() - begin < std::chrono::seconds(2);
}

TEST_F(Logging, NeverWaitsForAReaderThatHangsAndEndsAllTheSame) {
    start([] {
        start_logging(log::Level::info, kGuestLogBuffer);
        if (!log_much(10000)) return false;
        const Metrics metrics;
        const std::string text = metrics.text();
        return dropped_log_lines() > 9000 && text.find("vitalwire_log_lines_dropped_total " +
                                                       std::to_string(dropped_log_lines())) != std::string::npos;
    });
    EXPECT_EQ(wait(), 0);  // nobody has read a byte
}

TEST_F(Logging, KeepsTheNewestLinesAndWritesOnceHowManyItDropped) {
    start([] {
        start_logging(log::Level::info, kGuestLogBuffer);
        const bool quick = log_much(10000);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));  // the reader comes back meanwhile
        flush_log();
        return quick;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const std::string text = read_all();
    EXPECT_THAT(text, HasSubstr("number=0 "));
    EXPECT_THAT(text, HasSubstr("number=9999 "));
    EXPECT_THAT(text, Not(HasSubstr("number=5000 ")));
    const std::size_t notice = text.find("log lines dropped, standard error was not read in time lines=");
    ASSERT_NE(notice, std::string::npos);
    EXPECT_EQ(text.find("log lines dropped", notice + 1), std::string::npos);
    EXPECT_EQ(wait(), 0);
}

}  // namespace
}  // namespace vitalwire::runtime
