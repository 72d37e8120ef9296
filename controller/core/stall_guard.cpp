#include "controller/core/stall_guard.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

std::optional<base::Millis> StallGuard::event(base::Moment moment, base::TimePoint due) {
    const auto stood_still = late(moment, due);
    last_ = moment;
    if (moment.steady >= began_at_ + kLate) awaited_.clear();
    return stood_still;
}

/// A machine that is suspended may stop its steady clock: the wall clock is set when it goes on.
std::optional<base::Millis> StallGuard::late(base::Moment moment, base::TimePoint due) const {
    if (!last_ || due == base::kNever) return std::nullopt;
    const base::Duration rest = std::max(due - last_->steady, base::Duration::zero());
    const base::Duration passed = std::max<base::Duration>(
        moment.steady - last_->steady, std::chrono::duration_cast<base::Duration>(moment.wall - last_->wall));
    if (passed - rest <= kStall) return std::nullopt;
    return std::chrono::duration_cast<base::Millis>(passed - rest);
}

void StallGuard::begin(const std::vector<base::HostId>& agents, base::TimePoint now) {
    began_at_ = now;
    holding_ = true;
    awaited_.clear();
    for (const base::HostId& agent : agents)
        awaited_.emplace(agent, std::nullopt);
}

/// It may have connected while nothing ran here, and be gone since.
void StallGuard::connected(const base::HostId& agent, base::TimePoint now) {
    if (holding_) awaited_.insert_or_assign(agent, now);
}

void StallGuard::heard(const base::HostId& agent, base::TimePoint now) {
    const auto at = awaited_.find(agent);
    if (at == awaited_.end()) return;
    if (!at->second) {
        at->second = now;
        holding_ = true;  // its old messages come only now
    } else if (now - *at->second >= kDrain) {
        awaited_.erase(at);
    }
}

bool StallGuard::gone(const base::HostId& agent, base::TimePoint now) {
    const auto at = awaited_.extract(agent);
    return !at.empty() && (at.mapped() || now < began_at_ + kPatience);
}

bool StallGuard::holds(base::Moment moment, base::TimePoint due) const {
    return moment.steady < (holding_ ? until() : base::TimePoint::min()) || late(moment, due);
}

bool StallGuard::ends(base::TimePoint now) {
    if (now < next_due()) return false;
    holding_ = false;
    return true;
}

base::TimePoint StallGuard::until() const {
    base::TimePoint until = began_at_ + kDrain;
    for (const auto& [agent, heard_at] : awaited_)
        until = std::max(until, heard_at.value_or(began_at_) + kPatience);
    return until;
}

}  // namespace vitalwire::controller
