#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "guest/accounts.hpp"

namespace vitalwire::guest {

/// How a process ended.
struct Ending {
    bool by_signal = false;
    int code = 0;  ///< exit status, or number of the signal
};

/// A process that was started in a process group of its own.
struct Spawned {
    pid_t pid = 0;
    int output = -1;  ///< read end of its standard output
    int errors = -1;  ///< read end of its standard error
    int report = -1;  ///< for take_start_problem()
};

struct ShellCommand {
    std::string text;  ///< for /bin/sh -c
    std::string user;  ///< with all of its groups; empty: the daemon's user
};

/// Starts a command that inherits nothing of the daemon: no input, no descriptor, no signal mask, priority, file mode
/// mask or protection from the kernel's out-of-memory killer; the service manager's variables are removed. It leaves no
/// core file. It returns before the shell is loaded: a disk that stands still must not keep the loop of events.
base::Result<Spawned> spawn_shell(const ShellCommand& command, Accounts& accounts);
/// From now on commands get the limit of open files that is in force now, though this daemon raises its own.
void keep_file_limit_of_commands();
/// Why a process that has ended had not become the shell; empty when it had. Closes `report`.
std::string take_start_problem(int report);

/// Waits for the processes that were started here. What a process leaves running in its group is killed when it ends.
class Children {
public:
    using OnEnd = std::function<void(Ending)>;

    explicit Children(boost::asio::io_context& io);
    ~Children();

    void watch(pid_t process, OnEnd on_end);
    /// Kills the group; `on_end` still follows.
    void kill(pid_t process);
    /// Kills the group and forgets `on_end`; the process is still reaped.
    void abandon(pid_t process);
    Accounts& accounts() { return accounts_; }
    /// Looks now whether any has ended, for a caller that is about to judge one late.
    void look();

private:
    void await_signal();

    Accounts accounts_;
    boost::asio::signal_set signals_;
    std::map<pid_t, OnEnd> watched_;
};

}  // namespace vitalwire::guest
