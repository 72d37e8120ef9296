#include "runtime/logging.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "base/log.hpp"
#include "runtime/metrics.hpp"

namespace vitalwire::runtime {
namespace {

using testing::MatchesRegex;

/// As libvirt has it: more than a small stack can hold. Without it the thread starts where that fails.
thread_local std::array<char, 70'000> g_large_thread_local;

/// A process of its own for each test, as logging starts once. Its standard error is the pipe that `reader` reads.
class Logging : public testing::Test {
protected:
    Logging() { EXPECT_EQ(pipe(pipe_.data()), 0); }
    ~Logging() override { close(pipe_[0]); }

    /// From the beginning there is no room.
    void fill() {
        fcntl(pipe_[1], F_SETFL, O_NONBLOCK);
        while (write(pipe_[1], "\n", 1) == 1) {
        }
        fcntl(pipe_[1], F_SETFL, 0);
    }
    /// Runs `log` in a child, whose status is 0 if it returns true.
    void start(const std::function<bool()>& log) {
        std::fflush(nullptr);  // not a second time by the child
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
        g_large_thread_local.front() = 'x';  // it is there
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

constexpr int kLines = 1000;

/// Several times what the buffer holds. To hang would be to hang without end: the time is generous for a busy machine.
bool log_much() {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kLines; ++i)
        log::warning("fault opened", {{"number", i}, {"reason", std::string(200, 'r')}});
    return std::chrono::steady_clock::now() - begin < std::chrono::seconds(30);
}

TEST_F(Logging, NeverWaitsForAReaderThatHangsAndEndsAllTheSame) {
    fill();
    start([] {
        start_logging(log::Level::info, kGuestLogBuffer);
        if (!log_much()) return false;
        const Metrics metrics;
        const std::string counted = "vitalwire_log_lines_dropped_total " + std::to_string(dropped_log_lines());
        return dropped_log_lines() > kLines / 2 && metrics.text().find(counted) != std::string::npos;
    });
    EXPECT_EQ(wait(), 0);  // nobody has read a byte
}

TEST_F(Logging, KeepsTheNewestLinesAndWritesOnceHowManyItDropped) {
    fill();
    std::array<int, 2> logged{};
    ASSERT_EQ(pipe(logged.data()), 0);
    start([&] {
        start_logging(log::Level::info, kGuestLogBuffer);
        const bool quick = log_much();
        const bool told = write(logged[1], "", 1) == 1;
        for (int second = 0; second < 30; ++second)
            flush_log();  // at once, once the reader has all
        return quick && told;
    });
    char done = 0;
    ASSERT_EQ(read(logged[0], &done, 1), 1);  // only now the reader comes back
    const std::string text = read_all();
    const auto has = [&](const std::string& part) { return text.find(part) != std::string::npos; };
    EXPECT_TRUE(has("number=" + std::to_string(kLines - 1) + ' '));
    EXPECT_FALSE(has("number=" + std::to_string(kLines / 2) + ' '));
    const std::string notice = "log lines dropped, standard error was not read in time lines=";
    const std::size_t at = text.find(notice);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(text.find(notice, at + 1), std::string::npos);
    EXPECT_EQ(wait(), 0);
}

}  // namespace
}  // namespace vitalwire::runtime
