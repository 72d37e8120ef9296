#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/sdk_record.hpp"
#include "heartbeat/guest_session.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::guest {

/// One application of the guest SDK's heartbeat interface: sends it a challenge every interval, one at a time, and
/// notices when no answer comes within two intervals. As with the SDK's daemon, the end of its connection deregisters.
class SdkApplication : public std::enable_shared_from_this<SdkApplication> {
public:
    /// Decides about names, and is notified of health.
    class Owner {
    public:
        virtual ~Owner() = default;
        /// What `application`, which calls itself `wanted`, is called.
        virtual base::Result<std::string> admit(SdkApplication& application, const std::string& wanted) = 0;
        /// It has registered once more, with nothing said of its health; `earlier`: what it was called.
        virtual void registered_again(SdkApplication& application, const std::string& earlier) = 0;
        /// `name`: that it called itself; it wanted to be watched.
        virtual void refused(SdkApplication& application, const std::string& name, const base::Error& error) = 0;
        virtual void health_changed(SdkApplication& application, const heartbeat::Health& health) = 0;
        /// Its answer to a question about an action of the cloud.
        virtual void voted(SdkApplication& application, std::int64_t invocation, model::VoteResult result,
                           const std::string& reason) = 0;
        /// `application.name()` is not watched any more.
        virtual void deregistered(SdkApplication& application) = 0;
        /// Whether a log line that `application` caused may be written.
        virtual bool may_log(const SdkApplication& application) = 0;
        /// It sent bytes that are no records. Called once.
        virtual void malformed(SdkApplication& application) = 0;
        /// The last call about `application`, which is not registered.
        virtual void closed(SdkApplication& application) = 0;
    };

    /// Takes ownership of `descriptor`, which does not block.
    SdkApplication(MonitorClock& clock, int descriptor, Owner& owner);

    void start() { wait(); }
    /// Without a call of the owner.
    void close();

    uid_t uid() const { return uid_; }
    pid_t pid() const { return pid_; }
    /// Asks it about an action of the cloud; false when it is not registered.
    bool ask(const wire::ActionNotify& notify);
    /// Empty when it is not registered.
    const std::string& name() const { return name_; }
    /// How long it may be silent.
    base::Millis patience() const { return 2 * interval_; }
    /// True when the other end is closed, though this was not handled yet.
    bool hung_up();

private:
    void wait();
    /// False when there is nothing more to read.
    bool receive();
    void handle_records();
    void handle(const sdk::Record& record);
    void register_it(const sdk::Record& init);
    void refuse(const std::string& name, const base::Error& error);
    void take_answer(const sdk::Record& answer);
    void take_vote(const sdk::Record& answer);
    void deregister(const std::string& why);
    void ask();
    void unanswered();
    /// Ends the connection of one that does not read.
    void send(sdk::RecordType type, std::initializer_list<std::uint32_t> numbers);
    void end(const std::string& why);

    MonitorClock& clock_;
    boost::asio::posix::stream_descriptor socket_;
    Owner& owner_;
    uid_t uid_ = 0;
    pid_t pid_ = 0;
    sdk::RecordReader reader_;
    std::string name_;
    base::Millis interval_{};
    model::CorrectiveAction action_ = model::CorrectiveAction::none;  ///< wanted when it does not answer
    MonitorTimer timer_;
    MonitorTimer refusal_;
    std::uint32_t sequence_ = 0;
    std::uint32_t challenge_ = 0;
    bool awaits_answer_ = false;
    bool refusing_ = false;  ///< a refusal is to be sent
    bool told_malformed_ = false;
    base::TimePoint asked_at_;
    base::TimePoint answered_at_;
};

}  // namespace vitalwire::guest
