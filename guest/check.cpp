#include "guest/check.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.hpp"
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

}  // namespace

heartbeat::Health judge_ending(Ending ending, const std::string& output, const std::string& errors) {
    const std::string& words = tidy_reason(output).empty() ? errors : output;
    if (ending.by_signal || (ending.code != kHealthy && ending.code != kUnhealthy)) {
        const std::string said = tidy_reason(words);
        return {false, describe(ending) + (said.empty() ? "" : ": " + said)};
    }
    if (ending.code == kHealthy) return {};
    return {false, tidy_reason(words)};
}

Check::Check(Judge& judge, Children& children, HealthBoard& board, CheckSettings settings)
    : judge_(judge),
      children_(children),
      board_(board),
      settings_(std::move(settings)),
      source_("check " + settings_.name),
      timer_(judge),
      first_start_(judge.now()) {
    run();
}

Check::~Check() {
    if (process_ == 0) return;
    children_.abandon(process_);
    output_->finish();
    errors_->finish();
}

void Check::run() {
    started_ = judge_.now();
    const auto spawned = spawn_shell(settings_.command);
    if (!spawned) {
        report(false, spawned.error().message);
        return run_again();
    }
    process_ = spawned->pid;
    overdue_ = false;
    output_ = std::make_shared<FirstLine>(judge_.io(), spawned->output);
    errors_ = std::make_shared<FirstLine>(judge_.io(), spawned->errors);
    output_->start();
    errors_->start();
    children_.watch(process_, [this](Ending ending) { ended(ending); });
    timer_.arm(started_ + settings_.timeout, [this] { overdue(); });
}

void Check::overdue() {
    // It may have ended in time while this daemon was not there to see it.
    children_.look();
    if (process_ == 0) return;
    overdue_ = true;
    children_.kill(process_);
    report(false, "did not finish within " + std::to_string(settings_.timeout.count()) + " ms");
}

void Check::ended(Ending ending) {
    process_ = 0;
    const std::string output = std::exchange(output_, nullptr)->finish();
    const std::string errors = std::exchange(errors_, nullptr)->finish();
    if (!overdue_) {
        const heartbeat::Health health = judge_ending(ending, output, errors);
        report(health.healthy, health.reason);
    }
    run_again();
}

void Check::run_again() {
    timer_.arm(std::max(started_ + settings_.interval, judge_.now()), [this] { run(); });
}

void Check::report(bool healthy, const std::string& reason) {
    if (!healthy && judge_.now() < first_start_ + settings_.grace) {
        return log::info("a failed check does not count yet", {{"check", settings_.name}, {"reason", reason}});
    }
    board_.set(source_, healthy, reason);
}

Checks::Checks(Judge& judge, Children& children, HealthBoard& board)
    : judge_(judge), children_(children), board_(board) {}

void Checks::configure(const std::vector<CheckSettings>& settings) {
    std::vector<std::unique_ptr<Check>> next;
    for (const CheckSettings& wanted : settings) {
        const auto same =
            std::find_if(checks_.begin(), checks_.end(), [&](const auto& c) { return c && c->settings() == wanted; });
        next.push_back(same == checks_.end() ? nullptr : std::move(*same));
    }
    // One that was only edited keeps what it said until its new self has a result: an edit is no cure.
    for (const auto& gone : checks_) {
        if (gone && std::none_of(settings.begin(), settings.end(),
                                 [&](const CheckSettings& wanted) { return wanted.name == gone->settings().name; }))
            board_.remove(gone->source());
    }
    checks_ = std::move(next);
    for (std::size_t i = 0; i < settings.size(); ++i) {
        if (!checks_[i]) checks_[i] = std::make_unique<Check>(judge_, children_, board_, settings[i]);
    }
}

}  // namespace vitalwire::guest
