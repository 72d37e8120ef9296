#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace vitalwire::cli {

/// "3 s", "5 min", "2 h 10 min", "4 d 1 h": two units at most.
std::string human_duration(base::Millis time);
/// "3 s ago" of an ISO 8601 time; "now" for one in the future (clocks differ); empty for none.
std::string human_age(const std::string& iso8601, base::WallTime now);
/// "in 2 h 10 min", or human_age once it is over.
std::string human_until(const std::string& iso8601, base::WallTime now);
/// "2026-11-22 06:05:08Z"
std::string human_time(base::WallTime time);
/// A moment on the command line: a time before `now` ("90s", "30min", "2h", "1d") or a UTC time ("2026-11-22",
/// "2026-11-22T06:05", "2026-11-22 06:05:08.241311", each also with a Z); none when it is of no such form.
std::optional<base::WallTime> parse_moment(const std::string& text, base::WallTime now);
/// A duration on the command line: "90s", "30min", "2h", "1d"; none when it is of no such form, or zero.
std::optional<base::Millis> parse_duration(const std::string& text);
/// "412 us", "1.2 ms", "2.5 s"; empty for a negative one.
std::string human_micros(std::int64_t micros);
/// "250 ms", "1 s", "1.5 s"; empty for zero.
std::string human_interval(std::int64_t millis);
/// "1 fault", "2 faults".
std::string counted(std::int64_t count, std::string_view noun);

/// A URL as it may be printed: "http://user:***@host".
std::string without_password(const std::string& url);

/// Columns that a UTF-8 text takes on a terminal.
std::size_t width_of(std::string_view text);
/// The first `width` columns of it.
std::string cut_to_width(std::string_view text, std::size_t width);

}  // namespace vitalwire::cli
