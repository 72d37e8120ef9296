#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/log_limit.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/process_watch.hpp"
#include "guest/settings.hpp"
#include "guest/unwatched.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The notification protocol of systemd (sd_notify(3)) on a socket of ours: a service that feeds a watchdog is watched
/// without a line of code, when $NOTIFY_SOCKET names this socket. The sender is the process that the kernel names, or
/// one that it has started; it may name another process of its user as the main one (MAINPID=).
class NotifySocket {
public:
    NotifySocket(MonitorClock& clock, HealthBoard& board, ApplicationSettings settings);
    ~NotifySocket();
    NotifySocket(const NotifySocket&) = delete;
    NotifySocket& operator=(const NotifySocket&) = delete;

    void start();
    void stop();
    std::vector<app::Item> list() const;
    /// False when nothing that has ended is called `name`.
    bool forget(uid_t uid, const std::string& name);

private:
    /// A process that has sent READY=1 or fed its watchdog.
    struct Service {
        std::string name;
        std::string identity;
        pid_t pid = 0;
        uid_t uid = 0;
        std::string status;  ///< its own words
        base::Millis watchdog{};
        bool stopping = false;
        std::unique_ptr<MonitorTimer> timer;
        std::unique_ptr<ProcessWatch> process;
    };

    struct Ended {
        std::string name;
        std::string identity;
        uid_t uid;
    };

    base::Result<void> open();
    void wait();
    void receive();
    void handle(pid_t pid, uid_t uid, std::string_view message);
    std::string free_name(pid_t pid) const;
    Service* adopt(pid_t pid, uid_t uid);
    Service* find(pid_t pid, uid_t uid);
    Service* move(Service& service, pid_t pid);
    void watch(Service& service, pid_t pid);
    void feed(Service& service);
    void ended(pid_t pid);
    bool may_log(uid_t uid);

    MonitorClock& clock_;
    HealthBoard& board_;
    ApplicationSettings settings_;
    boost::asio::posix::stream_descriptor socket_;
    runtime::Timer retry_;
    std::string problem_;
    LogLimit log_limit_;
    std::map<pid_t, Service> services_;
    Unwatched unwatched_;
    std::vector<Ended> ended_;  ///< without STOPPING=1, until the same is there again; the oldest first
};

}  // namespace vitalwire::guest
