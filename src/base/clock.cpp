#include "base/clock.hpp"

#include <cstdio>
#include <ctime>

namespace vitalwire::base {

namespace {
constexpr long kMicrosPerSecond = 1'000'000;
// What WallTime can hold, in whole years.
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;

/// Writes `value` with that many digits and returns where the next thing goes.
char* put(char* at, int digits, long value) {
    for (int i = digits; i > 0; --i, value /= 10)
        at[i - 1] = static_cast<char>('0' + value % 10);
    return at + digits;
}

}  // namespace

std::string to_iso8601(WallTime time) {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
    const auto seconds = static_cast<std::time_t>(micros / kMicrosPerSecond);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    // By hand: an agent says of each of its guests every few seconds since when it is registered.
    std::string text = "0000-00-00T00:00:00.000000Z";
    char* at = put(text.data(), 4, parts.tm_year + 1900) + 1;
    at = put(at, 2, parts.tm_mon + 1) + 1;
    at = put(at, 2, parts.tm_mday) + 1;
    at = put(at, 2, parts.tm_hour) + 1;
    at = put(at, 2, parts.tm_min) + 1;
    at = put(at, 2, parts.tm_sec) + 1;
    put(at, 6, static_cast<long>(micros % kMicrosPerSecond));
    return text;
}

WallTime from_iso8601(const std::string& text) {
    std::tm parts{};
    long micros = 0;
    const int fields = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%6ldZ", &parts.tm_year, &parts.tm_mon,
                                   &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &micros);
    if (fields != 7 || parts.tm_year < kFirstYear || parts.tm_year > kLastYear) return WallTime{};
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    const WallTime time = std::chrono::system_clock::from_time_t(timegm(&parts)) + std::chrono::microseconds(micros);
    // sscanf and timegm take a lot for a time ("2026-13-45", " +26"); only what to_iso8601 writes is one.
    return to_iso8601(time) == text ? time : WallTime{};
}

}  // namespace vitalwire::base
