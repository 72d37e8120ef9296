// HostSession, as far as the QEMU guest agent is concerned: who asks it is not the session, because a call to libvirt
// decides by itself when it gives up, and each answer or silence is one event.
#include <algorithm>

#include "heartbeat/host_session.hpp"
#include "heartbeat/registration.hpp"

namespace vitalwire::heartbeat {

using wire::Dialect;

bool HostSession::by_guest_agent() const {
    return registration_ && registration_->dialect == Dialect::guest_agent;
}

/// A heartbeat of the guest's own says more, and a guest that had one is expected to have it again after a reboot.
bool HostSession::wants_guest_agent() const {
    return policy_.enabled && policy_.guest_agent && !own_heartbeat_;
}

/// While the machine reboots its agent is asked: the answer is how the end of the reboot is known.
bool HostSession::guest_agent_counts() const {
    return !stopped_ && (!inhibit_ || inhibit_ == Inhibit::rebooting || inhibit_ == Inhibit::not_listed);
}

void HostSession::on(const GuestAgentAnswered& event) {
    if (!guest_agent_due()) return;
    ++counters_.challenges;
    if (!registration_) register_guest_agent();
    accept_response(event.waited);
}

void HostSession::register_guest_agent() {
    registration_ = registration_of_guest_agent(policy_, wall_);
    registration_->session = ids_->session_id();
    registration_->run = run_;
    was_registered_ = true;
    crashed_ = false;
    closed_at_ = {};
    if (inhibit_ == Inhibit::rebooting) release();
    actions_->emplace_back(SaveRegistration{registration_, false, {}});
}

void HostSession::on(const GuestAgentSilent& event) {
    if (!by_guest_agent() || !judged()) return;
    // Whoever asked it has waited for a whole deadline.
    if (unanswered()) unanswered_from_ = now_ - registration_->response_deadline;
    if (now_ < grace_until_) return;
    ++counters_.challenges;
    ++counters_.misses;
    consecutive_misses_ = std::min(consecutive_misses_ + 1, detect_multiplier());
    if (consecutive_misses_ == detect_multiplier())
        open(FaultKind::heartbeat_lost, std::string(kGuestAgentEvidence), event.reason);
}

}  // namespace vitalwire::heartbeat
