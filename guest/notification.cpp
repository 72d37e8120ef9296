#include "guest/notification.hpp"

#include <algorithm>
#include <cstdint>

#include "guest/reason.hpp"
#include "guest/whole_number.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::int64_t kLargestWatchdogUsec = 3'600'000'000;

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
        const auto usec = parse_whole<std::int64_t>(line.substr(14));
        if (usec && *usec >= 1000 && *usec <= kLargestWatchdogUsec) out.watchdog_time = base::Millis(*usec / 1000);
    }
    return out;
}

}  // namespace vitalwire::guest
