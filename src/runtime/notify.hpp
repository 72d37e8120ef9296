#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"

namespace vitalwire::runtime {

// systemd's notification protocol (sd_notify(3), "Standalone Implementations"): one datagram of lines to
// $NOTIFY_SOCKET. Own code because the guest's daemon may link no more than libc and libstdc++. Without $NOTIFY_SOCKET
// all of these do nothing.
void notify_ready();
void notify_reloading();
void notify_stopping();
void notify_status(const std::string& status);
/// While starting: what for, and that it may take until `time` from now.
void notify_waiting(const std::string& status, base::Millis time);
void notify_watchdog();
/// Half of $WATCHDOG_USEC when the service manager expects to be fed; absent otherwise.
std::optional<base::Millis> watchdog_interval();

}  // namespace vitalwire::runtime
