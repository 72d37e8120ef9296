#include "heartbeat/guest_session.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace vitalwire::heartbeat {

using base::Errc;
using base::Millis;
using base::TimePoint;

namespace {

// The timers of the specification's table.
constexpr std::array kTimerInit = {Millis(1000), Millis(2000), Millis(5000)};
constexpr Millis kTimerSpace{1000};
constexpr Millis kSmallestSilence{5000};
constexpr Millis kTimerWait{60'000};

}  // namespace

GuestSession::GuestSession(GuestSettings settings, std::int64_t first_invocation)
    : settings_(std::move(settings)), invocation_(first_invocation & wire::kMaxInt31) {}

std::optional<Millis> GuestSettings::declared_detection_time() const {
    if (detection_time) return detection_time;
    if (interval && response_deadline) return *interval + *response_deadline;
    if (interval) return std::min(3 * *interval, wire::kMaxInterval);
    if (!response_deadline) return std::nullopt;
    // Two thirds of it, where that leaves an interval that hosts take.
    const Millis smallest = std::max(*response_deadline, wire::kNativeMinInterval) + wire::kNativeMinInterval;
    return std::min(std::max(*response_deadline * 3 / 2, smallest), wire::kMaxInterval);
}

std::optional<Millis> GuestSettings::declared_challenge_interval() const {
    if (interval || !response_deadline) return interval;
    return std::max(*declared_detection_time() - *response_deadline, Millis(1));
}

void GuestSession::connected(TimePoint now, Actions& actions) {
    if (state_ != State::disconnected) disconnected(actions);
    unanswered_inits_ = 0;
    send_init(now, actions);
}

void GuestSession::disconnected(Actions& actions) {
    drop_session("the host disconnected", actions);
    state_ = State::disconnected;
    deadline_ = base::kNever;
}

void GuestSession::received(const wire::HeartbeatPdu& pdu, const Health& health, TimePoint now, Actions& actions) {
    if (state_ == State::disconnected) return;
    if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) return on(*challenge, health, now, actions);
    if (const auto* ack = std::get_if<wire::InitAck>(&pdu)) return on(*ack, now, actions);
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) return on(*nack, now, actions);
    if (const auto* exit = std::get_if<wire::Exit>(&pdu)) return on(*exit, now, actions);
    const auto* notify = std::get_if<wire::ActionNotify>(&pdu);
    if (notify != nullptr && !session_.empty() && notify->session == session_) actions.emplace_back(Asked{*notify});
}

void GuestSession::tick(TimePoint now, Actions& actions) {
    if (now < deadline_) return;
    if (state_ == State::registered) unregister("no challenge from the host", actions);
    if (state_ != State::registering) unanswered_inits_ = 0;
    send_init(now, actions);
}

void GuestSession::reconfigure(GuestSettings settings, TimePoint now, Actions& actions) {
    if (settings == settings_) return;
    settings_ = std::move(settings);
    settings_changed_ = true;
    min_interval_ = min_detection_time_ = {};
    if (state_ != State::disconnected) init_soon(now, actions);
}

void GuestSession::stop(const std::string& reason, Actions& actions) {
    if (!session_.empty()) actions.emplace_back(SendPdu{wire::Exit{session_, reason}});
    drop_session(reason, actions);
    state_ = State::disconnected;
    deadline_ = base::kNever;
}

void GuestSession::on(const wire::InitAck& ack, TimePoint now, Actions& actions) {
    // An ack of an earlier init is stale: the session it names was replaced. Of two for the same one the later counts.
    const bool expected = state_ == State::registering || state_ == State::registered;
    if (!expected || ack.invocation_id != invocation_ || ack.session == session_) return;
    if (ack.revision > wire::kHeartbeatRevision) return;
    session_ = ack.session;
    interval_ = ack.interval;
    registered_ = true;
    actions.emplace_back(Registered{ack.session, ack.interval, ack.response_deadline, ack.facts});
    if (settings_changed_) return;
    state_ = State::registered;
    unanswered_inits_ = 0;
    expect_challenge(now);
}

void GuestSession::on(const wire::Challenge& challenge, const Health& health, TimePoint now, Actions& actions) {
    if (!session_.empty() && challenge.session == session_) {
        if (state_ == State::registered) expect_challenge(now);
        actions.emplace_back(SendPdu{
            wire::ChallengeResponse{challenge.session, challenge.value, health.healthy, health.reason, health.action}});
        return;
    }
    if (state_ == State::registered) init_soon(now, actions);
}

void GuestSession::on(const wire::Exit& exit, TimePoint now, Actions& actions) {
    if (session_.empty() || exit.session != session_) return;
    drop_session("the host ended the session: " + exit.reason, actions);
    state_ = State::waiting;
    deadline_ = now + kTimerWait;
}

void GuestSession::on(const wire::Nack& nack, TimePoint now, Actions& actions) {
    if (!nack.unknown_code.empty()) return;
    if (nack.code == Errc::no_session) {
        if (nack.session && *nack.session != session_) return;
        drop_session("the host does not know the session", actions);
        return init_soon(now, actions);
    }
    if (state_ != State::registering || !answers_last_init(nack)) return;
    if (nack.code == Errc::rate_limited) {
        deadline_ = now + kTimerInit.back();
        return;
    }
    if (nack.code != Errc::interval_too_small || !accept_minimum(nack)) return wait(nack, now, actions);
    actions.emplace_back(Refused{nack, Millis(0)});
    init_soon(now, actions);
}

bool GuestSession::answers_last_init(const wire::Nack& nack) const {
    return nack.invocation_id ? *nack.invocation_id == invocation_ : nack.orig_msg_type == "init";
}

/// False when the host rejects its own minimum.
bool GuestSession::accept_minimum(const wire::Nack& nack) {
    if (nack.min_detection_time) {
        if (last_init_.detection_time && *nack.min_detection_time <= *last_init_.detection_time) return false;
        min_detection_time_ = *nack.min_detection_time;
        return true;
    }
    if (!nack.min_interval || *nack.min_interval <= last_init_.interval) return false;
    min_interval_ = *nack.min_interval;
    return true;
}

void GuestSession::wait(const wire::Nack& nack, TimePoint now, Actions& actions) {
    state_ = State::waiting;
    deadline_ = now + kTimerWait;
    actions.emplace_back(Refused{nack, kTimerWait});
}

/// Both kinds of times: the detection time for a host of revision 1, and for one of revision 0 an interval and a
/// deadline that come to the same.
wire::Init GuestSession::make_init() const {
    wire::Init init;
    init.invocation_id = invocation_;
    init.revision = wire::kHeartbeatRevision;
    init.name = settings_.name;
    init.corrective_action = settings_.corrective_action;
    init.notice_times = settings_.notice_times;
    init.detection_time = settings_.declared_detection_time();
    if (min_detection_time_ > Millis::zero())
        init.detection_time = std::max(init.detection_time.value_or(min_detection_time_), min_detection_time_);
    const Millis detection_time = init.detection_time.value_or(wire::kDefaultDetectionTime);
    init.challenge_interval = settings_.declared_challenge_interval();
    init.interval = std::max(settings_.interval.value_or(detection_time / 2), min_interval_);
    if (settings_.response_deadline)
        init.response_deadline =
            std::max(std::min(*settings_.response_deadline, init.interval), wire::kSmallestDeadline);
    return init;
}

void GuestSession::send_init(TimePoint now, Actions& actions) {
    invocation_ = (invocation_ + 1) & wire::kMaxInt31;
    deadline_ = now + kTimerInit.at(std::min(unanswered_inits_, kTimerInit.size() - 1));
    ++unanswered_inits_;
    state_ = State::registering;
    settings_changed_ = false;
    last_init_at_ = now;
    last_init_ = make_init();
    actions.emplace_back(SendPdu{last_init_});
}

/// Now, or when T-space since the last init has passed: nothing a host sends makes a guest flood it.
void GuestSession::init_soon(TimePoint now, Actions& actions) {
    if (!last_init_at_ || now >= *last_init_at_ + kTimerSpace) return send_init(now, actions);
    state_ = State::registering;
    deadline_ = *last_init_at_ + kTimerSpace;
}

void GuestSession::expect_challenge(TimePoint now) {
    deadline_ = now + std::max(2 * interval_, kSmallestSilence);
}

void GuestSession::unregister(const std::string& why, Actions& actions) {
    if (std::exchange(registered_, false)) actions.emplace_back(Unregistered{why});
}

void GuestSession::drop_session(const std::string& why, Actions& actions) {
    unregister(why, actions);
    session_ = {};
}

}  // namespace vitalwire::heartbeat
