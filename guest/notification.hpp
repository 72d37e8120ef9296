#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace vitalwire::guest {

/// A watchdog that a service has switched off: longer than any machine runs.
inline constexpr base::Millis kNoWatchdog = std::chrono::hours(24 * 365 * 100);

/// What the service manager's protocol (sd_notify(3)) says in one datagram.
struct Notification {
    bool ready = false;
    bool watchdog = false;
    bool trigger = false;
    bool stopping = false;
    std::optional<std::string> status;
    std::optional<base::Millis> watchdog_time;  ///< at most kNoWatchdog
    bool bad_watchdog_time = false;
    std::optional<pid_t> main_pid;  ///< 0: none that can be
};

Notification parse_notification(std::string_view message);

}  // namespace vitalwire::guest
