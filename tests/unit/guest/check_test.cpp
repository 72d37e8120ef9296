#include "guest/check.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>

#include <sstream>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::StartsWith;

/// A dead process that nobody has reaped yet does not run.
bool runs(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto state = text.rfind(") ");
    return state != std::string::npos && text[state + 2] != 'Z';
}

/// Checks that are real processes.
class CheckTest : public LoopTest {
protected:
    CheckTest() { log::set_level(log::Level::error); }
    ~CheckTest() override { log::set_level(log::Level::info); }

    CheckSettings check(const std::string& command) {
        return {"c", command, milliseconds(100), milliseconds(10'000), milliseconds(0)};
    }
    void run(const std::string& command) { checks_.configure({check(command)}); }
    void await_reason(const std::string& reason) {
        try {
            await("the reason", [&] { return board_.overall().reason == reason; });
        } catch (const std::runtime_error&) {
            FAIL() << "the reason is '" << board_.overall().reason << "', not '" << reason << "'";
        }
    }
    std::string read(const std::string& name) {
        std::ifstream file(dir_ / name);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    std::string in_dir(const std::string& name) { return "'" + (dir_ / name) + "'"; }

    Judge judge_{io_};
    Children children_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
    Checks checks_{judge_, children_, board_};
};

TEST_F(CheckTest, ExitZeroIsHealthyWhateverItPrints) {
    run("echo fine >> " + in_dir("ran"));
    await("it ran twice", [&] { return read("ran") == "fine\nfine\n"; });
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(CheckTest, ExitOneIsUnhealthyWithTheFirstLineAsReason) {
    run("echo 'disk /var is \"full\"'; echo more; exit 1");
    await_reason("check c: disk /var is \"full\"");
}

TEST_F(CheckTest, ExitOneWithoutWordsIsUnhealthyAllTheSame) {
    run("exit 1");
    await_reason("check c");
}

TEST_F(CheckTest, AnotherExitCodeIsUnhealthyAndSaysSo) {
    run("exit 3");
    await_reason("check c: exit status 3 (expected 0 or 1)");
}

TEST_F(CheckTest, ACommandThatDoesNotExistIsNamed) {
    run("/no/such/command");
    await("it ran", [&] { return !board_.overall().healthy; });
    EXPECT_THAT(board_.overall().reason, StartsWith("check c: exit status 127 (expected 0 or 1): "));
}

TEST_F(CheckTest, ACrashIsUnhealthyAndNamesTheSignal) {
    run("kill -SEGV $$");
    await_reason("check c: killed by signal SIGSEGV");
}

TEST_F(CheckTest, RecoversWithTheNextRun) {
    dir_.write("bad", "");
    run("test ! -e " + in_dir("bad"));
    await_reason("check c");
    std::filesystem::remove(dir_ / "bad");
    await_reason("");
}

TEST_F(CheckTest, AHangIsUnhealthyAndItsWholeGroupIsKilled) {
    auto hang = check("sleep 1000 & echo $! > " + in_dir("pid") + "; wait");
    hang.timeout = milliseconds(300);
    hang.interval = hours(1);
    checks_.configure({hang});
    await_reason("check c: did not finish within 300 ms");
    const pid_t sleeper = std::stoi(read("pid"));
    await("its child is gone", [&] { return !runs(sleeper); });
}

TEST_F(CheckTest, NeverRunsTwiceAtOnce) {
    run("mkdir " + in_dir("lock") + " || echo overlap >> " + in_dir("overlaps") + "; sleep 0.25; rmdir " +
        in_dir("lock") + "; echo x >> " + in_dir("ran"));
    await("it ran three times", [&] { return read("ran") == "x\nx\nx\n"; });
    EXPECT_EQ(read("overlaps"), "");
}

TEST_F(CheckTest, WhatACheckLeavesRunningIsKilledWhenItEnds) {
    auto daemon = check("sleep 1000 > /dev/null & echo $! > " + in_dir("pid"));
    daemon.interval = hours(1);
    checks_.configure({daemon});
    await("it ran", [&] { return !read("pid").empty(); });
    await("what it left is gone", [&] { return !runs(std::stoi(read("pid"))); });
}

TEST_F(CheckTest, ACheckThatPrintsWithoutEndCostsNoMemoryAndNoTime) {
    run("i=0; while [ $i -lt 20000 ]; do echo this line is thirty bytes lon; i=$((i+1)); done; exit 1");
    await_reason("check c: this line is thirty bytes lon");
}

TEST_F(CheckTest, CutsALineWithoutEnd) {
    run("head -c 300000 /dev/zero | tr '\\0' y; exit 1");
    await("it ran", [&] { return !board_.overall().healthy; });
    EXPECT_EQ(board_.overall().reason.size(), wire::kMaxReason);
}

TEST_F(CheckTest, AFailureDoesNotCountDuringTheGrace) {
    auto graceful = check("echo x >> " + in_dir("ran") + "; exit 1");
    graceful.grace = milliseconds(600'000);
    checks_.configure({graceful});
    await("it ran twice", [&] { return read("ran") == "x\nx\n"; });
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(CheckTest, ARemovedCheckIsKilledAndForgotten) {
    auto hang = check("echo $$ > " + in_dir("pid") + "; exec sleep 1000");
    auto bad = check("exit 1");
    bad.name = "b";
    checks_.configure({hang, bad});
    await("both ran", [&] { return !read("pid").empty() && !board_.overall().healthy; });
    checks_.configure({});
    EXPECT_TRUE(board_.overall().healthy);
    await("it is gone", [&] { return !runs(std::stoi(read("pid"))); });
}

TEST_F(CheckTest, AnEditIsNoCure) {
    std::vector<bool> healthy;
    HealthBoard board([&](const heartbeat::Health& overall) { healthy.push_back(overall.healthy); });
    Checks checks(judge_, children_, board);
    auto bad = check("sleep 0.2; echo down; exit 1");
    checks.configure({bad});
    await("it is unhealthy", [&] { return !board.overall().healthy; });
    bad.interval = milliseconds(200);
    bad.grace = milliseconds(300);
    checks.configure({bad});
    EXPECT_EQ(board.overall().reason, "check c: down");
    bad.command = "sleep 0.2";
    checks.configure({bad});
    EXPECT_EQ(board.overall().reason, "check c: down") << "its new self has not said anything yet";
    await("it is healthy by its own word", [&] { return board.overall().healthy; });
    EXPECT_EQ(healthy, (std::vector<bool>{false, true}));
}

TEST_F(CheckTest, AnUnchangedCheckGoesOnUndisturbed) {
    auto slow = check("echo $$ >> " + in_dir("pids") + "; exec sleep 1000");
    auto bad = check("exit 1");
    bad.name = "b";
    checks_.configure({slow});
    await("it runs", [&] { return !read("pids").empty(); });
    checks_.configure({bad, slow});
    await_reason("check b");
    const std::string pid = read("pids");
    EXPECT_TRUE(runs(std::stoi(pid)));
    EXPECT_EQ(pid.find('\n'), pid.size() - 1);
}

TEST_F(CheckTest, InheritsNothingOfTheDaemon) {
    const int devnull = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int inheritable = ::fcntl(devnull, F_DUPFD, 50);
    ::setenv("NOTIFY_SOCKET", "/run/x", 1);
    run("test ! -e /proc/$$/fd/" + std::to_string(inheritable) + " && test -z \"$NOTIFY_SOCKET\" && echo > " +
        in_dir("ran"));
    await("it ran", [&] { return read("ran") == "\n" || !board_.overall().healthy; });
    ::unsetenv("NOTIFY_SOCKET");
    ::close(inheritable);
    ::close(devnull);
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(CheckTest, StartsInItsOwnProcessGroup) {
    auto group = check("echo $$ $(cut -d' ' -f5 /proc/$$/stat) > " + in_dir("g") + ".new; mv " + in_dir("g") + ".new " +
                       in_dir("g"));
    checks_.configure({group});
    await("it ran", [&] { return !read("g").empty(); });
    std::istringstream ids(read("g"));
    pid_t process = 0;
    pid_t process_group = 0;
    ids >> process >> process_group;
    EXPECT_EQ(process, process_group);
    EXPECT_NE(process_group, ::getpgrp());
}

}  // namespace
}  // namespace vitalwire::guest::test
