// An application whose work may hang, with its heartbeat in a thread of its own: the worker leaves a sign of life after
// each piece of work, and the heartbeat looks at its age. So a hung worker is reported though the heartbeat still runs.
//
//     c++ -std=c++17 heartbeat_thread.cpp $(pkg-config --cflags --libs vitalwire) -pthread -o heartbeat_thread
//     ./heartbeat_thread worker
//
// Each line on standard input is a piece of work; "hang" is one that takes ten seconds. End of input ends it.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vitalwire/vitalwire.hpp>

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLongestWork = 2s;

/// What the worker is busy with since when; 0: with nothing.
std::atomic<Clock::rep> g_busy_since{0};

vitalwire::Health worker_health() {
    const Clock::rep since = g_busy_since;
    if (since == 0 || Clock::now() - Clock::time_point(Clock::duration(since)) < kLongestWork)
        return vitalwire::Health::good();
    return vitalwire::Health::bad("the worker hangs");
}

/// True when `end` is readable. A signal does not end the loop: behind it nothing is watched.
bool wait(const vitalwire::Application& application, int end) {
    std::array<pollfd, 2> ready = {{{application.fd(), POLLIN, 0}, {end, POLLIN, 0}}};
    while (::poll(ready.data(), ready.size(), -1) < 0) {
        if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
    }
    return ready[1].revents != 0;
}

/// Dispatches until `end` is readable.
void beat(const std::string& name, int end) {
    try {
        vitalwire::Application application;
        vitalwire::Heartbeat heartbeat;
        heartbeat.name = name;
        heartbeat.interval = 500ms;
        heartbeat.health = worker_health;
        heartbeat.registration = [](vw_result_t result, const std::string& message) {
            std::cout << (result == VW_OK ? "registered" : "refused: " + message) << std::endl;
        };
        application.register_heartbeat(heartbeat);
        while (!wait(application, end))
            application.dispatch();
    } catch (const std::runtime_error& error) {
        std::cerr << "heartbeat_thread: " << error.what() << std::endl;
    }
}

}  // namespace

int main(int argc, char* argv[]) {
    if (argc != 2) {
        std::cerr << "usage: heartbeat_thread NAME\n";
        return 2;
    }
    // Its own buffer reads on after a signal; that of stdio takes it for the end of input.
    std::ios::sync_with_stdio(false);
    const int end = ::eventfd(0, EFD_CLOEXEC);
    std::thread heartbeat(beat, std::string(argv[1]), end);
    for (std::string work; std::getline(std::cin, work);) {
        g_busy_since = Clock::now().time_since_epoch().count();
        if (work == "hang") std::this_thread::sleep_for(10s);
        g_busy_since = 0;
        std::cout << "done: " << work << std::endl;
    }
    const std::uint64_t one = 1;
    const bool told = ::write(end, &one, sizeof one) == sizeof one;
    heartbeat.join();
    ::close(end);
    return told ? 0 : 1;
}
