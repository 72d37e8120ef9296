#include "guest/check.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

namespace {

std::string check_source(const CheckSettings& settings) {
    return "check " + settings.name;
}

/// Takes what a check has set off the board.
void remove_from(HealthBoard& board, const CheckSettings& settings) {
    board.remove(check_source(settings));
    board.withdraw_warning(check_source(settings));
}

}  // namespace

Check::Check(MonitorClock& clock, Children& children, HealthBoard& board, CheckSettings settings,
             std::function<bool()> held)
    : clock_(clock),
      children_(children),
      board_(board),
      settings_(std::move(settings)),
      held_(std::move(held)),
      source_(check_source(settings_)),
      timer_(clock),
      first_start_(clock.now()) {
    timer_.arm(clock.now(), [this] { run(); });
}

std::string_view Check::state() const {
    if (has_failed_) return settings_.role == CheckRole::readiness ? "not ready" : "unhealthy";
    if (succeeded_) return "healthy";
    return "starting";
}

void Check::run() {
    started_ = clock_.now();
    // What has run goes on, whatever a reload adds.
    if (settings_.role != CheckRole::startup && !has_run_ && held_()) {
        first_start_ = started_;
        return timer_.arm(started_ + settings_.interval, [this] { run(); });
    }
    has_run_ = true;
    overdue_ = false;
    probe_ = start_probe(clock_, children_, settings_, [this](const heartbeat::Health& health) { ended(health); });
    timer_.arm(started_ + settings_.timeout, [this] { overdue(); });
}

void Check::overdue() {
    // It may have ended in time while this daemon was not there to see it.
    probe_->look();
    if (!probe_) return;
    const std::string late = "did not finish within " + std::to_string(settings_.timeout.count()) + " ms";
    // What hangs in the kernel cannot be killed: that it has not ended is what each further run would find.
    timer_.arm(clock_.now() + settings_.interval, [this] { overdue(); });
    if (std::exchange(overdue_, true)) return count({false, late + ", and does not end when it is killed"});
    const std::string awaited = probe_->awaits();
    probe_->stop();
    count({false, late + (awaited.empty() ? "" : ": " + awaited)});
}

void Check::ended(const heartbeat::Health& health) {
    probe_.reset();
    if (!overdue_) count(health);
    if (settings_.role == CheckRole::startup && succeeded_) return timer_.cancel();
    run_again();
}

void Check::run_again() {
    timer_.arm(std::max(started_ + settings_.interval, clock_.now()), [this] { run(); });
}

void Check::count(const heartbeat::Health& health) {
    if (health.healthy) {
        failures_ = 0;
        if (++successes_ >= settings_.successes) succeeded();
        return;
    }
    successes_ = 0;
    const bool in_grace = clock_.now() < first_start_ + settings_.grace;
    if (in_grace || ++failures_ < settings_.failures) {
        return log::info("a failed check does not count yet", {{"check", settings_.name}, {"reason", health.reason}});
    }
    failed(health.reason);
}

void Check::failed(const std::string& reason) {
    has_failed_ = true;
    reason_ = reason;
    // The other place may still have what this check said before its role was edited.
    if (settings_.role == CheckRole::readiness) {
        board_.warn(source_, "not ready" + (reason.empty() ? "" : ": " + reason));
        return board_.remove(source_);
    }
    board_.set(source_, false, reason);
    board_.withdraw_warning(source_);
}

void Check::succeeded() {
    succeeded_ = true;
    has_failed_ = false;
    reason_.clear();
    board_.set(source_, true, {});
    board_.withdraw_warning(source_);
}

Checks::Checks(MonitorClock& clock, Children& children, HealthBoard& board)
    : clock_(clock), children_(children), board_(board) {}

void Checks::configure(const std::vector<CheckSettings>& settings) {
    std::vector<std::unique_ptr<Check>> next;
    for (const CheckSettings& wanted : settings) {
        const auto same =
            std::find_if(checks_.begin(), checks_.end(), [&](const auto& c) { return c && c->settings() == wanted; });
        next.push_back(same == checks_.end() ? nullptr : std::move(*same));
    }
    // One that was only edited has failed until its new self has a result: an edit is no cure, nor is a restart after
    // it. And it waits for no startup check again.
    std::set<std::string> ran_before;
    for (const auto& gone : checks_) {
        if (!gone) continue;
        const std::string& name = gone->settings().name;
        const bool is_edited = std::any_of(settings.begin(), settings.end(),
                                           [&](const CheckSettings& wanted) { return wanted.name == name; });
        if (!is_edited) remove_from(board_, gone->settings());
        if (is_edited && gone->has_failed()) failed_before_[name] = gone->reason();
        if (gone->has_run()) ran_before.insert(name);
    }
    checks_ = std::move(next);
    for (std::size_t i = 0; i < settings.size(); ++i) {
        if (checks_[i]) continue;
        const bool was_held = !ran_before.contains(settings[i].name);
        checks_[i] = std::make_unique<Check>(clock_, children_, board_, settings[i],
                                             [this, was_held] { return was_held && starting(); });
        const auto before = failed_before_.find(settings[i].name);
        if (before != failed_before_.end()) checks_[i]->restore(before->second);
    }
    failed_before_.clear();
}

void Checks::keep(std::vector<Kept>& out) const {
    for (const auto& check : checks_) {
        if (!check || !check->has_failed()) continue;
        Kept kept{"check", check->settings().name};
        kept.health = {false, check->reason()};
        out.push_back(std::move(kept));
    }
}

bool Checks::starting() const {
    return std::any_of(checks_.begin(), checks_.end(), [](const auto& check) { return check && check->is_starting(); });
}

}  // namespace vitalwire::guest
