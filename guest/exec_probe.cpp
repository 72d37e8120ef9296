#include "guest/exec_probe.hpp"

#include <cstring>
#include <utility>

#include "guest/reason.hpp"

namespace vitalwire::guest {

namespace {

constexpr int kHealthy = 0;
constexpr int kUnhealthy = 1;

std::string describe(Ending ending) {
    if (!ending.by_signal) return "exit status " + std::to_string(ending.code) + " (expected 0 or 1)";
    const char* name = ::sigabbrev_np(ending.code);
    return "killed by signal " + (name == nullptr ? std::to_string(ending.code) : std::string("SIG") + name);
}

heartbeat::Health health_of_unit(const std::string& unit, Ending ending, const std::string& output,
                                 const std::string& errors) {
    if (!ending.by_signal && ending.code == kHealthy) return {};
    const std::string state = tidy_reason(output);
    if (!state.empty()) return {false, "unit " + unit + " is " + state};
    return {false, "cannot ask for unit " + unit + ": " + describe(ending) + " " + tidy_reason(errors)};
}

/// The unit's name has no character that the shell looks at.
std::string command_of(const CheckSettings& check) {
    return check.type == CheckType::systemd ? "exec systemctl is-active -- " + check.target : check.target;
}

}  // namespace

heartbeat::Health health_of_ending(Ending ending, const std::string& output, const std::string& errors) {
    const std::string& words = tidy_reason(output).empty() ? errors : output;
    if (ending.by_signal || (ending.code != kHealthy && ending.code != kUnhealthy)) {
        const std::string said = tidy_reason(words);
        return {false, describe(ending) + (said.empty() ? "" : ": " + said)};
    }
    if (ending.code == kHealthy) return {};
    return {false, tidy_reason(words)};
}

ExecProbe::ExecProbe(MonitorClock& clock, Children& children, const CheckSettings& check, Done done)
    : children_(children),
      unit_(check.type == CheckType::systemd ? check.target : ""),
      done_(std::move(done)),
      run_(clock.io(), children, {command_of(check), check.user},
           [this](const ShellRun::Outcome& outcome) { ended(outcome); }) {}

void ExecProbe::ended(const ShellRun::Outcome& outcome) {
    const auto& [problem, ending, output, errors] = outcome;
    const Done done = std::move(done_);  // it may destroy this probe
    if (!problem.empty()) return done({false, problem});
    done(unit_.empty() ? health_of_ending(ending, output, errors) : health_of_unit(unit_, ending, output, errors));
}

}  // namespace vitalwire::guest
