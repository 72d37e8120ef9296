#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "guest/monitor_clock.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::guest {

/// Asks the event script and the applications of this guest before an action of the cloud, and joins their answers: the
/// worst is the guest's (proto-spec/heartbeat.md, section 9).
class ActionVotes {
public:
    using Answer = std::function<void(const wire::ActionNotify&, model::VoteResult, const std::string& reason)>;
    /// One who is asked.
    struct Voter {
        std::string id;    ///< the same while it is there, and no other's
        std::string name;  ///< for people; it may get another one before it answers
    };
    /// Some of those who are asked.
    class Voters {
    public:
        using Voter = ActionVotes::Voter;

        virtual ~Voters() = default;
        /// Returns those that it has asked; each answers with `vote`, later.
        virtual std::vector<Voter> ask(const wire::ActionNotify& notify) = 0;
        /// Nobody waits for an answer any longer.
        virtual void over(std::int64_t /*invocation*/) {}
    };

    ActionVotes(MonitorClock& clock, Answer answer);

    void add(Voters& voters) { voters_.push_back(&voters); }
    void asked(const wire::ActionNotify& notify);
    void vote(const Voter& voter, std::int64_t invocation, model::VoteResult result, const std::string& reason);
    /// It cannot answer any more, and has nothing against it.
    void left(const std::string& id);
    void stop() { polls_.clear(); }

private:
    struct Poll {
        wire::ActionNotify notify;
        std::map<std::string, std::string> awaited;  ///< names by id
        model::VoteResult worst = model::VoteResult::accept;
        std::string reason;
        std::unique_ptr<MonitorTimer> timer;
    };

    bool make_room(const wire::ActionNotify& notify);
    void count(Poll& poll, model::VoteResult result, const std::string& reason);
    void time_is_up(std::int64_t invocation);
    void finish(std::int64_t invocation);

    MonitorClock& clock_;
    Answer answer_;
    std::vector<Voters*> voters_;
    std::map<std::int64_t, Poll> polls_;  ///< by invocation
};

}  // namespace vitalwire::guest
