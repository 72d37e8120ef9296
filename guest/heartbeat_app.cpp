#include "guest/heartbeat_app.hpp"

#include <sys/random.h>

#include <utility>

#include "base/log.hpp"
#include "wire/heartbeat_codec.hpp"

namespace vitalwire::guest {

using heartbeat::GuestSession;

namespace {

std::int64_t random_invocation() {
    std::uint32_t value = 0;
    // Before the kernel's pool is ready at boot any value will do: the session's id comes from the host.
    if (::getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = static_cast<std::uint32_t>(base::Clock::now().time_since_epoch().count());
    return value & wire::kMaxInt31;
}

}  // namespace

HeartbeatApp::HeartbeatApp(MonitorClock& clock, Channel& channel, heartbeat::GuestSettings settings)
    : clock_(clock), channel_(channel), session_(std::move(settings), random_invocation()), timer_(clock) {}

void HeartbeatApp::reconfigure(heartbeat::GuestSettings settings) {
    GuestSession::Actions actions;
    session_.reconfigure(std::move(settings), clock_.now(), actions);
    carry_out(actions);
}

void HeartbeatApp::stop(const std::string& reason) {
    GuestSession::Actions actions;
    session_.stop(reason, actions);
    carry_out(actions);
}

void HeartbeatApp::host_connected() {
    GuestSession::Actions actions;
    session_.connected(clock_.now(), actions);
    carry_out(actions);
}

void HeartbeatApp::host_disconnected() {
    GuestSession::Actions actions;
    session_.disconnected(actions);
    carry_out(actions);
}

void HeartbeatApp::receive(const wire::HeartbeatPdu& pdu) {
    if (std::holds_alternative<wire::Challenge>(pdu)) {
        ++counters_.challenges;
        challenged_();
    }
    GuestSession::Actions actions;
    session_.received(pdu, health_, clock_.now(), actions);
    carry_out(actions);
}

void HeartbeatApp::carry_out(const GuestSession::Actions& actions) {
    for (const auto& action : actions)
        std::visit([this](const auto& each) { perform(each); }, action);
    timer_.arm(session_.next_deadline(), [this] {
        GuestSession::Actions due;
        session_.tick(clock_.now(), due);
        carry_out(due);
    });
}

void HeartbeatApp::perform(const GuestSession::SendPdu& action) {
    const bool answer = std::holds_alternative<wire::ChallengeResponse>(action.pdu);
    std::string message = wire::encode_heartbeat(action.pdu, wire::Dialect::native, ++sequence_);
    if (!channel_.send(std::move(message), answer ? Priority::answer : Priority::normal)) ++counters_.unsent;
}

void HeartbeatApp::perform(const GuestSession::Registered& action) {
    refusal_.clear();
    log::info("registered with the host", {{"session", action.session},
                                           {"interval_ms", action.interval.count()},
                                           {"response_deadline_ms", action.response_deadline.count()},
                                           {"instance", action.facts.instance_id},
                                           {"host_version", action.facts.host_version}});
    changed_();
}

void HeartbeatApp::perform(const GuestSession::Unregistered& action) {
    log::info("no longer registered", {{"why", action.why}});
    changed_();
}

void HeartbeatApp::perform(const GuestSession::Refused& action) {
    const std::string refusal = std::string(to_string(action.nack.code)) + ": " + action.nack.message;
    if (std::exchange(refusal_, refusal) == refusal) return;
    log::warning("the host refused the registration", {{"why", refusal}, {"retry_in_ms", action.retry_in.count()}});
}

void HeartbeatApp::perform(const GuestSession::Asked& action) {
    if (asked_) return asked_(action.notify);
    answer(action.notify, action.notify.revocable ? model::VoteResult::accept : model::VoteResult::complete, {});
}

void HeartbeatApp::answer(const wire::ActionNotify& notify, model::VoteResult result, std::string reason) {
    perform(GuestSession::SendPdu{wire::ActionResponse{notify.session, notify.invocation_id, notify.event,
                                                       notify.revocable, result, std::move(reason)}});
}

}  // namespace vitalwire::guest
