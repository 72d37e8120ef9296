#include "runtime/notify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

namespace vitalwire::runtime {
namespace {

using testing::StartsWith;

/// A service manager's socket in the abstract namespace.
class Notify : public testing::Test {
protected:
    void SetUp() override {
        fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string name = "vitalwire-notify-test-" + std::to_string(getpid());
        std::memcpy(address.sun_path + 1, name.data(), name.size());
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        ASSERT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size), 0);
        setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    }
    void TearDown() override {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
            unsetenv(name);
        close(fd_);
    }
    std::string received() const {
        std::array<char, 256> buffer{};
        const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
        return size < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(size));
    }

    int fd_ = -1;
};

TEST_F(Notify, TellsTheServiceManagerEachState) {
    notify_ready();
    EXPECT_EQ(received(), "READY=1");
    notify_reloading();
    EXPECT_THAT(received(), StartsWith("RELOADING=1\nMONOTONIC_USEC="));
    notify_watchdog();
    EXPECT_EQ(received(), "WATCHDOG=1");
    notify_stopping();
    EXPECT_EQ(received(), "STOPPING=1");
}

TEST_F(Notify, KeepsAStatusOneLine) {
    notify_status("3 guests\nREADY=1");
    EXPECT_EQ(received(), "STATUS=3 guests");
}

TEST_F(Notify, DoesNothingWithoutAServiceManager) {
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    EXPECT_EQ(received(), "");
    EXPECT_EQ(watchdog_interval(), std::nullopt);
}

TEST_F(Notify, NeverBlocksOnAServiceManagerThatDoesNotRead) {
    for (int i = 0; i < 10'000; ++i)
        notify_watchdog();
    EXPECT_EQ(received(), "WATCHDOG=1");
}

TEST_F(Notify, FeedsTheWatchdogTwiceInItsPeriod) {
    setenv("WATCHDOG_USEC", "3000000", 1);
    EXPECT_EQ(watchdog_interval(), base::Millis(1500));
    setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
    EXPECT_EQ(watchdog_interval(), base::Millis(1500));
}

TEST_F(Notify, LeavesAnotherProcessesWatchdogAlone) {
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    EXPECT_EQ(watchdog_interval(), std::nullopt);
}

TEST_F(Notify, IgnoresAWatchdogThatIsNoNumber) {
    setenv("WATCHDOG_USEC", "soon", 1);
    EXPECT_EQ(watchdog_interval(), std::nullopt);
}

}  // namespace
}  // namespace vitalwire::runtime
