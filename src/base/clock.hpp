#pragma once

#include <chrono>
#include <string>

namespace vitalwire::base {

/// Only the steady clock decides anything. State machines are handed a TimePoint and never read a clock.
using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using Millis = std::chrono::milliseconds;

inline constexpr TimePoint kNever = TimePoint::max();

/// Wall clock, for what people and other systems read; never for a decision.
using WallTime = std::chrono::system_clock::time_point;

/// "2026-11-22T06:05:08.123456Z"
std::string to_iso8601(WallTime time);
/// Reads what to_iso8601 writes; the epoch when the text is not of that form.
WallTime from_iso8601(const std::string& text);

}  // namespace vitalwire::base
