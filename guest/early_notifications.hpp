#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "guest/notification.hpp"

namespace vitalwire::guest {

/// What processes say about the services that they are going to be: sd_notify(3) has no order, and a watchdog's time or
/// a main process may come before READY=1.
class EarlyNotifications {
public:
    void set_max_per_user(std::size_t max) { max_per_user_ = max; }
    /// `main`: the process that `pid` named as the main one; 0: none.
    void remember(pid_t pid, uid_t uid, pid_t main, const Notification& told);
    /// Adds what `pid`, or who named it, said before to what it says now, once. Returns the main process, 0: none.
    pid_t recall(pid_t pid, uid_t uid, pid_t main, Notification& told);

private:
    struct Early {
        pid_t pid;
        uid_t uid;
        std::string started;  ///< as ProcessWatch has it
        pid_t main = 0;
        std::string main_started;
        Notification told;
    };

    std::size_t max_per_user_ = 16;
    std::vector<Early> early_;  ///< the oldest first
};

}  // namespace vitalwire::guest
