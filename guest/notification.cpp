#include "guest/notification.hpp"

#include <algorithm>
#include <cstdint>

#include "guest/reason.hpp"
#include "guest/whole_number.hpp"

namespace vitalwire::guest {

namespace {

/// As systemd has it: 0 and "infinity" (also as the largest number) switch the watchdog off.
std::optional<base::Millis> parse_watchdog_time(std::string_view text) {
    if (text == "infinity") return kNoWatchdog;
    const auto usec = parse_whole<std::uint64_t>(text);
    if (!usec) return std::nullopt;
    constexpr std::uint64_t kLongest = std::chrono::microseconds(kNoWatchdog).count();
    if (*usec == 0 || *usec >= kLongest) return kNoWatchdog;
    return std::max(base::Millis(*usec / 1000), base::Millis(1));
}

}  // namespace

Notification parse_notification(std::string_view message) {
    Notification out;
    while (!message.empty()) {
        const std::size_t end = std::min(message.find('\n'), message.size());
        const std::string_view line = message.substr(0, end);
        message.remove_prefix(std::min(end + 1, message.size()));
        if (line == "READY=1") out.ready = true;
        if (line == "WATCHDOG=1") out.watchdog = true;
        if (line == "WATCHDOG=trigger") out.trigger = true;
        if (line == "STOPPING=1") out.stopping = true;
        if (line.starts_with("STATUS=")) out.status = tidy_reason(line.substr(7));
        if (line.starts_with("MAINPID=")) out.main_pid = parse_whole<pid_t>(line.substr(8)).value_or(0);
        if (!line.starts_with("WATCHDOG_USEC=")) continue;
        out.watchdog_time = parse_watchdog_time(line.substr(14));
        out.bad_watchdog_time = !out.watchdog_time;
    }
    return out;
}

}  // namespace vitalwire::guest
