#include "heartbeat/guest_session.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace vitalwire::heartbeat {

using base::Errc;
using base::Millis;
using base::TimePoint;

namespace {

/// After the first, second and every further init without an answer.
constexpr std::array kInitRetry = {Millis(1000), Millis(2000), Millis(5000)};
constexpr Millis kSmallestHostSilence{5000};
/// After a refusal that only an operator can end (not enabled, unsupported version).
constexpr Millis kRefusedRetry{60'000};
constexpr Millis kInitSpacing{1000};

}  // namespace

GuestSession::GuestSession(GuestSettings settings, std::int64_t first_invocation)
    : settings_(std::move(settings)),
      invocation_(first_invocation & wire::kMaxInt31),
      asked_interval_(settings_.interval) {}

void GuestSession::connected(TimePoint now, Actions& actions) {
    connected_ = true;
    unanswered_inits_ = 0;
    send_init(now, actions);
}

void GuestSession::disconnected(TimePoint, Actions& actions) {
    connected_ = false;
    deadline_ = base::kNever;
    end_session("the host disconnected", actions);
}

void GuestSession::received(const wire::HeartbeatPdu& pdu, const Health& health, TimePoint now, Actions& actions) {
    // Bytes prove that a host is there even where the daemon did not see it connect.
    connected_ = true;
    if (const auto* challenge = std::get_if<wire::Challenge>(&pdu)) return on(*challenge, health, now, actions);
    if (const auto* ack = std::get_if<wire::InitAck>(&pdu)) return on(*ack, now, actions);
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) return on(*nack, now, actions);
    if (const auto* exit = std::get_if<wire::Exit>(&pdu)) return on(*exit, now, actions);
}

void GuestSession::tick(TimePoint now, Actions& actions) {
    if (now < deadline_) return;
    end_session("no challenge from the host", actions);
    send_init(now, actions);
}

void GuestSession::reconfigure(GuestSettings settings, TimePoint now, Actions& actions) {
    if (settings == settings_) return;
    settings_ = std::move(settings);
    asked_interval_ = settings_.interval;
    if (connected_) send_init(now, actions);
}

void GuestSession::stop(const std::string& reason, Actions& actions) {
    if (session_) actions.emplace_back(SendPdu{wire::Exit{session_->id, reason}});
    end_session(reason, actions);
    connected_ = false;
    deadline_ = base::kNever;
}

void GuestSession::on(const wire::InitAck& ack, TimePoint now, Actions& actions) {
    // An ack of an earlier init is stale: the session it names was replaced.
    if (!init_sent_ || ack.invocation_id != invocation_) return;
    session_ = Session{ack.session, ack.interval};
    unanswered_inits_ = 0;
    init_sent_ = false;
    expect_challenge(now);
    actions.emplace_back(Registered{ack.session, ack.interval});
}

void GuestSession::on(const wire::Challenge& challenge, const Health& health, TimePoint now, Actions& actions) {
    if (!session_ || session_->id != challenge.session) return init_at_most_once_a_second(now, actions);
    expect_challenge(now);
    actions.emplace_back(
        SendPdu{wire::ChallengeResponse{challenge.session, challenge.value, health.healthy, health.reason, {}}});
}

void GuestSession::on(const wire::Exit& exit, TimePoint now, Actions& actions) {
    if (!session_ || session_->id != exit.session) return;
    end_session("the host ended the session: " + exit.reason, actions);
    deadline_ = now + kRefusedRetry;
}

void GuestSession::on(const wire::Nack& nack, TimePoint now, Actions& actions) {
    if (nack.code == Errc::no_session) {
        end_session("the host does not know the session", actions);
        return init_at_most_once_a_second(now, actions);
    }
    if (!nack.unknown_code.empty() || !init_sent_ || nack.invocation_id != invocation_) return;
    if (nack.code == Errc::interval_too_small && nack.min_interval && *nack.min_interval > asked_interval_) {
        asked_interval_ = *nack.min_interval;
        actions.emplace_back(Refused{nack, Millis(0)});
        return send_init(now, actions);
    }
    deadline_ = now + kRefusedRetry;
    actions.emplace_back(Refused{nack, kRefusedRetry});
}

void GuestSession::send_init(TimePoint now, Actions& actions) {
    invocation_ = (invocation_ + 1) & wire::kMaxInt31;
    const auto retry =
        kInitRetry.at(std::min<std::size_t>(static_cast<std::size_t>(unanswered_inits_), kInitRetry.size() - 1));
    ++unanswered_inits_;
    ++invocations_;
    init_sent_ = true;
    last_init_at_ = now;
    deadline_ = now + retry;
    std::optional<Millis> response_deadline = settings_.response_deadline;
    if (response_deadline) response_deadline = std::min(*response_deadline, asked_interval_);
    actions.emplace_back(SendPdu{wire::Init{invocation_, wire::kHeartbeatRevision, settings_.name, asked_interval_,
                                            response_deadline, settings_.corrective_action}});
}

void GuestSession::init_at_most_once_a_second(TimePoint now, Actions& actions) {
    const TimePoint next_allowed = last_init_at_ + kInitSpacing;
    if (invocations_ == 0 || now >= next_allowed) return send_init(now, actions);
    if (!session_) deadline_ = std::min(deadline_, next_allowed);
}

void GuestSession::expect_challenge(TimePoint now) {
    deadline_ = now + std::max(2 * session_->interval, kSmallestHostSilence);
}

void GuestSession::end_session(const std::string& why, Actions& actions) {
    if (!session_) return;
    session_.reset();
    actions.emplace_back(Unregistered{why});
}

}  // namespace vitalwire::heartbeat
