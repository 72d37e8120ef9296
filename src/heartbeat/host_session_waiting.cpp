// HostSession, as far as it goes on over restarts of the agent how long a guest is awaited. What counts is what passed
// while an agent was there: a guest that had no chance to answer is not called lost, and one that had it is, however
// often its agent is restarted.
#include <algorithm>

#include "heartbeat/host_session.hpp"

namespace vitalwire::heartbeat {

using base::kNever;
using base::Millis;
using base::TimePoint;

namespace {
/// T-establish is kept in so many steps, none shorter than this.
constexpr int kEstablishSteps = 20;
constexpr Millis kShortestStep{100};
}  // namespace

/// Of the deadlines that passed before, those beyond the grace are misses.
void HostSession::resume_unanswered() {
    resumed_ = true;
    const Millis left = policy_.resume_grace - waited_.answer;
    grace_until_ = now_ + std::max(left, Millis{});
    if (left > Millis{}) return;
    const auto missed = 1 + -left / std::max(registration_->response_deadline, Millis(1));
    consecutive_misses_ = static_cast<int>(std::min<std::int64_t>(missed, detect_multiplier() - 1));
}

/// A guest that was registered before the restart is being asked, and has not answered since.
bool HostSession::unanswered() const {
    return resumed_ && judged() && connected_[index(registration_->dialect)] && !fault_open(FaultKind::heartbeat_lost);
}

Millis HostSession::establish_step() const {
    return std::max(establish_time_ / kEstablishSteps, kShortestStep);
}

TimePoint HostSession::waiting_due() const {
    TimePoint due = kNever;
    if (unanswered_from_ != kNever) due = unanswered_from_ + registration_->response_deadline;
    if (establish_due() == kNever) return due;
    return std::min(due, establish_by_ - establish_time_ + waited_.registration + establish_step());
}

void HostSession::count_waiting() {
    Waited waited = waited_;
    if (!unanswered()) {
        unanswered_from_ = kNever;
    } else if (unanswered_from_ != kNever && now_ >= unanswered_from_ + registration_->response_deadline) {
        waited.answer += registration_->response_deadline;
        unanswered_from_ = by_guest_agent() ? kNever : now_;
    }
    if (!resumed_ || fault_open(FaultKind::heartbeat_lost)) waited.answer = {};
    if (establish_by_ == kNever) {
        waited.registration = {};
    } else if (establish_due() != kNever) {
        const auto ran = std::chrono::duration_cast<Millis>(now_ - (establish_by_ - establish_time_));
        waited.registration = ran - ran % establish_step();
    }
    if (waited == waited_) return;
    waited_ = waited;
    actions_->emplace_back(SaveWaited{waited_});
}

}  // namespace vitalwire::heartbeat
