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
    : settings_(std::move(settings)),
      invocation_(first_invocation & wire::kMaxInt31),
      asked_interval_(settings_.interval) {}

void GuestSession::connected(TimePoint now, Actions& actions) {
    if (state_ != State::away) disconnected(actions);
    unanswered_inits_ = 0;
    send_init(now, actions);
}

void GuestSession::disconnected(Actions& actions) {
    end_session("the host disconnected", actions);
    state_ = State::away;
    deadline_ = base::kNever;
}

void GuestSession::received(const wire::HeartbeatPdu& pdu, const Health& health, TimePoint now, Actions& actions) {
    if (state_ == State::away) return;
    if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) return on(*challenge, health, now, actions);
    if (const auto* ack = std::get_if<wire::InitAck>(&pdu)) return on(*ack, now, actions);
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) return on(*nack, now, actions);
    if (const auto* exit = std::get_if<wire::Exit>(&pdu)) return on(*exit, now, actions);
}

void GuestSession::tick(TimePoint now, Actions& actions) {
    if (now < deadline_) return;
    end_session("no challenge from the host", actions);
    if (state_ != State::asking) unanswered_inits_ = 0;
    send_init(now, actions);
}

void GuestSession::reconfigure(GuestSettings settings, TimePoint now, Actions& actions) {
    if (settings == settings_) return;
    settings_ = std::move(settings);
    asked_interval_ = settings_.interval;
    if (state_ != State::beating) return;
    end_session("the configuration changed", actions);
    init_soon(now, actions);
}

void GuestSession::stop(const std::string& reason, Actions& actions) {
    if (state_ == State::beating) actions.emplace_back(SendPdu{wire::Exit{session_, reason}});
    end_session(reason, actions);
    state_ = State::away;
    deadline_ = base::kNever;
}

void GuestSession::on(const wire::InitAck& ack, TimePoint now, Actions& actions) {
    // An ack of an earlier init is stale: the session it names was replaced. Of two for the same one the later counts.
    const bool expected = state_ == State::asking || state_ == State::beating;
    if (!expected || ack.invocation_id != invocation_ || ack.session == session_) return;
    if (ack.revision > wire::kHeartbeatRevision) return;
    state_ = State::beating;
    session_ = ack.session;
    interval_ = ack.interval;
    unanswered_inits_ = 0;
    expect_challenge(now);
    actions.emplace_back(Registered{ack.session, ack.interval});
}

void GuestSession::on(const wire::Challenge& challenge, const Health& health, TimePoint now, Actions& actions) {
    if (state_ != State::beating) return;
    if (challenge.session != session_) {
        end_session("the host challenges another session", actions);
        return init_soon(now, actions);
    }
    expect_challenge(now);
    actions.emplace_back(
        SendPdu{wire::ChallengeResponse{challenge.session, challenge.value, health.healthy, health.reason, {}}});
}

void GuestSession::on(const wire::Exit& exit, TimePoint now, Actions& actions) {
    if (state_ != State::beating || exit.session != session_) return;
    end_session("the host ended the session: " + exit.reason, actions);
    state_ = State::waiting;
    deadline_ = now + kTimerWait;
}

void GuestSession::on(const wire::Nack& nack, TimePoint now, Actions& actions) {
    if (!nack.unknown_code.empty()) return;
    if (nack.code == Errc::no_session) {
        end_session("the host does not know the session", actions);
        return init_soon(now, actions);
    }
    if (state_ != State::asking || !answers_last_init(nack)) return;
    if (nack.code == Errc::rate_limited) {
        deadline_ = now + kTimerInit.back();
        return;
    }
    const bool can_comply =
        nack.code == Errc::interval_too_small && nack.min_interval && *nack.min_interval > asked_interval_;
    if (!can_comply) return wait(nack, now, actions);
    asked_interval_ = *nack.min_interval;
    actions.emplace_back(Refused{nack, Millis(0)});
    init_soon(now, actions);
}

bool GuestSession::answers_last_init(const wire::Nack& nack) const {
    return nack.invocation_id ? *nack.invocation_id == invocation_ : nack.orig_msg_type == "init";
}

void GuestSession::wait(const wire::Nack& nack, TimePoint now, Actions& actions) {
    state_ = State::waiting;
    deadline_ = now + kTimerWait;
    actions.emplace_back(Refused{nack, kTimerWait});
}

void GuestSession::send_init(TimePoint now, Actions& actions) {
    invocation_ = (invocation_ + 1) & wire::kMaxInt31;
    deadline_ = now + kTimerInit.at(std::min(unanswered_inits_, kTimerInit.size() - 1));
    ++unanswered_inits_;
    state_ = State::asking;
    last_init_at_ = now;
    std::optional<Millis> response_deadline = settings_.response_deadline;
    if (response_deadline) response_deadline = std::min(*response_deadline, asked_interval_);
    actions.emplace_back(SendPdu{wire::Init{invocation_, wire::kHeartbeatRevision, settings_.name, asked_interval_,
                                            response_deadline, settings_.corrective_action}});
}

/// Now, or when T-space since the last init has passed: nothing a host sends makes a guest flood it.
void GuestSession::init_soon(TimePoint now, Actions& actions) {
    if (!last_init_at_ || now >= *last_init_at_ + kTimerSpace) return send_init(now, actions);
    state_ = State::asking;
    deadline_ = *last_init_at_ + kTimerSpace;
}

void GuestSession::expect_challenge(TimePoint now) {
    deadline_ = now + std::max(2 * interval_, kSmallestSilence);
}

void GuestSession::end_session(const std::string& why, Actions& actions) {
    if (state_ == State::beating) actions.emplace_back(Unregistered{why});
    session_ = {};
}

}  // namespace vitalwire::heartbeat
