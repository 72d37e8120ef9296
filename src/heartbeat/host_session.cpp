#include "heartbeat/host_session.hpp"

#include <algorithm>
#include <utility>

#include "heartbeat/registration.hpp"

namespace vitalwire::heartbeat {

using base::Errc;
using base::kNever;
using base::Millis;
using base::TimePoint;
using wire::Dialect;

namespace {

/// Challenges of many guests fall on common instants, a tenth of the interval apart but no more than this: a host that
/// wakes up for each alone spends more on waking up than on the challenge.
constexpr Millis kWidestGrid{100};

/// The hypervisor reports it: it needs no heartbeat of the guest.
constexpr bool is_of_machine(FaultKind kind) {
    return kind == FaultKind::vm_crashed || kind == FaultKind::stopped_by_host || kind == FaultKind::watchdog_fired;
}

}  // namespace

HostSession::HostSession(HostPolicy policy, IdGenerator& ids) : policy_(policy), ids_(&ids) {}

void HostSession::resume(SaveRegistration saved, const std::vector<OpenFault>& open_faults, TimePoint now) {
    now_ = now;
    registration_ = std::move(saved.registration);
    was_registered_ = registration_ || saved.expected_back;
    own_heartbeat_ = registration_ ? !by_guest_agent() : saved.own_heartbeat;
    if (registration_) run_ = registration_->run;
    restart_time_ = saved.restart_time;
    for (const OpenFault& fault : open_faults) {
        open_[static_cast<std::size_t>(fault.kind)] = true;
        detail_[static_cast<std::size_t>(fault.kind)] = fault.detail;
        if (fault.kind != FaultKind::unhealthy) continue;
        unhealthy_reason_ = fault.reason;
        told_action_ = fault.corrective_action;
        // Whether an answer named it or the registration does is not kept.
        if (registration_ && told_action_ != registration_->corrective_action) unhealthy_action_ = told_action_;
    }
    crashed_ = fault_open(FaultKind::vm_crashed);
    expect_registration();
    if (!registration_) return;
    resume_unanswered();
    // Ten thousand sessions resumed at once must not be challenged in step from then on.
    const auto phase = Millis(ids_->challenge() % std::max<std::int64_t>(registration_->interval.count(), 1));
    next_challenge_at_ = now + phase;
}

void HostSession::step(const HostEvent& event, TimePoint now, base::WallTime wall, HostActions& actions) {
    now_ = now;
    wall_ = wall;
    actions_ = &actions;
    std::visit([this](const auto& e) { on(e); }, event);
    hold_establish_timer();
    expect_registration();
    count_waiting();
    actions_ = nullptr;
}

TimePoint HostSession::next_deadline() const {
    if (has_to_switch_off()) return now_;
    TimePoint next = std::min({inhibited_until_, establish_due(), waiting_due()});
    if (challenging()) next = std::min(next, challenge_due());
    if (judged()) next = std::min(next, judgement_at());
    return next;
}

bool HostSession::judged() const {
    return registration_ && policy_.enabled && !inhibit_ && !barred() && !crashed_ && !stopped_;
}

bool HostSession::barred() const {
    if (registration_) return barred_[index(registration_->dialect)];
    const bool connected = connected_[index(Dialect::native)] || connected_[index(Dialect::cgcs)];
    return !connected && (barred_[index(Dialect::native)] || barred_[index(Dialect::cgcs)]);
}

/// A VM that migrates or shuts down still runs: it is challenged, so that it does not take its host for dead, and not
/// judged. One of which nobody can say how it is may run, and its answer says so. A session of which the guest does not
/// know yet is not challenged.
bool HostSession::challenging() const {
    const bool may_run =
        copies_memory(inhibit_) || inhibit_ == Inhibit::shutting_down || inhibit_ == Inhibit::not_listed;
    const bool runs = judged() || (registration_ && policy_.enabled && may_run);
    return runs && !pending_ack_ && !by_guest_agent();
}

/// The earliest deadline that runs; after the channel ended not before the reason for that may have come.
TimePoint HostSession::judgement_at() const {
    const TimePoint deadline = window_.deadline();
    if (deadline == kNever || closed_at_ == TimePoint{}) return deadline;
    return std::max(deadline, closed_at_ + close_grace_);
}

/// In revision 0 the last challenge is judged before the next one takes its place, also when it was sent a little late.
/// In a grace guests are challenged on: the first challenge may be lost.
TimePoint HostSession::challenge_due() const {
    if (!serial()) return next_challenge_at_;
    const TimePoint judgement = judgement_at();
    const bool waits = judgement != kNever && judgement > grace_until_;
    return waits ? std::max(next_challenge_at_, judgement) : next_challenge_at_;
}

int HostSession::detect_multiplier() const {
    return heartbeat::detect_multiplier(policy_, registration_->dialect);
}

void HostSession::on(const Connected& event) {
    connected_[index(event.dialect)] = true;
    barred_[index(event.dialect)] = false;
    if (event.dialect == Dialect::native && pending_exit_) {
        send(Dialect::native, *pending_exit_);
        pending_exit_.reset();
    }
    if (!registration_ && event.dialect == Dialect::native) return invite();
    if (!registration_ || registration_->dialect != event.dialect) return;
    closed_at_ = {};
    reconnected();
}

/// A guest that waits for a host to want it does not know that one does.
void HostSession::invite() {
    if (!policy_.enabled || registration_) return;
    wire::Nack nack;
    nack.code = Errc::no_session;
    nack.message = "not registered: send init";
    nack.orig_msg_type = "unknown";
    send(Dialect::native, std::move(nack));
}

void HostSession::on(const Closed& event) {
    connected_[index(event.dialect)] = false;
    if (!registration_ || registration_->dialect != event.dialect) return;
    closed_at_ = now_;
    close_grace_ = event.grace;
}

void HostSession::on(const Received& event) {
    if (const auto* init = std::get_if<wire::Init>(&event.pdu)) return receive(event.dialect, *init);
    if (const auto* response = std::get_if<wire::ChallengeResponse>(&event.pdu))
        return receive(event.dialect, *response);
    if (const auto* exit = std::get_if<wire::Exit>(&event.pdu)) return receive(event.dialect, *exit);
    // The vote of a cgcs guest on an action that nobody asked about, or a message only a host sends: no effect.
    ++counters_.stale;
}

/// An init is a claim, not evidence: it clears no fault, and the earliest deadline that runs holds for the first answer
/// of the new session.
void HostSession::receive(Dialect dialect, const wire::Init& init) {
    if (auto objection = objection_to(init, dialect, policy_)) return send(dialect, std::move(*objection));
    if (dialect == Dialect::cgcs && native_holds()) {
        const std::string text = "this guest is registered on its channel " + std::string(wire::kNativeChannel);
        return send(dialect, reject(init, Errc::unavailable, text));
    }
    if (judged()) answer_by_ = std::min(answer_by_, window_.deadline());
    count_unanswered();
    Registration fresh = registration_of(init, dialect, policy_, wall_);
    const bool unacknowledged = pending_ack_ && registration_->dialect == dialect;
    if (!unacknowledged) registered_at_ = now_;
    fresh.session = unacknowledged ? registration_->session : ids_->session_id();
    fresh.run = run_;
    registration_ = std::move(fresh);
    was_registered_ = own_heartbeat_ = true;
    left_by_ = TimePoint::min();
    crashed_ = false;
    stopped_ = false;
    closed_at_ = {};
    if (inhibit_ == Inhibit::rebooting) release();
    window_.clear();
    pending_exit_.reset();
    next_challenge_at_ = kNever;
    actions_->emplace_back(SaveRegistration{registration_, false, {}});
    pending_ack_ = wire::InitAck{init.invocation_id, registration_->revision, registration_->session,
                                 registration_->interval, registration_->response_deadline};
    if (!policy_.ack_when_saved) acknowledge();
}

/// A guest that speaks both is watched by its native session, as long as that lives. After it was lost who speaks now
/// takes its place; the fault ends with an answer, as always.
bool HostSession::native_holds() const {
    return registration_ && registration_->dialect == Dialect::native && !fault_open(FaultKind::heartbeat_lost);
}

void HostSession::on(const Saved& event) {
    if (pending_ack_ && pending_ack_->session == event.session) acknowledge();
}

void HostSession::acknowledge() {
    // The time that this host's disk took is not the guest's.
    if (answer_by_ != kNever) answer_by_ += now_ - registered_at_;
    send(registration_->dialect, std::move(*pending_ack_));
    pending_ack_.reset();
    challenge_soon();
}

void HostSession::receive(Dialect dialect, const wire::ChallengeResponse& response) {
    const bool of_this_session = registration_ && registration_->dialect == dialect &&
                                 (dialect == Dialect::cgcs || registration_->session == response.session);
    if (!of_this_session) {
        ++counters_.stale;
        wire::Nack nack;
        nack.code = Errc::no_session;
        nack.message = "no such session: send init";
        nack.orig_msg_type = "challenge_response";
        if (dialect == Dialect::native) nack.session = response.session;
        return send(dialect, std::move(nack));
    }
    const auto [answer, waited] = window_.answered(response.value, now_);
    if (answer == ChallengeWindow::Answer::stale) {
        ++counters_.stale;
        return;
    }
    if (answer == ChallengeWindow::Answer::in_time) {
        accept_response(waited);
    } else if (!inhibit_) {
        ++counters_.late;
        late_since_answer_ = true;
        if (fault_open(FaultKind::heartbeat_lost)) open(FaultKind::heartbeat_lost, "late");
    }
    judge_health(response);
}

void HostSession::receive(Dialect dialect, const wire::Exit& exit) {
    if (!registration_ || registration_->dialect != dialect) return;
    if (dialect == Dialect::native && registration_->session != exit.session) {
        ++counters_.stale;
        return;
    }
    // It is no evidence that the guest is well: what is open stays. T-establish, if it is awaited again, resumes where
    // the init suspended it, unless an answer has shown since that the guest lives.
    forget_registration(false);
    left_by_ = now_ + policy_.establish_timeout;
}

void HostSession::on(const FaultAdopted& event) {
    const auto slot = static_cast<std::size_t>(event.kind);
    open_[slot] = true;
    detail_[slot] = event.detail;
    if (event.kind == FaultKind::vm_crashed && !registration_) crashed_ = true;
}

void HostSession::on(const FaultEnded& event) {
    const auto slot = static_cast<std::size_t>(event.kind);
    open_[slot] = false;
    detail_[slot].clear();
    if (event.kind == FaultKind::vm_crashed) crashed_ = false;
    if (event.kind == FaultKind::not_established) start_establish_timer();
}

void HostSession::on(const PolicyChanged& event) {
    const bool was_enabled = policy_.enabled;
    policy_ = event.policy;
    if (!policy_.enabled) return switch_off();
    if (!was_enabled) invite();
    if (!policy_.required && !was_registered_) clear(FaultKind::not_established, "disabled");
    if (by_guest_agent() && !policy_.guest_agent) return end_watch("disabled");
    apply_policy_times();
}

/// A guest that declared no detection time of its own has the policy's, also when that changes.
void HostSession::apply_policy_times() {
    if (!registration_ || serial()) return;
    const Times times = times_of(*registration_, policy_);
    if (times == Times{registration_->interval, registration_->response_deadline}) return;
    registration_->interval = times.interval;
    registration_->response_deadline = times.deadline;
    next_challenge_at_ = std::min(next_challenge_at_, now_ + times.interval);
    actions_->emplace_back(SaveRegistration{registration_, false, {}});
}

/// Heartbeat and the faults of the machine are switched on and off each by itself.
bool HostSession::is_switched_off(FaultKind kind) const {
    return !policy_.enabled && !(is_of_machine(kind) && policy_.machine_faults);
}

bool HostSession::has_to_switch_off() const {
    const auto left = [this](FaultKind kind) { return fault_open(kind) && is_switched_off(kind); };
    const auto& kinds = model::all_fault_kinds();
    return !policy_.enabled && (registration_ || was_registered_ || std::any_of(kinds.begin(), kinds.end(), left));
}

void HostSession::switch_off() {
    if (registration_ && registration_->dialect == Dialect::native) {
        wire::Exit exit{registration_->session, "heartbeat is not enabled for this guest"};
        if (connected_[index(Dialect::native)]) {
            send(Dialect::native, std::move(exit));
        } else {
            pending_exit_ = std::move(exit);
        }
    }
    forget_registration(false);
    for (const FaultKind kind : model::all_fault_kinds()) {
        if (is_switched_off(kind)) clear(kind, "disabled");
    }
}

void HostSession::on(const Tick&) {
    if (has_to_switch_off()) return switch_off();
    if (now_ >= establish_due()) {
        establish_by_ = kNever;
        if (inhibit_ == Inhibit::rebooting) release();
        if (!fault_open(FaultKind::heartbeat_lost) && !fault_open(FaultKind::vm_crashed))
            open(FaultKind::not_established, "");
    }
    if (now_ >= inhibited_until_) judge_again();
    if (miss_due(now_)) judge_misses();
    if (challenging() && now_ >= challenge_due()) send_challenge();
}

void HostSession::accept_response(std::optional<base::Duration> waited) {
    ++counters_.responses;
    if (waited) round_trips_.record(*waited, now_);
    consecutive_misses_ = 0;
    unanswered_ran_ = {};
    late_since_answer_ = false;
    reconnected_ = resumed_ = false;
    grace_until_ = {};
    establish_by_ = kNever;
    if (inhibit_ == Inhibit::not_listed) release();
    // Of ill health an answer speaks by itself; of all else it is the evidence.
    for (const FaultKind kind : {FaultKind::heartbeat_lost, FaultKind::stopped_by_host, FaultKind::watchdog_fired})
        clear(kind, "recovered");
    for (const FaultKind kind : {FaultKind::not_established, FaultKind::vm_crashed})
        clear(kind, "registered");
}

/// The action of an answer is about the ill health that it reports, and "none" leaves the one named before: a cgcs
/// guest names it once a minute. What was registered is what a hang calls for, and stays.
void HostSession::judge_health(const wire::ChallengeResponse& response) {
    // The reason of ill health has the guest's warnings, too.
    warning_ = response.healthy ? response.reason : "";
    if (response.healthy) return clear(FaultKind::unhealthy, "recovered");
    auto action = response.corrective_action;
    if (action == model::CorrectiveAction::none) action.reset();
    const bool is_open = fault_open(FaultKind::unhealthy);
    if (action) unhealthy_action_ = action;
    // Where no answer named any it is the registration's, which may be another one than when the fault opened.
    const auto called_for = unhealthy_action_.value_or(registration_->corrective_action);
    const bool another_action = std::exchange(told_action_, called_for) != called_for;
    if (is_open && !another_action && response.reason == unhealthy_reason_) return;
    unhealthy_reason_ = response.reason;
    if (is_open) {
        actions_->emplace_back(UpdateFault{FaultKind::unhealthy, "", response.reason,
                                           another_action ? std::optional(called_for) : std::nullopt});
        return;
    }
    open_[static_cast<std::size_t>(FaultKind::unhealthy)] = true;
    actions_->emplace_back(OpenFault{FaultKind::unhealthy, "", response.reason, action});
}

void HostSession::reconnected() {
    // The challenges that are out may be lost with the old connection: the guest gets a fresh one with a full deadline.
    // Once: a channel that comes and goes without an answer must not put off its deadline each time.
    if (reconnected_ && window_.deadline() != kNever) return;
    reconnected_ = true;
    challenge_soon();
}

void HostSession::challenge_soon() {
    window_.stop_deadlines();
    next_challenge_at_ = registration_ ? now_ : kNever;
}

void HostSession::send_challenge() {
    ++counters_.challenges;
    const std::int64_t value = ids_->challenge();
    const TimePoint deadline = std::max(now_ + registration_->response_deadline, grace_until_);
    window_.sent(value, now_, std::min(deadline, answer_by_));
    answer_by_ = kNever;
    next_challenge_at_ = next_challenge();
    if (unanswered() && unanswered_from_ == kNever) unanswered_from_ = now_;
    send(registration_->dialect, wire::Challenge{registration_->session, value});
}

/// A challenge every interval at fixed instants; after a delay of more than an interval these start again from now. To
/// come to the instants that it shares with others the first interval is shorter, because a longer one would exceed the
/// detection time; in revision 0 longer, because the deadline of the last challenge fills the whole interval.
TimePoint HostSession::next_challenge() const {
    const Millis interval = registration_->interval;
    const TimePoint planned = next_challenge_at_ + interval;
    const TimePoint next = planned > now_ ? planned : now_ + interval;
    const Millis grid = std::clamp(interval / 10, Millis(1), kWidestGrid);
    // An interval that does not fit the grid would change with every challenge.
    if (interval % grid != Millis::zero()) return next;
    const base::Duration beyond = next.time_since_epoch() % grid;
    if (beyond == base::Duration::zero()) return next;
    return serial() ? next - beyond + grid : next - beyond;
}

void HostSession::judge_misses() {
    const int missed = window_.expire(now_);
    counters_.misses += static_cast<std::uint64_t>(missed);
    if (missed > 0) unanswered_ran_ = {};
    consecutive_misses_ = std::min(consecutive_misses_ + missed, detect_multiplier());
    if (consecutive_misses_ < detect_multiplier()) return;
    if (!connected_[index(registration_->dialect)]) return open(FaultKind::heartbeat_lost, "channel_closed");
    open(FaultKind::heartbeat_lost, late_since_answer_ ? "late" : "silent");
}

void HostSession::send(Dialect dialect, wire::HeartbeatPdu pdu) {
    if (!connected_[index(dialect)]) return;
    actions_->emplace_back(Send{dialect, std::move(pdu)});
}

void HostSession::open(FaultKind kind, std::string detail, std::string reason) {
    const auto slot = static_cast<std::size_t>(kind);
    const bool is_open = open_[slot];
    if (is_open && detail_[slot] == detail) return;
    open_[slot] = true;
    detail_[slot] = detail;
    if (is_open) {
        actions_->emplace_back(UpdateFault{kind, std::move(detail), std::move(reason), {}});
    } else {
        actions_->emplace_back(OpenFault{kind, std::move(detail), std::move(reason), {}});
    }
}

void HostSession::clear(FaultKind kind, std::string_view why) {
    const auto slot = static_cast<std::size_t>(kind);
    if (!open_[slot]) return;
    open_[slot] = false;
    detail_[slot].clear();
    if (kind == FaultKind::unhealthy) {
        unhealthy_reason_.clear();
        unhealthy_action_.reset();
    }
    actions_->emplace_back(ClearFault{kind, std::string(why)});
}

void HostSession::clear_all(std::string_view why) {
    for (const FaultKind kind : model::all_fault_kinds())
        clear(kind, why);
}

/// An operator has decided that this guest is not asked any more.
void HostSession::end_watch(std::string_view why) {
    forget_registration(false);
    clear(FaultKind::heartbeat_lost, why);
    clear(FaultKind::unhealthy, why);
}

void HostSession::forget_registration(bool expected_back) {
    own_heartbeat_ = own_heartbeat_ && expected_back;
    if (!registration_ && was_registered_ == expected_back) return;
    if (registration_) restart_time_ = registration_->restart_time;
    registration_.reset();
    pending_ack_.reset();
    was_registered_ = expected_back;
    window_.clear();
    closed_at_ = {};
    next_challenge_at_ = answer_by_ = kNever;
    consecutive_misses_ = 0;
    unanswered_ran_ = {};
    late_since_answer_ = false;
    reconnected_ = resumed_ = false;
    warning_.clear();
    actions_->emplace_back(
        SaveRegistration{std::nullopt, expected_back, expected_back ? restart_time_ : Millis{}, own_heartbeat_});
}

}  // namespace vitalwire::heartbeat
