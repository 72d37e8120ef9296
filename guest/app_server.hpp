#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "guest/absent.hpp"
#include "guest/action_votes.hpp"
#include "guest/app_connection.hpp"
#include "guest/health_board.hpp"
#include "guest/log_limit.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/notify_socket.hpp"
#include "guest/reports.hpp"
#include "guest/settings.hpp"
#include "guest/socket_file.hpp"
#include "guest/unwatched.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The socket for applications: the connections and the names, those that are expected and not there, and those that
/// wanted to be watched and are not. No user can keep the others out: each has a quota, and what is idle makes room. A
/// socket that cannot be opened is tried again; the heartbeat does not wait for it.
class AppServer : public ActionVotes::Voters, private AppConnection::Owner {
public:
    /// What the rest of the daemon adds to a status: everything but applications and reports.
    using Overview = std::function<app::Status()>;

    AppServer(MonitorClock& clock, HealthBoard& board, GroupApp& group, ApplicationSettings settings,
              ActionVotes& votes);
    ~AppServer() override;
    AppServer(const AppServer&) = delete;
    AppServer& operator=(const AppServer&) = delete;

    void start();
    void stop();
    void on_status(Overview overview) { overview_ = std::move(overview); }
    /// Takes over what does not wait for the next start.
    void reconfigure(const ApplicationSettings& settings);
    /// Is called when what `keep` returns may have changed and the board did not.
    void on_kept_changed(std::function<void()> changed);
    /// Is called before an application is told that what it asked for is done.
    void on_told(std::function<void()> told) { told_ = std::move(told); }
    void keep(std::vector<Kept>& out) const;
    /// Before start().
    void restore(const Kept& kept);
    std::size_t registered() const { return names_.size(); }
    std::vector<Voter> ask(const wire::ActionNotify& notify) override;

private:
    using Owner = AppConnection::Owner;

    void close();
    void listen();
    void listen_again();
    void wait();
    void accept();
    void cannot_connect(const std::string& why);
    void retry(void (AppServer::*what)());
    base::Result<void> make_room(uid_t uid, int descriptor);
    bool evict_idle(std::optional<uid_t> uid);
    std::size_t count(bool idle, std::optional<uid_t> uid) const;
    base::Result<void> take_place(const AppConnection& connection) override;
    base::Result<void> admit(AppConnection& connection, const std::string& name) override;
    bool may_log(const AppConnection& connection) override;
    void health_changed(AppConnection& connection, const heartbeat::Health& health) override;
    void deregistered(AppConnection& connection) override;
    base::Result<void> set(AppConnection& connection, const app::Set& report) override;
    base::Result<void> forget(AppConnection& connection, const std::string& name) override;
    app::Status status(std::int64_t from) override;
    void voted(AppConnection& connection, const app::Vote& vote) override;
    void abstains(AppConnection& connection) override;
    void refused(AppConnection& connection, const base::Error& error) override;
    void turned_away(AppConnection& connection, const base::Error& error) override;
    void not_watched(AppConnection& connection, const std::string& name, const base::Error& error) override;
    void before_told() override { told_(); }
    void closed(AppConnection& connection) override;

    MonitorClock& clock_;
    HealthBoard& board_;
    GroupApp& group_;
    ActionVotes& votes_;
    ApplicationSettings settings_;
    boost::asio::posix::stream_descriptor listener_;
    SocketFile file_;
    runtime::Timer retry_;
    std::string problem_;
    std::vector<std::shared_ptr<AppConnection>> connections_;  ///< the oldest first
    std::map<std::string, AppConnection*, std::less<>> names_;
    Absent absent_;
    Unwatched unwatched_;
    Reports reports_;
    NotifySocket services_;
    Overview overview_ = [] { return app::Status{}; };
    std::function<void()> kept_changed_ = [] {};
    std::function<void()> told_ = [] {};
    LogLimit log_limit_;
};

}  // namespace vitalwire::guest
