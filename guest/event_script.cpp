#include "guest/event_script.hpp"

#include <utility>

#include "base/log.hpp"
#include "guest/probe.hpp"

namespace vitalwire::guest {

using model::VoteResult;

namespace {

constexpr const char* kScript = "event script";
/// That run at once before one more that nobody waits for is left out.
constexpr std::size_t kMostRuns = 32;

VoteResult result_of(Ending ending) {
    if (ending.by_signal || ending.code > 1) return VoteResult::error;
    return ending.code == 0 ? VoteResult::accept : VoteResult::reject;
}

}  // namespace

EventScript::EventScript(MonitorClock& clock, Children& children, ActionVotes& votes)
    : clock_(clock), children_(children), votes_(votes) {}

std::vector<ActionVotes::Voter> EventScript::ask(const wire::ActionNotify& notify) {
    if (settings_.event_script.empty()) return {};
    if (notify.timeout == base::Millis::zero() && runs_.size() >= kMostRuns) {
        log::warning("the event script is not run: too many run already", {{"event", model::to_string(notify.event)}});
        return {};
    }
    const std::string command = settings_.event_script + (notify.revocable ? " revocable " : " irrevocable ") +
                                std::string(model::to_string(notify.event));
    const std::int64_t invocation = notify.invocation_id;
    runs_.try_emplace(invocation, clock_.io(), children_, ShellCommand{command, settings_.user},
                      [this, invocation](const ShellRun::Outcome& outcome) { ended(invocation, outcome); });
    return {{kScript, kScript}};
}

void EventScript::ended(std::int64_t invocation, const ShellRun::Outcome& outcome) {
    runs_.erase(invocation);
    const auto& [problem, ending, output, errors] = outcome;
    if (!problem.empty()) log::error("the event script cannot be started", {{"why", problem}});
    votes_.vote({kScript, kScript}, invocation, problem.empty() ? result_of(ending) : VoteResult::error,
                problem.empty() ? health_of_ending(ending, output, errors).reason : problem);
}

}  // namespace vitalwire::guest
