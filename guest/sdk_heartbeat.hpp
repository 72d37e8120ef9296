#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "guest/action_votes.hpp"
#include "guest/app_protocol.hpp"
#include "guest/health_board.hpp"
#include "guest/kept.hpp"
#include "guest/log_limit.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/process_watch.hpp"
#include "guest/sdk_application.hpp"
#include "guest/settings.hpp"
#include "guest/socket_file.hpp"
#include "guest/unwatched.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The stream socket of the guest SDK's heartbeat interface: its applications, their names and their number. The bounds
/// and the group are those of the socket for libvitalwire.
class SdkHeartbeat : public ActionVotes::Voters, private SdkApplication::Owner {
public:
    SdkHeartbeat(MonitorClock& clock, HealthBoard& board, std::string path, ApplicationSettings settings,
                 ActionVotes& votes);
    ~SdkHeartbeat() override;
    SdkHeartbeat(const SdkHeartbeat&) = delete;
    SdkHeartbeat& operator=(const SdkHeartbeat&) = delete;

    void start();
    void stop();
    /// Takes over what does not wait for the next start.
    void reconfigure(const ApplicationSettings& settings);
    std::vector<app::Item> list() const;
    void keep(std::vector<Kept>& out) const;
    /// Is called when what `keep` returns may have changed and the board did not.
    void on_kept_changed(std::function<void()> changed) { kept_changed_ = std::move(changed); }
    /// Before start(). One that was unhealthy is so until it has registered again and answered, and one that was
    /// healthy is a warning when it does not register; or until its process ends, with which it deregisters.
    void restore(const Kept& kept);
    std::vector<Voter> ask(const wire::ActionNotify& notify) override;

private:
    using Applications = std::vector<std::shared_ptr<SdkApplication>>;
    /// Watched before a restart of vitalwired, and not there again.
    struct Absent {
        Kept kept;
        base::TimePoint until;  ///< for one that was healthy
        std::unique_ptr<ProcessWatch> process;
    };

    base::Result<void> open();
    void close();
    void wait();
    void accept();
    base::Result<void> make_room(uid_t uid, int descriptor);
    Applications::const_iterator find(const std::string& name) const;
    /// By another process, or by an application that is here.
    bool is_taken(const std::string& name, pid_t pid) const;
    std::vector<Absent>::const_iterator find_absent(pid_t pid, const std::string& name) const;
    void drop(std::vector<Absent>::const_iterator absent);
    void expire();
    void drop_if_gone(const std::string& name);
    base::Result<std::string> admit(SdkApplication& application, const std::string& wanted) override;
    void registered_again(SdkApplication& application, const std::string& earlier) override;
    void refused(SdkApplication& application, const std::string& name, const base::Error& error) override;
    void health_changed(SdkApplication& application, const heartbeat::Health& health) override;
    void voted(SdkApplication& application, std::int64_t invocation, model::VoteResult result,
               const std::string& reason) override;
    void deregistered(SdkApplication& application) override;
    void malformed(SdkApplication& application) override;
    bool may_log(const SdkApplication& application) override;
    void closed(SdkApplication& application) override;

    MonitorClock& clock_;
    HealthBoard& board_;
    ActionVotes& votes_;
    std::string path_;  ///< empty: none
    ApplicationSettings settings_;
    boost::asio::posix::stream_descriptor listener_;
    SocketFile file_;
    runtime::Timer retry_;
    std::string problem_;
    Applications applications_;  ///< the oldest first
    Unwatched unwatched_;
    std::vector<Absent> absent_;
    MonitorTimer expiry_;
    std::function<void()> kept_changed_ = [] {};
    LogLimit log_limit_;
};

}  // namespace vitalwire::guest
