// HostSession, as far as the guest's machine is concerned: when nobody is judged, and how long a registration is
// awaited.
#include <algorithm>
#include <utility>

#include "heartbeat/host_session.hpp"

namespace vitalwire::heartbeat {

using base::kNever;
using base::Millis;
using base::TimePoint;

namespace {

/// After a pause a guest catches up with its clock and its devices before it can answer punctually.
constexpr Millis kSettle{2000};
/// A guest is not judged while it migrates; one whose memory is copied for longer than this is judged again.
constexpr Millis kLongestMigration = std::chrono::minutes(10);
/// So soon after a restart the hypervisor tells how the machine is, or is known not to answer.
constexpr Millis kWordExpected = std::chrono::seconds(10);
}  // namespace

void HostSession::resume_inhibited(Inhibit why, TimePoint now) {
    now_ = now;
    inhibit(why);
    inhibited_until_ = now_ + kWordExpected;
    hold_establish_timer();
}

void HostSession::on(const Inhibited& event) {
    if (inhibit_ == event.why) {
        if (stands_still(event.why)) inhibited_until_ = kNever;
        return;
    }
    // A machine that stands still follows no request, and a timer does not end that: the hypervisor does.
    const bool has_an_end = event.why == Inhibit::shutting_down || copies_memory(event.why);
    if (has_an_end && (inhibit_ == Inhibit::paused || inhibit_ == Inhibit::suspended)) return;
    count_unanswered();
    window_.suspend_deadlines();
    inhibit(event.why);
    // A VM may ignore the request to shut down; if it hangs afterwards, that must be found.
    if (event.why == Inhibit::shutting_down) inhibited_until_ = now_ + policy_.establish_timeout;
    if (copies_memory(event.why)) inhibited_until_ = now_ + kLongestMigration;
}

void HostSession::on(const Released&) {
    if (std::exchange(crashed_, false)) began_another_run();
    clear(FaultKind::stopped_by_host, "resumed");
    if (detail_[static_cast<std::size_t>(FaultKind::watchdog_fired)] == "pause")
        clear(FaultKind::watchdog_fired, "resumed");
    // That the machine runs does not end its reboot: the guest registers, or T-establish has decided.
    if (inhibit_ != Inhibit::rebooting) judge_again();
}

/// How long it ran without an answer is kept: a guest that hangs is found though it is paused again and again.
void HostSession::count_unanswered() {
    const TimePoint from = window_.oldest_running();
    if (judged() && from != kNever) unanswered_ran_ += now_ - from;
}

void HostSession::judge_again() {
    if (!inhibit_) return;
    release();
    window_.suspend_deadlines();
    next_challenge_at_ = registration_ ? now_ : kNever;
    const auto left = [this](Millis time) { return std::max<base::Duration>(time - unanswered_ran_, {}); };
    grace_until_ = std::max(grace_until_, now_ + left(kSettle));
    if (registration_ && unanswered_ran_ > base::Duration{})
        answer_by_ = now_ + left(std::max(kSettle, registration_->response_deadline));
}

void HostSession::on(const Rebooted&) {
    // In order a guest leaves before it reboots. One that leaves for good is not reset so soon after that.
    const bool left_for_it = std::exchange(left_by_, TimePoint::min()) >= now_;
    own_heartbeat_ = own_heartbeat_ || left_for_it;
    // Reported twice for one reboot (facts of QEMU); the second changes nothing.
    if ((registration_ || left_for_it) && !(inhibit_ && stands_still(*inhibit_))) inhibit(Inhibit::rebooting);
    crashed_ = false;
    forget_registration(was_registered_ || left_for_it);
    start_establish_timer();
}

/// It may have been ended and started while nobody looked.
void HostSession::on(const Found& event) {
    stopped_ = false;
    if (event.run.empty() || event.run == run_) return;
    if (!run_.empty()) {
        forget_registration(was_registered_);
        on(Started{});
    }
    run_ = event.run;
    if (!registration_) return;
    registration_->run = run_;
    actions_->emplace_back(SaveRegistration{registration_, false, {}});
}

/// That ends no fault, and somebody will start it or take it away.
void HostSession::on(const FoundOff&) {
    if (!any_fault_open()) return on(Stopped{StopReason::domain_stopped});
    forget_registration(was_registered_);
    release();
    crashed_ = true;
}

/// Of a guest that never answers the hypervisor's word is all the evidence there is.
void HostSession::began_another_run() {
    if (was_registered_ || policy_.required) return;
    clear(FaultKind::vm_crashed, "started");
    clear(FaultKind::watchdog_fired, "started");
}

void HostSession::on(const Started&) {
    stopped_ = false;
    crashed_ = false;
    run_.clear();
    began_another_run();
    // A VM that runs is neither paused nor shut down any more, whatever was reported before; it may still migrate.
    if (!copies_memory(inhibit_)) on(Released{});
    if (!registration_) start_establish_timer();
}

void HostSession::on(const ChannelBarred& event) {
    const bool was_barred = std::exchange(barred_[index(event.dialect)], event.barred);
    if (!registration_ || registration_->dialect != event.dialect || was_barred == event.barred) return;
    if (event.barred) return window_.stop_deadlines();
    consecutive_misses_ = 0;
    challenge_soon();
}

void HostSession::on(const ChannelRemoved& event) {
    connected_[index(event.dialect)] = barred_[index(event.dialect)] = false;
    if (registration_ && registration_->dialect == event.dialect) end_watch("removed");
}

void HostSession::on(const Stopped& event) {
    forget_registration(false);
    clear_all(to_string(event.reason));
    stopped_ = true;
    left_by_ = TimePoint::min();
    release();
    crashed_ = false;
    restart_time_ = {};
}

void HostSession::on(const Crashed& event) {
    const bool is_fault = monitored();
    forget_registration(was_registered_);
    release();
    crashed_ = true;
    // The first reason is the best known: what is looked up later says less.
    if (is_fault && !fault_open(FaultKind::vm_crashed))
        open(FaultKind::vm_crashed, std::string(to_string(event.reason)));
}

bool HostSession::monitored() const {
    return policy_.machine_faults || (policy_.enabled && (policy_.required || was_registered_));
}

void HostSession::on(const StoppedByHost& event) {
    on(Inhibited{Inhibit::paused});
    if (monitored()) open(FaultKind::stopped_by_host, event.detail, event.reason);
}

void HostSession::on(const WatchdogFired& event) {
    if (!monitored()) return;
    if (!fault_open(FaultKind::watchdog_fired)) return open(FaultKind::watchdog_fired, event.action);
    // It is an event and no state: each one is told.
    detail_[static_cast<std::size_t>(FaultKind::watchdog_fired)] = event.action;
    actions_->emplace_back(
        UpdateFault{FaultKind::watchdog_fired, event.action, "again at " + base::to_iso8601(wall_), {}});
}

void HostSession::inhibit(Inhibit why) {
    inhibit_ = why;
    inhibited_until_ = kNever;
}

void HostSession::release() {
    inhibit_.reset();
    inhibited_until_ = kNever;
    answer_by_ = kNever;  // it may have passed while the guest could not answer
}

bool HostSession::establish_held() const {
    return (inhibit_ && *inhibit_ != Inhibit::rebooting) || barred();
}

/// T-establish stands still while the VM is known not to run or cannot be reached, or a session exists.
TimePoint HostSession::establish_due() const {
    return registration_ || establish_held() ? kNever : establish_by_;
}

bool HostSession::registration_awaited() const {
    return policy_.enabled && (policy_.required || was_registered_) && !stopped_ && !crashed_;
}

/// A level, not an edge: however it came about that a registration is awaited, T-establish runs until it has decided.
void HostSession::expect_registration() {
    if (registration_) return;
    if (!registration_awaited()) {
        establish_by_ = kNever;
    } else if (establish_by_ == kNever && !fault_open(FaultKind::not_established)) {
        start_establish_timer();
    }
}

/// One that runs is not begun again: a guest that reboots again and again and never answers is a fault.
void HostSession::start_establish_timer() {
    if (establish_by_ != kNever || !registration_awaited()) return;
    establish_time_ = std::max(policy_.establish_timeout, restart_time_);
    // The last step is not counted: a life that is long enough for it decides.
    const Millis most = std::max(establish_time_ - establish_step(), Millis{});
    establish_by_ = now_ + establish_time_ - std::min(waited_.registration, most);
    if (establish_held_ != kNever) establish_held_ = now_;
}

/// It stands still while the VM is known not to run as usual, and goes on from there.
void HostSession::hold_establish_timer() {
    const bool holds = establish_held();
    if (holds == (establish_held_ != kNever)) return;
    if (!holds && establish_by_ != kNever) establish_by_ += now_ - establish_held_;
    establish_held_ = holds ? now_ : kNever;
}

}  // namespace vitalwire::heartbeat
