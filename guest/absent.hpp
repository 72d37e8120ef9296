#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/kept.hpp"
#include "guest/monitor_clock.hpp"

namespace vitalwire::guest {

/// Of one that was healthy before a restart.
inline constexpr std::string_view kNotBack =
    "was watched before vitalwired was started again, and has not registered since";
inline constexpr std::string_view kAwaited = "expected to register again";
/// One that does as its specification says has registered again by then.
inline constexpr base::Millis kTimeToComeBack{15'000};

/// What the board calls an application.
std::string application_source(const std::string& name);
/// What those of a user are called whose names there is no room for.
std::string others_of(uid_t uid);
std::string others_reason(std::uint32_t left_out);

/// The process of an application, which stays the same when it drops its privileges.
struct AppProcess {
    uid_t uid = 0;
    pid_t pid = 0;        ///< 0: not known
    std::string started;  ///< as ProcessWatch has it
};

/// Applications that are expected and not connected: those that ended without deregistering, and, after a restart of
/// vitalwired, those that it watched before and that have not registered again. What was wrong with them stays until
/// they register or are forgotten; one with which nothing was wrong becomes a warning when it does not come.
class Absent {
public:
    /// `least_patience`: an application that does as the specification says has registered again by then.
    Absent(MonitorClock& clock, HealthBoard& board, base::Millis least_patience = kTimeToComeBack)
        : clock_(clock), board_(board), least_patience_(least_patience), expiry_(clock) {}

    /// `max`: of root, whose applications may all end at once. A further one takes the place of the oldest, whose name
    /// is dropped; how many these are stays on the board until it is forgotten.
    void set_max(std::size_t max, std::size_t max_per_user);
    /// Ended without deregistering; the board has what it said last.
    void add_ended(const std::string& name, const AppProcess& process);
    /// It registers. Not while another user's application is missed or expected under that name.
    base::Result<void> take_over(const AppProcess& process, const std::string& name);
    bool has(const std::string& name) const;
    base::Result<void> forget(uid_t uid, const std::string& name);
    std::vector<app::Item> list() const;
    void keep(std::vector<Kept>& out) const;
    void restore(const Kept& kept);
    void stop() { expiry_.cancel(); }

private:
    struct Entry {
        std::string name;
        AppProcess process;  ///< it, or its user, may take the name again
        bool ended;
        heartbeat::Health health;  ///< of one that ended: its last words
        base::Millis patience{};   ///< for one that was healthy; zero: it is missed already
        base::TimePoint until = base::kNever;
        std::uint32_t left_out = 0;  ///< of an entry for others
    };
    using Entries = std::vector<Entry>;

    Entries::iterator find(const std::string& name);
    void erase(Entries::iterator entry);
    void make_room(uid_t uid);
    void show_ended(const Entry& entry);
    void expire();

    MonitorClock& clock_;
    HealthBoard& board_;
    base::Millis least_patience_;
    MonitorTimer expiry_;
    std::size_t max_ = 32;
    std::size_t max_per_user_ = 16;
    Entries entries_;  ///< the oldest first
};

}  // namespace vitalwire::guest
