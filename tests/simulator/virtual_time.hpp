#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>

#include "base/clock.hpp"

namespace vitalwire::simulator {

/// This program lives in a time of its own: both clocks of the C++ library, Asio's timers and std::random_device are
/// replaced (virtual_time.cpp), so the agents and controllers in it run unchanged, and as fast as they can.
namespace virtual_time {

// An uptime that no test mistakes for a duration.
inline constexpr std::chrono::hours kUptimeStart{1000};

/// Starts again at the first moment. `seed` is for what std::random_device draws in this program.
void begin(std::uint64_t seed);

base::TimePoint now();
base::WallTime wall();
void advance_to(base::TimePoint time);

/// When the earliest timer of the program's one io_context is due, at the latest.
base::TimePoint next_timer();
/// Runs what is due on `io`. Never waits.
void run_due(boost::asio::io_context& io);

}  // namespace virtual_time

}  // namespace vitalwire::simulator
