#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/kept.hpp"
#include "guest/monitor_clock.hpp"

namespace vitalwire::guest {

/// What scripts report about something that has no connection of its own: it stays as reported until it is reported
/// again or forgotten, or, where it was given a time, until it is not renewed in that time.
class Reports {
public:
    Reports(MonitorClock& clock, HealthBoard& board) : clock_(clock), board_(board), timer_(clock) {}

    void set_max_per_user(std::size_t max) { max_per_user_ = max; }
    base::Result<void> set(uid_t uid, const app::Set& report);
    base::Result<void> forget(uid_t uid, const std::string& name);
    std::vector<app::Item> list() const;
    void keep(std::vector<Kept>& out) const;
    void restore(const Kept& kept);

private:
    struct Report {
        uid_t uid;
        heartbeat::Health health;
        base::Millis valid{};  ///< zero: until it is replaced
        base::TimePoint until = base::kNever;
    };
    void expire();

    MonitorClock& clock_;
    HealthBoard& board_;
    MonitorTimer timer_;
    std::size_t max_per_user_ = 16;
    std::map<std::string, Report> reports_;
};

}  // namespace vitalwire::guest
