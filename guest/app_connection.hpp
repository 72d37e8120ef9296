#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/token_bucket.hpp"
#include "group/outbox.hpp"
#include "guest/absent.hpp"
#include "guest/app_protocol.hpp"
#include "guest/group_app.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/process_watch.hpp"
#include "runtime/timer.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::guest {

/// One application at the other end of its socket: asks for its health every interval and notices when no answer comes,
/// and carries its messages of the server group. One that does not read them loses the oldest and is told how many.
class AppConnection : public std::enable_shared_from_this<AppConnection>, private GroupApp::Member {
public:
    /// Decides about names, and is notified of health.
    class Owner {
    public:
        virtual ~Owner() = default;
        /// Whether there is a place for `connection`, beside those that are registered or use the group.
        virtual base::Result<void> take_place(const AppConnection& connection) = 0;
        /// Whether `connection` may be called `name`.
        virtual base::Result<void> admit(AppConnection& connection, const std::string& name) = 0;
        /// Whether a log line that `connection` caused may be written.
        virtual bool may_log(const AppConnection& connection) = 0;
        virtual void health_changed(AppConnection& connection, const heartbeat::Health& health) = 0;
        virtual void deregistered(AppConnection& connection) = 0;
        virtual base::Result<void> set(AppConnection& connection, const app::Set& report) = 0;
        virtual base::Result<void> forget(AppConnection& connection, const std::string& name) = 0;
        virtual app::Status status(std::int64_t from) = 0;
        /// It is told next that what it asked for is done.
        virtual void before_told() = 0;
        /// Its answer to a question about an action of the cloud.
        virtual void voted(AppConnection& connection, const app::Vote& vote) = 0;
        /// It answers no questions about actions any more.
        virtual void abstains(AppConnection& connection) = 0;
        /// A request other than a registration was refused.
        virtual void refused(AppConnection& connection, const base::Error& error) = 0;
        /// It wanted more than to look and report, and there is no place for it.
        virtual void turned_away(AppConnection& connection, const base::Error& error) = 0;
        /// A registration was refused. `name`: empty when it gave no valid one.
        virtual void not_watched(AppConnection& connection, const std::string& name, const base::Error& error) = 0;
        /// The last call about `connection`; it was not deregistered when `name()` is not empty.
        virtual void closed(AppConnection& connection) = 0;
    };

    /// Takes ownership of `descriptor`, which does not block.
    AppConnection(MonitorClock& clock, GroupApp& group, int descriptor, Owner& owner);

    void start() { wait(); }
    /// Sends why, and closes without a call of the owner.
    void turn_away(const base::Error& why);
    void close();

    uid_t uid() const { return uid_; }
    pid_t pid() const { return pid_; }
    AppProcess process() const { return {uid_, pid_, started_}; }
    /// Of the registered application; empty when none is.
    const std::string& name() const { return name_; }
    /// How long it may be silent.
    base::Millis patience() const { return interval_ + timeout_; }
    /// True when nothing is registered or subscribed: it may be closed to make room for another.
    bool idle() const { return name_.empty() && !uses_group_ && !wants_actions_; }
    /// Asks it about an action of the cloud; false when it does not want that.
    bool ask(const wire::ActionNotify& notify);
    /// The same as long as it is connected, whether it registers or not, and no other's.
    const std::string& id() const { return id_; }
    /// What it is called in a vote.
    std::string voter() const { return "application " + (name_.empty() ? "pid-" + std::to_string(pid_) : name_); }
    /// True when the process at the other end is gone, though this was not handled yet.
    bool hung_up();
    /// Reads what the process at the other end sent before its end, and closes.
    void process_ended();

private:
    void wait();
    enum class Read { nothing, some, end };
    Read receive();
    bool drain(const std::function<bool()>& is_enough);
    void handle(const app::Register& request);
    void handle(const app::Report& request);
    void handle(const app::Deregister& request);
    void handle(const app::Subscribe& request);
    void handle(const app::Set& request);
    void handle(const app::Forget& request);
    void handle(const app::StatusRequest& request);
    void handle(const app::WantActions& request);
    void handle(const app::Vote& request) { owner_.voted(*this, request); }
    void keep_first();
    void answer(const base::Result<void>& outcome, std::optional<std::int64_t> id);
    void receive_group(std::string_view datagram);
    void handle_group(const wire::GroupPdu& request);
    void deliver(const group::Outgoing& message) override;
    void lost(std::uint64_t count) override { waiting_.add_lost(count); }
    bool may_write();
    void write_waiting();
    void tell_slow(bool slow);
    void ask();
    void unanswered();
    bool take_place();
    void refuse(const base::Error& error, std::optional<std::int64_t> id);
    void refuse_registration(const base::Error& error, const app::Origin& origin);
    bool send(const app::Event& event);
    void end();

    MonitorClock& clock_;
    GroupApp& group_;
    boost::asio::posix::stream_descriptor socket_;
    ProcessWatch process_;
    Owner& owner_;
    std::string id_;
    uid_t uid_ = 0;
    pid_t pid_ = 0;
    std::string started_;
    std::string name_;
    base::Millis interval_{};
    base::Millis timeout_{};
    MonitorTimer timer_;
    std::int64_t last_query_ = 0;
    bool awaits_answer_ = false;
    base::TimePoint asked_at_;
    group::Outbox waiting_;  ///< messages of the server group that it has not read
    bool uses_group_ = false;
    bool wants_actions_ = false;
    bool awaits_room_ = false;
    runtime::Timer room_;  ///< a socket does not tell when less lies in it than it could hold
    bool told_slow_ = false;
    base::TokenBucket kept_first_;  ///< answers that wait for the state file; beyond that it follows within its rate
};

}  // namespace vitalwire::guest
