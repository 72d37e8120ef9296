#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/log_limit.hpp"
#include "guest/monitor_clock.hpp"

namespace vitalwire::guest {

/// Applications that want to be watched and are not: warnings for the operator, until they are watched or ask no more.
/// Each user has places and log lines of its own: none hides what another one misses.
class Unwatched {
public:
    Unwatched(MonitorClock& clock, HealthBoard& board) : clock_(clock), board_(board), expiry_(clock) {}

    /// `name`: what the board calls it. `what`: what was refused.
    void add(uid_t uid, const std::string& name, const std::string& what, const base::Error& why);
    void remove(uid_t uid, const std::string& name);
    std::vector<app::Item> list() const;
    void stop() { expiry_.cancel(); }

private:
    struct Entry {
        std::string why;
        std::string warning;
        base::TimePoint until;  ///< not asked for again by then: not wanted any more
    };
    using Entries = std::map<std::string, Entry>;
    bool has_room(uid_t uid) const;
    bool may_log(uid_t uid);
    void publish();
    void expire();

    MonitorClock& clock_;
    HealthBoard& board_;
    MonitorTimer expiry_;
    LogLimit log_limit_;
    std::map<uid_t, Entries> users_;
    std::map<std::string, std::string> published_;  ///< warnings on the board, by name
};

}  // namespace vitalwire::guest
