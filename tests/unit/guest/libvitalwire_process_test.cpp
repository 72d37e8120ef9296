#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vitalwire/vitalwire.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "guest_fixture.hpp"

namespace vitalwire::guest::test {
namespace {

constexpr int kNoNamespaces = 77;

/// What `call` returns in a child that is the first process of a PID namespace of its own.
int as_first_process(const std::function<int()>& call) {
    if (::unshare(CLONE_NEWPID) != 0) return kNoNamespaces;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::getpid() == 1 ? call() : 2);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

/// The same in a process of its own, as this one's children stay where they are.
int in_child_as_first_process(const std::function<int()>& call) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(as_first_process(call));
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

TEST(LibvitalwireProcessTest, AChildThatHasTheNumberOfItsParentIsAnotherProcess) {
    const int status = in_child_as_first_process([] {
        vw_options options = VW_OPTIONS_INIT;
        options.socket_path = "/nowhere";
        vw_t* handle = nullptr;
        if (vw_open(&options, &handle) != VW_OK) return 4;
        const int of_child =
            as_first_process([&] { return vw_dispatch(handle, VW_DISPATCH_ALL) == VW_ERR_WRONG_PROCESS ? 0 : 5; });
        return vw_dispatch(handle, VW_DISPATCH_ALL) == VW_OK ? of_child : 6;
    });
    if (status == kNoNamespaces) GTEST_SKIP() << "needs the right to make namespaces";
    EXPECT_EQ(status, 0);
}

TEST(LibvitalwireProcessTest, AnApplicationThatCannotConnectIsToldWhyOnce) {
    const TempDir dir;
    const std::string path = dir / "apps";
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);  // of another type: EPROTOTYPE, also for root
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    std::vector<std::string> told;
    vw_options options = VW_OPTIONS_INIT;
    options.socket_path = path.c_str();
    vw_t* handle = nullptr;
    ASSERT_EQ(vw_open(&options, &handle), VW_OK);
    vw_heartbeat_options heartbeat = VW_HEARTBEAT_OPTIONS_INIT;
    heartbeat.name = "db";
    heartbeat.context = &told;
    heartbeat.registration = [](vw_t*, vw_result_t result, const char* why, void* context) {
        static_cast<std::vector<std::string>*>(context)->push_back(std::to_string(result) + " " + why);
    };
    ASSERT_EQ(vw_heartbeat_register(handle, &heartbeat), VW_OK);
    const std::string why = "cannot connect to vitalwired on " + path + ": Protocol wrong type for socket";
    int attempts = 0;
    while (attempts < 3) {
        pollfd ready{vw_fd(handle), POLLIN, 0};
        ASSERT_EQ(::poll(&ready, 1, 30'000), 1);
        ASSERT_EQ(vw_dispatch(handle, VW_DISPATCH_ALL), VW_OK);
        ++attempts;
    }
    EXPECT_EQ(told, std::vector<std::string>{std::to_string(VW_ERR_SYSTEM) + " " + why});
    EXPECT_EQ(vw_last_error(handle), why);
    EXPECT_EQ(vw_close(handle), VW_OK);
    ::close(socket);
}

}  // namespace
}  // namespace vitalwire::guest::test
