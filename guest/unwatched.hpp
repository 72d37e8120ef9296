#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/monitor_clock.hpp"

namespace vitalwire::guest {

/// Applications that want to be watched and are not: warnings for the operator, until they are watched or ask no more.
class Unwatched {
public:
    Unwatched(MonitorClock& clock, HealthBoard& board) : clock_(clock), board_(board), expiry_(clock) {}

    /// `name`: what the board calls it. `what`: what was refused.
    void add(const std::string& name, const std::string& what, const base::Error& why);
    void remove(const std::string& name);
    std::vector<app::Item> list() const;
    void stop() { expiry_.cancel(); }

private:
    struct Entry {
        std::string why;
        base::TimePoint until;  ///< not asked for again by then: not wanted any more
    };
    void expire();

    MonitorClock& clock_;
    HealthBoard& board_;
    MonitorTimer expiry_;
    std::map<std::string, Entry> entries_;
};

}  // namespace vitalwire::guest
