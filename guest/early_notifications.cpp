#include "guest/early_notifications.hpp"

#include <algorithm>
#include <utility>

#include "guest/process_watch.hpp"

namespace vitalwire::guest {

namespace {

/// What is said now counts before what was said earlier.
void add(Notification& now, const Notification& earlier) {
    if (!now.status) now.status = earlier.status;
    if (now.watchdog_time || now.bad_watchdog_time) return;
    now.watchdog_time = earlier.watchdog_time;
    now.bad_watchdog_time = earlier.bad_watchdog_time;
}

}  // namespace

void EarlyNotifications::remember(pid_t pid, uid_t uid, pid_t main, const Notification& told) {
    if (main == 0 && !told.status && !told.watchdog_time && !told.bad_watchdog_time) return;
    Early next{pid, uid, ProcessWatch::start_time_of(pid), 0, {}, told};
    next.main = recall(pid, uid, main, next.told);
    next.main_started = ProcessWatch::start_time_of(next.main);
    const auto mine = [uid](const Early& each) { return each.uid == uid; };
    if (static_cast<std::size_t>(std::count_if(early_.begin(), early_.end(), mine)) >= max_per_user_)
        early_.erase(std::find_if(early_.begin(), early_.end(), mine));
    early_.push_back(std::move(next));
}

pid_t EarlyNotifications::recall(pid_t pid, uid_t uid, pid_t main, Notification& told) {
    const std::string started = ProcessWatch::start_time_of(pid);
    const auto found = std::find_if(early_.begin(), early_.end(), [&](const Early& each) {
        return each.uid == uid &&
               ((each.pid == pid && each.started == started) || (each.main == pid && each.main_started == started));
    });
    if (found == early_.end()) return main;
    const Early early = std::move(*found);
    early_.erase(found);
    add(told, early.told);
    const bool names_another = main == 0 && early.main != 0 && early.main != pid;
    // One that has ended since is none: the end of the one that named it counts.
    if (!names_another || ProcessWatch::start_time_of(early.main) != early.main_started) return main;
    return early.main;
}

}  // namespace vitalwire::guest
