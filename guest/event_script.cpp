#include "guest/event_script.hpp"

#include <utility>

#include "base/log.hpp"
#include "guest/probe.hpp"

namespace vitalwire::guest {

using model::VoteResult;

namespace {

constexpr const char* kScript = "event script";
/// Of a script that nobody waits for.
constexpr base::Millis kMostCpu{60'000};

VoteResult result_of(Ending ending) {
    if (ending.by_signal || ending.code > 1) return VoteResult::error;
    return ending.code == 0 ? VoteResult::accept : VoteResult::reject;
}

}  // namespace

EventScript::EventScript(MonitorClock& clock, Children& children, ActionVotes& votes)
    : clock_(clock), children_(children), votes_(votes) {}

void EventScript::stop() {
    while (!runs_.empty())
        over(runs_.begin()->first);
}

std::vector<ActionVotes::Voter> EventScript::ask(const wire::ActionNotify& notify) {
    if (settings_.event_script.empty()) return {};
    const std::string command = settings_.event_script + (notify.revocable ? " revocable " : " irrevocable ") +
                                std::string(model::to_string(notify.event));
    const auto spawned = spawn_shell({command, settings_.user, std::max(notify.timeout, kMostCpu)});
    if (!spawned) {
        log::error("the event script cannot be started", {{"why", spawned.error().message}});
        return {};
    }
    Run& run = runs_[notify.invocation_id];
    run.process = spawned->pid;
    run.output = std::make_shared<FirstLine>(clock_.io(), spawned->output);
    run.errors = std::make_shared<FirstLine>(clock_.io(), spawned->errors);
    run.output->start();
    run.errors->start();
    children_.watch(run.process,
                    [this, invocation = notify.invocation_id](Ending ending) { ended(invocation, ending); });
    return {{kScript, kScript}};
}

void EventScript::over(std::int64_t invocation) {
    const auto found = runs_.find(invocation);
    if (found == runs_.end()) return;
    const Run run = std::move(found->second);
    runs_.erase(found);
    children_.abandon(run.process);
    run.output->finish();
    run.errors->finish();
}

void EventScript::ended(std::int64_t invocation, Ending ending) {
    const auto found = runs_.find(invocation);
    if (found == runs_.end()) return;
    const Run run = std::move(found->second);
    runs_.erase(found);
    const std::string output = run.output->finish();
    const std::string errors = run.errors->finish();
    votes_.vote({kScript, kScript}, invocation, result_of(ending), health_of_ending(ending, output, errors).reason);
}

}  // namespace vitalwire::guest
