#include "runtime/daemon.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>

namespace vitalwire::runtime {
namespace {

namespace asio = boost::asio;

TEST(DaemonLoop, EndsWhenTheStopIsFinished) {
    Daemon daemon;
    bool stopped = false;
    daemon.on_stop([&](std::function<void()> finished) {
        stopped = true;
        asio::post(daemon.io(), finished);
    });
    asio::post(daemon.io(), [] { kill(getpid(), SIGTERM); });
    daemon.run();
    EXPECT_TRUE(stopped);
}

TEST(DaemonLoop, EndsAtOnceWhenNobodyAsksForAnOrderlyStop) {
    Daemon daemon;
    asio::post(daemon.io(), [] { kill(getpid(), SIGINT); });
    daemon.run();
}

TEST(DaemonLoop, EndsAtTheSecondSignalWhenTheStopHangs) {
    Daemon daemon;
    daemon.on_stop([](const std::function<void()>&) { kill(getpid(), SIGTERM); });
    asio::post(daemon.io(), [] { kill(getpid(), SIGTERM); });
    daemon.run();
}

TEST(DaemonLoop, ReloadsAtSighupAndKeepsRunning) {
    Daemon daemon;
    int reloads = 0;
    daemon.on_reload([&] { kill(getpid(), ++reloads == 2 ? SIGTERM : SIGHUP); });
    asio::post(daemon.io(), [] { kill(getpid(), SIGHUP); });
    daemon.run();
    EXPECT_EQ(reloads, 2);
}

TEST(DaemonLoop, EndsAlthoughItWasStartedWithSignalsBlockedOrIgnored) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    std::signal(SIGCHLD, SIG_IGN);
    Daemon daemon;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, nullptr, &now);
    EXPECT_EQ(sigismember(&now, SIGCHLD), 0);
    EXPECT_EQ(std::signal(SIGCHLD, SIG_DFL), SIG_DFL);
    asio::post(daemon.io(), [] { kill(getpid(), SIGTERM); });
    daemon.run();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(DaemonLoop, SurvivesAPeerThatCloses) {
    Daemon daemon;
    EXPECT_EQ(raise(SIGPIPE), 0);
}

TEST(FileLimit, IsRaisedToTheHardOne) {
    raise_file_limit();
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace vitalwire::runtime
