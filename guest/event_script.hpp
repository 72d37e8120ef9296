#pragma once

#include <map>
#include <memory>
#include <string>

#include "guest/action_votes.hpp"
#include "guest/children.hpp"
#include "guest/first_line.hpp"
#include "guest/settings.hpp"

namespace vitalwire::guest {

/// The command that is run before and after actions of the cloud, as `COMMAND revocable|irrevocable EVENT`: status 0
/// accepts, 1 rejects, and the first line that it prints is the reason.
class EventScript : public ActionVotes::Voters {
public:
    EventScript(MonitorClock& clock, Children& children, ActionVotes& votes);
    ~EventScript() override { stop(); }

    void configure(const ActionSettings& settings) { settings_ = settings; }
    void stop();

    std::vector<ActionVotes::Voter> ask(const wire::ActionNotify& notify) override;
    void over(std::int64_t invocation) override;

private:
    struct Run {
        pid_t process = 0;
        std::shared_ptr<FirstLine> output;
        std::shared_ptr<FirstLine> errors;
    };

    void ended(std::int64_t invocation, Ending ending);

    MonitorClock& clock_;
    Children& children_;
    ActionVotes& votes_;
    ActionSettings settings_;
    std::map<std::int64_t, Run> runs_;
};

}  // namespace vitalwire::guest
