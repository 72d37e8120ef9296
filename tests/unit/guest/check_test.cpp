#include "guest/check.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <sstream>

#include "guest/socket_probe.hpp"
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

    MonitorClock clock_{io_};
    Children children_{io_};
    HealthBoard board_{[](const heartbeat::Health&) {}};
    Checks checks_{clock_, children_, board_};
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

TEST_F(CheckTest, OneThatCannotBeKilledFailsAgainEachIntervalUntilItEnds) {
    dir_.write("hangs", "");
    // Its group is killed: one that has left it is not, as one that hangs in the kernel is not.
    auto stuck = check(
        "exec python3 -c '\nimport os, time\nchild = os.fork()\nif child == 0: os.setpgid(0, 0); "
        "time.sleep(1000)\nwhile os.getpgid(child) != child: time.sleep(0.01)\nos.setpgid(0, child)\n"
        "open(\"" +
        (dir_ / "pid") +
        "\", \"a\").write(str(os.getpid()) + \"\\n\")\n"
        "while os.path.exists(\"" +
        (dir_ / "hangs") + "\"): time.sleep(0.01)\nos.kill(child, 9)'");
    stuck.timeout = milliseconds(1000);
    stuck.failures = 3;
    checks_.configure({stuck});
    await_reason("check c: did not finish within 1000 ms, and does not end when it is killed");
    const std::string pid = read("pid");
    EXPECT_EQ(pid.find('\n'), pid.size() - 1) << "it runs twice at once";
    std::filesystem::remove(dir_ / "hangs");
    await_reason("");
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

/// A server on this machine that answers each connection with `answer`, or closes it.
class Server {
public:
    explicit Server(boost::asio::io_context& io, std::string answer)
        : acceptor_(io, {{}, 0}), answer_(std::move(answer)) {
        accept();
    }
    std::string address() const { return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
    void close() { acceptor_.close(); }
    const std::string& request() const { return request_; }
    void set_answer(std::string answer) { answer_ = std::move(answer); }

private:
    void accept() {
        acceptor_.async_accept([this](boost::system::error_code error, boost::asio::ip::tcp::socket socket) {
            if (error) return;
            char buffer[1024];
            const std::size_t size = answer_.empty() ? 0 : socket.read_some(boost::asio::buffer(buffer));
            request_.assign(buffer, size);
            boost::asio::write(socket, boost::asio::buffer(answer_));
            accept();
        });
    }

    boost::asio::ip::tcp::acceptor acceptor_;
    std::string answer_;
    std::string request_;
};

TEST_F(CheckTest, AnHttpCheckTellsStatusesApart) {
    Server server(io_, "HTTP/1.1 204 No Content\r\n\r\n");
    auto web = check("http://" + server.address() + "/healthz?deep=1");
    web.type = CheckType::http;
    checks_.configure({web});
    await("it was asked", [&] { return !server.request().empty(); });
    EXPECT_THAT(server.request(), StartsWith("GET /healthz?deep=1 HTTP/1.1\r\nHost: " + server.address() + "\r\n"));
    await("it is healthy", [&] { return checks_.all().front()->state() == "healthy"; });
    server.set_answer("HTTP/1.0 503 Service Unavailable\r\n\r\nbusy");
    await_reason("check c: " + web.target + ": HTTP/1.0 503 Service Unavailable");
    server.set_answer("SSH-2.0-OpenSSH\r\n");
    await_reason("check c: " + web.target + ": no HTTP status in the answer");
    server.set_answer("HTTP/1.1 301 Moved Permanently\r\n\r\n");
    await_reason("");
    server.close();
    await_reason("check c: cannot connect to " + web.target + ": Connection refused");
}

TEST_F(CheckTest, AnHttpCheckReadsOverInterimAnswers) {
    const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: <" + std::string(2000, 'a') + ">\r\n\r\n";
    Server server(io_, hints + "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Service Unavailable\r\n\r\n");
    auto web = check("http://" + server.address());
    web.type = CheckType::http;
    checks_.configure({web});
    await_reason("check c: " + web.target + ": HTTP/1.1 503 Service Unavailable");
    server.set_answer(hints + "HTTP/1.1 200 OK\r\n\r\n");
    await_reason("");
    server.set_answer(hints);
    await_reason("check c: " + web.target + ": no HTTP status in the answer");
    server.set_answer("HTTP/1.1 200\r\n\r\n");
    await_reason("");
    server.set_answer("HTTP/1.1 2000 OK\r\n\r\n");
    await_reason("check c: " + web.target + ": no HTTP status in the answer");
}

TEST_F(CheckTest, ATcpCheckConnects) {
    Server server(io_, "");
    auto port = check(server.address());
    port.type = CheckType::tcp;
    checks_.configure({port});
    await("it is healthy", [&] { return checks_.all().front()->state() == "healthy"; });
    server.close();
    await_reason("check c: cannot connect to " + port.target + ": Connection refused");
}

TEST(SelfConnection, IsKnown) {
    using boost::asio::ip::tcp;
    boost::asio::io_context io;
    tcp::socket itself(io, {boost::asio::ip::address_v4::loopback(), 0});
    itself.connect(itself.local_endpoint());
    EXPECT_TRUE(is_connected_to_itself(itself.native_handle()));

    tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
    tcp::socket client(io);
    client.connect(acceptor.local_endpoint());
    EXPECT_FALSE(is_connected_to_itself(client.native_handle()));
}

TEST_F(CheckTest, ACheckOfLocalhostFindsAServiceAtEitherLoopbackAddress) {
    using boost::asio::ip::tcp;
    tcp::acceptor acceptor(io_, {boost::asio::ip::make_address("::1"), 0});
    const auto port = std::to_string(acceptor.local_endpoint().port());
    auto local = check("localhost:" + port);
    local.type = CheckType::tcp;
    checks_.configure({local});
    await("it is healthy", [&] { return checks_.all().front()->state() == "healthy"; });
    acceptor.close();
    await_reason("check c: cannot connect to localhost:" + port + ": Connection refused");
}

TEST_F(CheckTest, AUnixCheckConnects) {
    auto daemon = check(dir_ / "socket");
    daemon.type = CheckType::unix_socket;
    checks_.configure({daemon});
    await_reason("check c: cannot connect to " + daemon.target + ": No such file or directory");
    boost::asio::local::stream_protocol::acceptor acceptor(io_, {daemon.target});
    await_reason("");
}

TEST_F(CheckTest, AUnixCheckWaitsForRoomInTheQueueOfConnectionsAsLongAsItMay) {
    auto daemon = check(dir_ / "socket");
    daemon.type = CheckType::unix_socket;
    daemon.timeout = milliseconds(300);
    boost::asio::local::stream_protocol::acceptor acceptor(io_, {daemon.target});
    acceptor.listen(0);
    boost::asio::local::stream_protocol::socket first(io_);
    first.connect({daemon.target});
    checks_.configure({daemon});
    await_reason("check c: did not finish within 300 ms: " + daemon.target +
                 " takes no connections, its queue is full");
    daemon.timeout = milliseconds(10'000);
    daemon.interval = hours(1);
    checks_.configure({daemon});
    await("it is started", [&, turns = 0]() mutable { return ++turns > 20; });
    acceptor.accept();
    await_reason("");
}

TEST_F(CheckTest, AServerThatNeverAnswersRunsIntoTheTimeout) {
    boost::asio::ip::tcp::acceptor silent(io_, {boost::asio::ip::address_v4::loopback(), 0});
    auto web = check("http://127.0.0.1:" + std::to_string(silent.local_endpoint().port()));
    web.type = CheckType::http;
    web.timeout = milliseconds(200);
    checks_.configure({web});
    await_reason("check c: did not finish within 200 ms");
}

TEST_F(CheckTest, SoManyInARowCount) {
    auto flaky = check("echo x >> " + in_dir("ran") + "; exit 1");
    flaky.failures = 3;
    checks_.configure({flaky});
    await("it failed twice", [&] { return read("ran").size() >= 4; });
    EXPECT_TRUE(board_.overall().healthy || read("ran").size() >= 6);
    await_reason("check c");
    EXPECT_GE(read("ran").size(), 6U);
}

TEST_F(CheckTest, AReadinessCheckIsAWarning) {
    auto ready = check("test -e " + in_dir("ready") + " || { echo loading; exit 1; }");
    ready.role = CheckRole::readiness;
    checks_.configure({ready});
    await_reason("warning: check c not ready: loading");
    EXPECT_TRUE(board_.overall().healthy);
    dir_.write("ready", "");
    await_reason("");
}

TEST_F(CheckTest, NothingElseRunsBeforeAStartupCheckHasSucceeded) {
    auto startup =
        check("test -e " + in_dir("started") + " || { echo starting; exit 1; }; echo x >> " + in_dir("again"));
    startup.name = "s";
    startup.role = CheckRole::startup;
    auto live = check("test -e " + in_dir("started") + " || echo early >> " + in_dir("early") + "; echo x >> " +
                      in_dir("live"));
    checks_.configure({startup, live});
    await_reason("check s: starting");
    dir_.write("started", "");
    await("the other runs", [&] { return read("live").size() > 2; });
    EXPECT_EQ(read("early"), "");
    EXPECT_EQ(read("again"), "x\n") << "it has done its work";
    EXPECT_TRUE(board_.overall().healthy);
}

TEST_F(CheckTest, AStartupCheckThatIsEditedHoldsNoneThatHasRun) {
    auto startup = check("true");
    startup.name = "s";
    startup.role = CheckRole::startup;
    auto live = check("test ! -e " + in_dir("bad") + " || { echo bad; exit 1; }");
    auto edited = check("echo x >> " + in_dir("edited"));
    edited.name = "e";
    checks_.configure({startup, live, edited});
    await("they run", [&] { return checks_.all()[1]->state() == "healthy" && !read("edited").empty(); });
    startup.target = "exit 1";
    startup.failures = 1000;
    edited.target = "echo y >> " + in_dir("edited");
    auto added = check("echo x >> " + in_dir("added"));
    added.name = "a";
    checks_.configure({startup, live, edited, added});
    dir_.write("bad", "");
    await_reason("check c: bad");
    await("the edited one runs", [&] { return read("edited").ends_with("y\ny\n"); });
    EXPECT_EQ(read("added"), "") << "it has never run: it waits";
}

TEST_F(CheckTest, RunsAsItsUserWithNothingOfTheDaemon) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms::all);
    std::ofstream("/proc/self/oom_score_adj") << -900;
    const mode_t before = ::umask(0077);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    auto as_nobody =
        check("(id -un; umask; cat /proc/self/oom_score_adj; ulimit -c; grep SigBlk /proc/self/status) > " +
              in_dir("new") + "; mv " + in_dir("new") + " " + in_dir("out"));
    as_nobody.user = "nobody";
    checks_.configure({as_nobody});
    await("it ran", [&] { return !read("out").empty() || !board_.overall().healthy; });
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    ::umask(before);
    std::ofstream("/proc/self/oom_score_adj") << 0;
    EXPECT_EQ(read("out"), "nobody\n0022\n0\n0\nSigBlk:\t0000000000000000\n") << board_.overall().reason;
}

TEST_F(CheckTest, HasTheEnvironmentOfItsUser) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    std::filesystem::permissions(dir_ / ".", std::filesystem::perms::all);
    ::setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
    auto as_nobody = check("echo $HOME $USER $LOGNAME $SHELL ${XDG_RUNTIME_DIR:-none} > " + in_dir("new") + "; mv " +
                           in_dir("new") + " " + in_dir("out"));
    as_nobody.user = "nobody";
    checks_.configure({as_nobody});
    await("it ran", [&] { return !read("out").empty() || !board_.overall().healthy; });
    ::unsetenv("XDG_RUNTIME_DIR");
    EXPECT_EQ(read("out"), "/nonexistent nobody nobody /usr/sbin/nologin none\n") << board_.overall().reason;
}

TEST_F(CheckTest, WhatItStartsIsLimitedNoMoreThanTheDaemon) {
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    const std::string hard = core.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(core.rlim_max / 512);
    checks_.configure({check("(ulimit -St; ulimit -Ht; ulimit -Sc; ulimit -Hc) > " + in_dir("new") + "; mv " +
                             in_dir("new") + " " + in_dir("out"))});
    await("it ran", [&] { return !read("out").empty(); });
    EXPECT_EQ(read("out"), "unlimited\nunlimited\n0\n" + hard + "\n");
}

TEST_F(CheckTest, AUserThatDoesNotExistIsNamed) {
    auto as_nobody = check("true");
    as_nobody.user = "no-such-user";
    checks_.configure({as_nobody});
    await_reason("check c: there is no local user 'no-such-user'");
}

TEST_F(CheckTest, AnEditIsNoCure) {
    std::vector<bool> healthy;
    HealthBoard board([&](const heartbeat::Health& overall) { healthy.push_back(overall.healthy); });
    Checks checks(clock_, children_, board);
    auto bad = check("sleep 0.2; echo down; exit 1");
    checks.configure({bad});
    await("it is unhealthy", [&] { return !board.overall().healthy; });
    bad.interval = milliseconds(200);
    bad.grace = milliseconds(300);
    checks.configure({bad});
    EXPECT_EQ(board.overall().reason, "check c: down");
    bad.target = "sleep 0.2";
    checks.configure({bad});
    EXPECT_EQ(board.overall().reason, "check c: down") << "its new self has not said anything yet";
    await("it is healthy by its own word", [&] { return board.overall().healthy; });
    EXPECT_EQ(healthy, (std::vector<bool>{false, true}));
}

TEST_F(CheckTest, AnEditedCheckHasFailedUntilItHasAnotherResult) {
    auto bad = check("echo down; exit 1");
    checks_.configure({bad});
    await_reason("check c: down");
    bad.target = "sleep 1000";
    for (int i = 0; i < 2; ++i) {
        bad.interval += milliseconds(100);
        checks_.configure({bad});
        EXPECT_EQ(checks_.all()[0]->state(), "unhealthy");
        std::vector<Kept> kept;
        checks_.keep(kept);
        ASSERT_EQ(kept.size(), 1U) << "a restart would end the fault";
        EXPECT_EQ(kept[0].health, (heartbeat::Health{false, "down"}));
    }
    bad.target = "exit 0";
    checks_.configure({bad});
    await_reason("");
    EXPECT_EQ(checks_.all()[0]->state(), "healthy");
}

TEST_F(CheckTest, AnEditOfItsRoleMovesWhatItSaysFromHealthToAWarningAndBack) {
    auto bad = check("echo slow; exit 1");
    for (int i = 0; i < 2; ++i) {
        bad.role = CheckRole::liveness;
        checks_.configure({bad});
        await_reason("check c: slow");
        bad.role = CheckRole::readiness;
        checks_.configure({bad});
        await_reason("warning: check c not ready: slow");
        EXPECT_TRUE(board_.overall().healthy);
    }
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
