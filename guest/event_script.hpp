#pragma once

#include <map>
#include <string>

#include "guest/action_votes.hpp"
#include "guest/children.hpp"
#include "guest/settings.hpp"
#include "guest/shell_run.hpp"

namespace vitalwire::guest {

/// The command that is run before and after actions of the cloud, as `COMMAND revocable|irrevocable EVENT`: status 0
/// accepts, 1 rejects, and the first line that it prints is the reason.
class EventScript : public ActionVotes::Voters {
public:
    EventScript(MonitorClock& clock, Children& children, ActionVotes& votes);
    ~EventScript() override { stop(); }

    void configure(const ActionSettings& settings) { settings_ = settings; }
    void stop() { runs_.clear(); }

    std::vector<ActionVotes::Voter> ask(const wire::ActionNotify& notify) override;
    void over(std::int64_t invocation) override { runs_.erase(invocation); }

private:
    void ended(std::int64_t invocation, const ShellRun::Outcome& outcome);

    MonitorClock& clock_;
    Children& children_;
    ActionVotes& votes_;
    ActionSettings settings_;
    std::map<std::int64_t, ShellRun> runs_;
};

}  // namespace vitalwire::guest
