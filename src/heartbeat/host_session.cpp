#include "heartbeat/host_session.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::heartbeat {

using base::Errc;
using base::kNever;
using base::Millis;
using base::TimePoint;
using wire::Dialect;

namespace {

/// After a pause a guest catches up with its clock and its devices before it can answer punctually.
constexpr Millis kSettle{2000};
/// libvirt tells why a channel ended shortly after it ended; until then a closed channel is not called lost.
constexpr Millis kCloseGrace{300};
/// Challenges of many guests fall on common instants, a tenth of the interval apart but no more than this: a host that
/// wakes up for each alone spends more on waking up than on the beat.
constexpr Millis kWidestGrid{100};

}  // namespace

HostSession::HostSession(HostPolicy policy, IdGenerator& entropy) : policy_(policy), ids_(&entropy) {}

void HostSession::resume(SaveRegistration saved, const std::vector<OpenFault>& open_faults, TimePoint now) {
    now_ = now;
    registration_ = std::move(saved.registration);
    was_registered_ = registration_ || saved.expected_back;
    for (const OpenFault& fault : open_faults) {
        open_[static_cast<std::size_t>(fault.kind)] = true;
        detail_[static_cast<std::size_t>(fault.kind)] = fault.detail;
        if (fault.kind == FaultKind::unhealthy) unhealthy_reason_ = fault.reason;
    }
    crashed_ = fault_open(FaultKind::vm_crashed);
    if (!registration_) {
        if (saved.expected_back && !crashed_) expect_registration();
        return;
    }
    grace_until_ = now + policy_.resume_grace;
    // Ten thousand sessions resumed at once must not beat in step for ever after.
    const auto phase = Millis(ids_->challenge() % std::max<std::int64_t>(registration_->interval.count(), 1));
    next_challenge_at_ = now + phase;
}

void HostSession::step(const HostEvent& event, TimePoint now, base::WallTime wall, HostActions& actions) {
    now_ = now;
    wall_ = wall;
    actions_ = &actions;
    std::visit([this](const auto& e) { on(e); }, event);
    actions_ = nullptr;
}

TimePoint HostSession::next_deadline() const {
    TimePoint next = std::min(hold_until_, waiting_is_held() ? kNever : establish_by_);
    if (challenging()) next = std::min(next, challenge_due());
    if (awaits_answer()) next = std::min(next, outstanding_->deadline);
    return next;
}

bool HostSession::judged() const {
    return registration_ && !hold_ && !crashed_ && !stopped_;
}

/// A machine that migrates or shuts down still runs: it is asked, so that it does not take its host for dead, and not
/// judged.
bool HostSession::challenging() const {
    return judged() || (registration_ && (hold_ == Hold::migrating || hold_ == Hold::shutting_down));
}

/// The last challenge is judged before the next one takes its place, also when it was sent a little late. In a grace
/// guests are asked on: the first challenge may be lost.
TimePoint HostSession::challenge_due() const {
    const bool to_be_judged = outstanding_ && outstanding_->deadline > grace_until_;
    return to_be_judged ? std::max(next_challenge_at_, outstanding_->deadline) : next_challenge_at_;
}

bool HostSession::waiting_is_held() const {
    return hold_ && *hold_ != Hold::rebooting;
}

Millis HostSession::floor(Dialect dialect) const {
    return dialect == Dialect::native ? policy_.native_floor : policy_.existing_floor;
}

int HostSession::misses_to_open() const {
    return registration_->dialect == Dialect::native ? policy_.native_misses : policy_.existing_misses;
}

void HostSession::on(const Connected& event) {
    connected_[index(event.dialect)] = true;
    closed_at_ = {};
    if (registration_ && registration_->dialect == event.dialect) return reconnected();
    if (registration_ || event.dialect != Dialect::native || !policy_.enabled) return;
    refuse(event.dialect, {Errc::no_session, "not registered: send init", "unknown", {}, {}, {}});
}

void HostSession::on(const Closed& event) {
    connected_[index(event.dialect)] = false;
    if (registration_ && registration_->dialect == event.dialect) closed_at_ = now_;
}

void HostSession::on(const Received& event) {
    if (const auto* init = std::get_if<wire::Init>(&event.pdu)) return receive(event.dialect, *init);
    if (const auto* response = std::get_if<wire::ChallengeResponse>(&event.pdu))
        return receive(event.dialect, *response);
    if (const auto* exit = std::get_if<wire::Exit>(&event.pdu)) return receive(event.dialect, *exit);
    // The vote of an existing guest on an action that nobody asked about, or a message only a host sends: no effect.
    ++counters_.stale;
}

void HostSession::receive(Dialect dialect, const wire::Init& init) {
    if (!policy_.enabled)
        return refuse(
            dialect,
            {Errc::not_enabled, "heartbeat is not enabled for this guest", "init", init.invocation_id, {}, {}});
    if (init.interval < floor(dialect)) {
        const std::string text = "heartbeat_interval_ms is " + std::to_string(init.interval.count()) +
                                 ", the smallest here is " + std::to_string(floor(dialect).count());
        return refuse(dialect, {Errc::interval_too_small, text, "init", init.invocation_id, {}, floor(dialect)});
    }
    const Millis deadline = std::min(init.response_deadline.value_or(init.interval), init.interval);
    registration_ =
        Registration{dialect, ids_->session_id(), init.name, init.interval, deadline, init.corrective_action, wall_};
    was_registered_ = true;
    crashed_ = false;
    stopped_ = false;
    reconnected_ = false;
    if (hold_ == Hold::rebooting) release();
    establish_by_ = kNever;
    grace_until_ = now_;
    last_challenge_ = previous_challenge_ = kNoChallenge;
    actions_->emplace_back(SaveRegistration{registration_, false});
    send(dialect, wire::InitAck{init.invocation_id, std::min(init.revision, wire::kHeartbeatRevision),
                                registration_->session, init.interval, deadline});
    clear(FaultKind::heartbeat_lost, "registered");
    clear(FaultKind::not_established, "registered");
    clear(FaultKind::vm_crashed, "registered");
    challenge_soon();
}

void HostSession::receive(Dialect dialect, const wire::ChallengeResponse& response) {
    const bool of_this_session = registration_ && registration_->dialect == dialect &&
                                 (dialect == Dialect::existing || registration_->session == response.session);
    if (!of_this_session) {
        ++counters_.stale;
        return refuse(dialect, {Errc::no_session, "no such session: send init", "challenge_response", {}, {}, {}});
    }
    const bool to_last = response.value == last_challenge_;
    if (!to_last && response.value != previous_challenge_) {
        ++counters_.stale;
        return;
    }
    (to_last ? last_challenge_ : previous_challenge_) = kNoChallenge;  // a second answer to it is stale
    adopt(response.corrective_action);
    const bool punctual = to_last && outstanding_ && now_ <= outstanding_->deadline;
    if (punctual) {
        accept_response();
    } else if (!hold_) {
        ++counters_.late;
        late_since_answer_ = true;
        if (fault_open(FaultKind::heartbeat_lost)) open(FaultKind::heartbeat_lost, "late");
    }
    judge_health(response.healthy, response.reason);
}

/// "none" leaves the one in force.
void HostSession::adopt(std::optional<model::CorrectiveAction> action) {
    if (!action || *action == model::CorrectiveAction::none || *action == registration_->corrective_action) return;
    registration_->corrective_action = *action;
    actions_->emplace_back(SaveRegistration{registration_, false});
}

void HostSession::receive(Dialect dialect, const wire::Exit& exit) {
    if (!registration_ || registration_->dialect != dialect) return;
    if (dialect == Dialect::native && registration_->session != exit.session) {
        ++counters_.stale;
        return;
    }
    unregister("exit");
}

void HostSession::on(const GarbledResponse&) {
    if (!registration_ || registration_->dialect != Dialect::existing) return;
    if (outstanding_ && now_ <= outstanding_->deadline) accept_response();
}

void HostSession::on(const Held& event) {
    if (hold_ == event.why) return;
    outstanding_.reset();
    hold(event.why);
    // A machine may ignore the request to shut down; if it hangs afterwards, that must be found.
    if (event.why == Hold::shutting_down) hold_until_ = now_ + policy_.establish_timeout;
}

void HostSession::on(const Released&) {
    if (!hold_) return;
    release();
    consecutive_misses_ = 0;
    grace_until_ = now_ + kSettle;
    challenge_soon();
    if (establish_by_ != kNever) expect_registration();
}

void HostSession::on(const Rebooted&) {
    // Reported twice for one reboot (facts of QEMU); the second changes nothing.
    if (registration_) hold(Hold::rebooting);
    crashed_ = false;
    forget_registration(was_registered_);
    expect_registration();
}

void HostSession::on(const Started&) {
    stopped_ = false;
    crashed_ = false;
    // A machine that runs is neither paused nor shut down any more, whether that was told or not; it may still migrate.
    if (hold_ != Hold::migrating) on(Released{});
    if (!registration_) expect_registration();
}

void HostSession::on(const ChannelRemoved& event) {
    connected_[index(event.dialect)] = false;
    if (registration_ && registration_->dialect == event.dialect) unregister("removed");
}

void HostSession::on(const Stopped& event) {
    forget_registration(false);
    clear_all(to_string(event.reason));
    stopped_ = true;
    release();
    crashed_ = false;
    establish_by_ = kNever;
}

void HostSession::on(const Crashed& event) {
    const bool monitored = policy_.enabled && (policy_.required || was_registered_);
    forget_registration(was_registered_);
    release();
    crashed_ = true;
    establish_by_ = kNever;
    // The first reason is the best known: what is looked up later says less.
    if (monitored && !fault_open(FaultKind::vm_crashed))
        open(FaultKind::vm_crashed, std::string(to_string(event.reason)));
}

void HostSession::on(const PolicyChanged& event) {
    const bool newly_required = event.policy.required && !policy_.required;
    policy_ = event.policy;
    if (!policy_.enabled) {
        if (registration_)
            send(registration_->dialect, wire::Exit{registration_->session, "heartbeat is not enabled for this guest"});
        forget_registration(false);
        clear_all("disabled");
        establish_by_ = kNever;
        return;
    }
    if (!policy_.required && !was_registered_) {
        establish_by_ = kNever;
        clear(FaultKind::not_established, "disabled");
        return;
    }
    if (newly_required && !registration_ && !stopped_ && !crashed_ && establish_by_ == kNever) expect_registration();
}

void HostSession::on(const Tick&) {
    if (!waiting_is_held() && now_ >= establish_by_) {
        establish_by_ = kNever;
        if (hold_ == Hold::rebooting) release();
        if (!fault_open(FaultKind::heartbeat_lost) && !fault_open(FaultKind::vm_crashed))
            open(FaultKind::not_established, "");
    }
    if (now_ >= hold_until_) on(Released{});
    if (awaits_answer() && now_ >= outstanding_->deadline) miss();
    if (challenging() && now_ >= challenge_due()) send_challenge();
}

void HostSession::accept_response() {
    ++counters_.responses;
    last_response_at_ = now_;
    last_round_trip_ = now_ - outstanding_->sent_at;
    outstanding_.reset();
    consecutive_misses_ = 0;
    late_since_answer_ = false;
    reconnected_ = false;
    grace_until_ = {};
    clear(FaultKind::heartbeat_lost, "recovered");
}

void HostSession::judge_health(bool healthy, const std::string& reason) {
    if (healthy) return clear(FaultKind::unhealthy, "recovered");
    const bool changed = reason != unhealthy_reason_;
    unhealthy_reason_ = reason;
    if (fault_open(FaultKind::unhealthy)) {
        if (changed) actions_->emplace_back(UpdateFault{FaultKind::unhealthy, "", reason});
        return;
    }
    open(FaultKind::unhealthy, "", reason);
}

void HostSession::reconnected() {
    // The challenge that is out may be lost with the old connection: the guest gets a fresh one with a full deadline.
    // Once: a channel that comes and goes without an answer must not put off its deadline for ever.
    if (reconnected_ && outstanding_) return;
    reconnected_ = true;
    challenge_soon();
}

void HostSession::challenge_soon() {
    outstanding_.reset();
    next_challenge_at_ = registration_ ? now_ : kNever;
}

void HostSession::send_challenge() {
    ++counters_.challenges;
    previous_challenge_ = last_challenge_;
    last_challenge_ = ids_->challenge();
    next_challenge_at_ = next_beat();
    outstanding_ = Outstanding{now_, std::max(now_ + registration_->response_deadline, grace_until_)};
    send(registration_->dialect, wire::Challenge{registration_->session, last_challenge_});
}

/// A challenge every interval on a fixed beat; after a delay of more than a beat the beat starts again from now.
TimePoint HostSession::next_beat() const {
    const Millis interval = registration_->interval;
    const TimePoint on_beat = next_challenge_at_ + interval;
    const TimePoint next = on_beat > now_ ? on_beat : now_ + interval;
    const Millis grid = std::clamp(interval / 10, Millis(1), kWidestGrid);
    // An interval that does not fit the grid would be longer with every beat.
    if (interval % grid != Millis::zero()) return next;
    const base::Duration beyond = next.time_since_epoch() % grid;
    return beyond == base::Duration::zero() ? next : next - beyond + grid;
}

void HostSession::miss() {
    const bool closed = !connected_[index(registration_->dialect)];
    if (closed && closed_at_ != TimePoint{} && now_ < closed_at_ + kCloseGrace) {
        outstanding_->deadline = closed_at_ + kCloseGrace;
        return;
    }
    ++counters_.misses;
    outstanding_.reset();
    ++consecutive_misses_;
    if (consecutive_misses_ < misses_to_open()) return;
    if (closed) return open(FaultKind::heartbeat_lost, "channel_closed");
    open(FaultKind::heartbeat_lost, late_since_answer_ ? "late" : "silent");
}

void HostSession::refuse(Dialect dialect, wire::Nack nack) {
    send(dialect, std::move(nack));
}

void HostSession::send(Dialect dialect, wire::HeartbeatPdu pdu) {
    if (!connected_[index(dialect)]) return;
    actions_->emplace_back(Send{dialect, std::move(pdu)});
}

void HostSession::open(FaultKind kind, std::string detail, std::string reason) {
    const auto slot = static_cast<std::size_t>(kind);
    if (open_[slot]) {
        if (detail_[slot] == detail) return;
        detail_[slot] = detail;
        actions_->emplace_back(UpdateFault{kind, std::move(detail), std::move(reason)});
        return;
    }
    open_[slot] = true;
    detail_[slot] = detail;
    actions_->emplace_back(OpenFault{kind, std::move(detail), std::move(reason)});
}

void HostSession::clear(FaultKind kind, std::string_view why) {
    const auto slot = static_cast<std::size_t>(kind);
    if (!open_[slot]) return;
    open_[slot] = false;
    detail_[slot].clear();
    if (kind == FaultKind::unhealthy) unhealthy_reason_.clear();
    actions_->emplace_back(ClearFault{kind, std::string(why)});
}

void HostSession::clear_all(std::string_view why) {
    for (const FaultKind kind : model::all_fault_kinds())
        clear(kind, why);
}

void HostSession::hold(Hold why) {
    hold_ = why;
    hold_until_ = kNever;
}

void HostSession::release() {
    hold_.reset();
    hold_until_ = kNever;
}

/// Ends a session that nobody has to answer for.
void HostSession::unregister(std::string_view why) {
    forget_registration(false);
    clear(FaultKind::heartbeat_lost, why);
    clear(FaultKind::unhealthy, why);
    expect_registration();
}

void HostSession::forget_registration(bool expected_back) {
    if (!registration_ && was_registered_ == expected_back) return;
    registration_.reset();
    was_registered_ = expected_back;
    outstanding_.reset();
    next_challenge_at_ = kNever;
    consecutive_misses_ = 0;
    late_since_answer_ = false;
    reconnected_ = false;
    actions_->emplace_back(SaveRegistration{std::nullopt, expected_back});
}

void HostSession::expect_registration() {
    if (policy_.enabled && (policy_.required || was_registered_)) establish_by_ = now_ + policy_.establish_timeout;
}

std::string_view to_string(Hold hold) {
    switch (hold) {
        case Hold::paused:
            return "paused";
        case Hold::suspended:
            return "suspended";
        case Hold::saving:
            return "saving";
        case Hold::migrating:
            return "migrating";
        case Hold::rebooting:
            return "rebooting";
        case Hold::shutting_down:
            return "shutting_down";
    }
    return "paused";
}

std::string_view to_string(StopReason reason) {
    switch (reason) {
        case StopReason::domain_stopped:
            return "domain_stopped";
        case StopReason::migrated:
            return "migrated";
        case StopReason::removed:
            return "removed";
    }
    return "domain_stopped";
}

std::string_view to_string(CrashReason reason) {
    switch (reason) {
        case CrashReason::failed:
            return "failed";
        case CrashReason::crashed:
            return "crashed";
        case CrashReason::panicked:
            return "panicked";
        case CrashReason::internal_error:
            return "internal_error";
    }
    return "failed";
}

}  // namespace vitalwire::heartbeat
