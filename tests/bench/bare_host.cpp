// bench_bare_host DIRECTORY COUNT INTERVAL_MS: the baseline of the agent: a challenge to every guest each interval and
// its answer read, and nothing else: no parsing, no state, no deadline. What it costs is the kernel's.
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "sockets.hpp"

namespace {

using namespace vitalwire::bench;
using Clock = std::chrono::steady_clock;

/// As often as the agent wakes up for its guests.
constexpr std::chrono::milliseconds kSlot{100};

const std::string kChallenge =
    "\n{\"version\":2,\"source_addr\":\"vitalwire.heartbeat\",\"dest_addr\":\"vitalwire.heartbeat\",\"data\":{"
    "\"version\":1,\"msg_type\":\"challenge\",\"sequence\":123,\"session_id\":\"6f1c2a9e-0d7b-4c55-9a43-5e2f8b7c1d20\","
    "\"heartbeat_challenge\":1804289383}}\n";

int connect_to(const std::string& path) {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = address_of(path);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up(path);
    return descriptor;
}

void read_answers(int epoll, int timeout_ms) {
    static std::array<epoll_event, 128> events;
    static std::array<char, 65536> buffer;
    const int ready = ::epoll_wait(epoll, events.data(), events.size(), timeout_ms);
    for (int i = 0; i < ready; ++i) {
        if (::recv(events.at(static_cast<std::size_t>(i)).data.fd, buffer.data(), buffer.size(), 0) <= 0)
            give_up("recv");
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::cerr << "usage: bench_bare_host DIRECTORY COUNT INTERVAL_MS\n";
        return 2;
    }
    raise_file_limit();
    const std::size_t count = std::stoul(argv[2]);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> guests;
    for (std::size_t i = 0; i < count; ++i) {
        guests.push_back(connect_to(channel_path(argv[1], i)));
        epoll_event event{EPOLLIN, {.fd = guests.back()}};
        if (::epoll_ctl(epoll, EPOLL_CTL_ADD, guests.back(), &event) != 0) give_up("epoll_ctl");
    }
    std::cout << "connected" << std::endl;

    const auto slots = static_cast<std::size_t>(std::chrono::milliseconds(std::stoi(argv[3])) / kSlot);
    Clock::time_point next = Clock::now();
    for (std::size_t slot = 0;; slot = (slot + 1) % slots) {
        for (std::size_t i = slot; i < count; i += slots) {
            if (::send(guests[i], kChallenge.data(), kChallenge.size(), MSG_NOSIGNAL) < 0) give_up("send");
        }
        next += kSlot;
        for (auto now = Clock::now(); now < next; now = Clock::now())
            read_answers(epoll, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - now).count()));
    }
}
