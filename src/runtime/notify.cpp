#include "runtime/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace vitalwire::runtime {

namespace {

std::string environment(const char* name) {
    // Nothing in these programs changes the environment once threads run.
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? "" : value;
}

void send_state(std::string_view state) {
    const std::string path = environment("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path.size() < 2 || path.size() >= sizeof address.sun_path) return;
    if (path[0] != '/' && path[0] != '@') return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') address.sun_path[0] = '\0';  // abstract namespace

    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    // A service manager that does not read must not stop the event loop.
    sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address),
           size);
    close(fd);
}

std::string monotonic_usec() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::to_string(now.tv_sec * 1'000'000LL + now.tv_nsec / 1000);
}

}  // namespace

void notify_ready() {
    send_state("READY=1");
}

void notify_reloading() {
    send_state("RELOADING=1\nMONOTONIC_USEC=" + monotonic_usec());
}

void notify_stopping() {
    send_state("STOPPING=1");
}

namespace {
std::string status_line(const std::string& status) {
    return "STATUS=" + status.substr(0, status.find('\n'));
}
}  // namespace

void notify_status(const std::string& status) {
    send_state(status_line(status));
}

void notify_waiting(const std::string& status, base::Millis time) {
    send_state(status_line(status) +
               "\nEXTEND_TIMEOUT_USEC=" + std::to_string(std::chrono::microseconds(time).count()));
}

void notify_watchdog() {
    send_state("WATCHDOG=1");
}

std::optional<base::Millis> watchdog_interval() {
    const std::string pid = environment("WATCHDOG_PID");
    if (!pid.empty() && pid != std::to_string(getpid())) return std::nullopt;
    const long long usec = std::strtoll(environment("WATCHDOG_USEC").c_str(), nullptr, 10);
    if (usec <= 0) return std::nullopt;
    return base::Millis(std::max(usec / 2000, 1LL));
}

}  // namespace vitalwire::runtime
