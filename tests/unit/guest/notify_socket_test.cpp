// Services that notify as sd_notify(3) does: what is read late, by whom it was sent.
#include "guest/notify_socket.hpp"

#include <gmock/gmock.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "guest/process_watch.hpp"
#include "guest_fixture.hpp"
#include "raw_application.hpp"

namespace vitalwire::guest::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class NotifySocketTest : public GuestTest {
protected:
    NotifySocketTest() {
        settings_.applications.notify_socket = dir_ / "notify";
        start_registered();
    }

    void notify(const std::string& message) const {
        const int socket = connect_to(dir_ / "notify", SOCK_DGRAM);
        ::send(socket, message.data(), message.size(), MSG_NOSIGNAL);
        ::close(socket);
    }
    /// A process that does `work` and ends; this one reads nothing until it is gone.
    template <class Work>
    static pid_t run_to_its_end(Work work) {
        const pid_t child = start(std::move(work));
        ::waitpid(child, nullptr, 0);
        return child;
    }
    template <class Work>
    static pid_t start(Work work) {
        const pid_t child = ::fork();
        if (child != 0) return child;
        work();
        ::_exit(1);
    }
    std::vector<std::string> items() {
        RawApplication asks(dir_ / "apps");
        asks.send(app::StatusRequest{});
        std::optional<app::Event> event;
        await("the list comes", [&] { return (event = asks.next()).has_value(); });
        std::vector<std::string> lines;
        for (const app::Item& item : std::get<app::Status>(*event).items)
            lines.push_back(item.name + " " + item.state + " " + item.reason);
        return lines;
    }
    bool listed(const std::string& name) {
        const auto lines = items();
        return std::any_of(lines.begin(), lines.end(), [&](const auto& each) { return each.starts_with(name + " "); });
    }
};

TEST_F(NotifySocketTest, AProcessThatIsGoneBeforeItIsWatchedIsToldToTheHost) {
    const pid_t gone = run_to_its_end([&] { notify("READY=1\nWATCHDOG=1"); });
    const std::string name = "pid-" + std::to_string(gone);
    await("the host is told", [&] {
        return challenge().reason == "warning: service " + name + " ended before it was known which service it was";
    });
    EXPECT_THAT(items(), ElementsAre(name + " ended before it was known which service it was"));
}

TEST_F(NotifySocketTest, TwoThatAreGoneBeforeTheyAreWatchedAreTwo) {
    for (int i = 0; i < 2; ++i)
        run_to_its_end([&] { notify("READY=1"); });
    await("both are missed", [&] { return items().size() == 2; });
}

TEST_F(NotifySocketTest, ThoseThatNobodyKnowsTakeNoFaultsPlace) {
    const pid_t service = start([&] {
        notify("READY=1");
        ::pause();
    });
    await("it is watched", [&] { return !items().empty(); });
    ::kill(service, SIGKILL);
    ::waitpid(service, nullptr, 0);
    await("it is missed", [&] { return !challenge().healthy; });
    const std::string fault = items().at(0);
    for (std::size_t i = 0; i < settings_.applications.max_per_user; ++i) {
        const pid_t gone = run_to_its_end([&] { notify("READY=1"); });
        await("it is listed", [&] { return listed("pid-" + std::to_string(gone)); });
    }
    EXPECT_EQ(items().at(0), fault);
    EXPECT_FALSE(challenge().healthy);
}

TEST_F(NotifySocketTest, AServiceWhoseMainThreadHasEndedIsWatchedToTheEndOfTheLastOne) {
    const pid_t service = start([&] {
        std::thread([&] {
            std::string stat;
            while (stat.find(") Z ") == std::string::npos)
                std::getline(std::ifstream("/proc/self/stat"), stat);
            for (;; ::usleep(10'000))
                notify("READY=1");
        }).detach();
        ::syscall(SYS_exit, 0);
    });
    await("it is watched", [&] { return !items().empty(); });
    EXPECT_NE(ProcessWatch::start_time_of(service), "") << "it has not ended";
    ::kill(service, SIGKILL);
    await("it has ended", [&] { return ProcessWatch::start_time_of(service).empty(); });
    ::waitpid(service, nullptr, 0);
    await("it is missed", [&] { return !challenge().healthy; });
    EXPECT_THAT(items(), ElementsAre(testing::EndsWith("without STOPPING=1")));
}

TEST_F(NotifySocketTest, ASocketThatIsRemovedIsMadeAgainAndTheEarlierOneIsRead) {
    const int connected = connect_to(dir_ / "notify", SOCK_DGRAM);
    std::filesystem::remove(dir_ / "notify");
    await("it is there again", [&] { return std::filesystem::exists(dir_ / "notify"); });
    const pid_t service = start([&] {
        notify("READY=1");
        ::send(connected, "STATUS=by the earlier one", 25, MSG_NOSIGNAL);
        ::pause();
    });
    await("both were read", [&] {
        const auto lines = items();
        return !lines.empty() && lines[0].find("by the earlier one") != std::string::npos;
    });
    ::kill(service, SIGKILL);
    ::waitpid(service, nullptr, 0);
    ::close(connected);
}

TEST_F(NotifySocketTest, AProcessThatWasStoppingBeforeItIsWatchedIsNotMissed) {
    run_to_its_end([&] {
        notify("READY=1");
        for (int i = 0; i < 5; ++i)
            notify("STATUS=going down");
        notify("STOPPING=1");
    });
    await("it is watched", [&] { return !items().empty(); });
    await("it ended", [&] { return items().empty(); });
    EXPECT_EQ(challenge().reason, "");
}

TEST_F(NotifySocketTest, WhatAServiceSentBeforeItsEndIsReadBeforeItIsMissed) {
    int go[2];
    ASSERT_EQ(::pipe(go), 0);
    const pid_t service = start([&] {
        notify("READY=1");
        char byte = 0;
        if (::read(go[0], &byte, 1) != 1) ::_exit(2);
        for (int i = 0; i < 5; ++i)
            notify("STATUS=going down");
        notify("STOPPING=1");
    });
    await("it is watched", [&] { return !items().empty(); });
    ASSERT_EQ(::write(go[1], "x", 1), 1);
    ::waitpid(service, nullptr, 0);
    ::close(go[0]);
    ::close(go[1]);
    await("it ended", [&] { return items().empty(); });
    EXPECT_EQ(challenge().reason, "");
}

TEST_F(NotifySocketTest, AnApplicationThatIsGoneBeforeItIsWatchedIsMissed) {
    // The process that registers has the connection, and so has its child, which goes on.
    int child_of_it[2];
    ASSERT_EQ(::pipe(child_of_it), 0);
    run_to_its_end([&] {
        RawApplication application(dir_ / "apps");
        application.register_as("db");
        const pid_t child = ::fork();
        if (child == 0) ::pause();
        [[maybe_unused]] const ssize_t written = ::write(child_of_it[1], &child, sizeof child);
        ::_exit(1);
    });
    pid_t child = 0;
    ASSERT_EQ(::read(child_of_it[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
    await_reason("application db: ended without deregistering");
    ::kill(child, SIGKILL);
    ::close(child_of_it[0]);
    ::close(child_of_it[1]);
}

}  // namespace
}  // namespace vitalwire::guest::test
