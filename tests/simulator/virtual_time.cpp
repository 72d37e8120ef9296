#include "virtual_time.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <random>

namespace vitalwire::simulator::virtual_time {

namespace {

using std::chrono::nanoseconds;

// Some day in 2026.
constexpr std::chrono::seconds kWallStart{1'795'000'000};

nanoseconds uptime = kUptimeStart;
nanoseconds timer_due = nanoseconds::max();
int timer_descriptor = -1;
std::mt19937_64 random_device_source;

}  // namespace

void begin(std::uint64_t seed) {
    uptime = kUptimeStart;
    timer_due = nanoseconds::max();
    random_device_source.seed(seed);
}

base::TimePoint now() {
    return base::TimePoint(uptime);
}

base::WallTime wall() {
    return base::WallTime(kWallStart + uptime - kUptimeStart);
}

void advance_to(base::TimePoint time) {
    uptime = time.time_since_epoch();
}

base::TimePoint next_timer() {
    return timer_due == nanoseconds::max() ? base::kNever : base::TimePoint(timer_due);
}

void run_due(boost::asio::io_context& io) {
    if (uptime >= timer_due) ::eventfd_write(timer_descriptor, 1);
    io.restart();
    io.poll();
}

}  // namespace vitalwire::simulator::virtual_time

// The replacements. The linker prefers a program's own definition to a shared library's.

#define REPLACEMENT extern "C" __attribute__((visibility("default")))

namespace virtual_time = vitalwire::simulator::virtual_time;

REPLACEMENT int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const auto since =
        clock == CLOCK_REALTIME ? virtual_time::wall().time_since_epoch() : virtual_time::now().time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    *time = {seconds.count(), std::chrono::nanoseconds(since - seconds).count()};
    return 0;
}

/// Asio's timer descriptor: readable when its time has come, by our hand.
REPLACEMENT int timerfd_create(clockid_t, int) noexcept {
    return virtual_time::timer_descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

REPLACEMENT int timerfd_settime(int descriptor, int, const itimerspec* setting, itimerspec*) noexcept {
    eventfd_t ignored = 0;
    ::eventfd_read(descriptor, &ignored);
    const auto wait =
        std::chrono::seconds(setting->it_value.tv_sec) + std::chrono::nanoseconds(setting->it_value.tv_nsec);
    virtual_time::timer_due = virtual_time::uptime + wait;
    return 0;
}

std::random_device::result_type std::random_device::_M_getval() {
    return static_cast<result_type>(virtual_time::random_device_source());
}
