#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "guest/app_protocol.hpp"
#include "guest/early_notifications.hpp"
#include "guest/health_board.hpp"
#include "guest/kept.hpp"
#include "guest/log_limit.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/process_watch.hpp"
#include "guest/settings.hpp"
#include "guest/socket_file.hpp"
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
    /// Takes over what does not wait for the next start.
    void reconfigure(const ApplicationSettings& settings);
    std::vector<app::Item> list() const;
    /// Is called when what `keep` returns may have changed and the board did not.
    void on_kept_changed(std::function<void()> changed) { kept_changed_ = std::move(changed); }
    void keep(std::vector<Kept>& out) const;
    /// Before start().
    void restore(const Kept& kept);
    /// False when nothing that has ended is called `name`.
    bool forget(uid_t uid, const std::string& name);

private:
    /// A process that has sent READY=1 or fed its watchdog.
    struct Service {
        std::string name;
        std::string identity;  ///< as identity_of() has it
        pid_t pid = 0;
        uid_t uid = 0;
        std::string started;  ///< as ProcessWatch has it
        std::string status;   ///< its own words
        std::optional<base::Millis> own_watchdog;
        base::TimePoint fed = base::kNever;  ///< the last time
        base::TimePoint adopted{};
        pid_t script = 0;  ///< that may have started it to notify for it; a service already, or one from then on
        std::string script_started;
        bool stopping = false;  ///< its end will be in order
        bool unfed = false;     ///< while it stops, what feeds its watchdog does not count
        std::unique_ptr<MonitorTimer> timer;
        std::unique_ptr<ProcessWatch> process;
        std::unique_ptr<runtime::Timer> judging;  ///< of its end
    };

    struct Ended {
        std::string name;
        std::string identity;
        uid_t uid;
        std::string why;
        bool is_fault = true;        ///< false while it is not known whether it ended in order
        std::uint32_t left_out = 0;  ///< of an entry for others
    };

    base::Result<void> open();
    void open_again();
    void wait(boost::asio::posix::stream_descriptor& socket);
    /// False when there was nothing.
    bool receive(boost::asio::posix::stream_descriptor& socket);
    bool receive() { return receive(socket_) || receive(earlier_); }
    void handle(pid_t pid, uid_t uid, std::string_view message);
    std::string free_name(pid_t pid) const;
    Service* adopt(pid_t pid, uid_t uid, const Service* starter = nullptr);
    Service* find(pid_t pid, uid_t uid);
    Service* move(Service& service, pid_t pid);
    Service& add(Service service);
    void watch(Service& service, pid_t pid);
    base::Millis watchdog_of(const Service& service) const { return service.own_watchdog.value_or(settings_.watchdog); }
    pid_t script_of(pid_t helper, uid_t uid);
    pid_t main_process(pid_t sender, uid_t uid, pid_t number);
    bool was_helper(const Service& service);
    void set_stopping(Service& service, bool stopping);
    void feed(Service& service);
    void await_next(Service& service);
    void await_again(Service& service);
    void process_ended(Service& service, int most_reads);
    void ended(const Service& service);
    std::string healthy_words(const Service& service) const;
    void add_ended(Ended gone);
    void make_room(uid_t uid);
    void show_ended(const Ended& gone);
    void erase(std::vector<Ended>::iterator ended);
    bool may_log(uid_t uid);

    MonitorClock& clock_;
    HealthBoard& board_;
    ApplicationSettings settings_;
    boost::asio::posix::stream_descriptor socket_;
    boost::asio::posix::stream_descriptor earlier_;  ///< its file was removed; services may be connected to it still
    SocketFile file_;
    runtime::Timer retry_;
    std::string problem_;
    LogLimit log_limit_;
    std::map<pid_t, Service> services_;
    EarlyNotifications early_;
    Unwatched unwatched_;
    std::vector<Ended> ended_;  ///< without STOPPING=1, until the same is there again; the oldest first
    std::function<void()> kept_changed_ = [] {};
};

}  // namespace vitalwire::guest
