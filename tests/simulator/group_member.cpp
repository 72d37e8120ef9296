#include "group_member.hpp"

#include <utility>

namespace vitalwire::simulator {

namespace {

constexpr seconds kPatience{5};
constexpr double kBroadcasts = 0.15;  ///< of its turns
constexpr double kAsksAgain = 0.03;
constexpr std::size_t kLongest = 600;
constexpr std::size_t kRemembered = 20;
constexpr const char* kDeleted = "deleted";

}  // namespace

void GroupMember::turn() {
    session_.tick(world_.now());
    if (!asked_ && (!known_ || world_.chance(kAsksAgain))) ask();
    if (world_.chance(kBroadcasts)) broadcast();
}

void GroupMember::ask() {
    auto query = session_.query();
    session_.asked(query.seq, world_.now() + kPatience);
    asked_ = true;
    asked_at_ = world_.now();
    notified_.clear();
    send_(std::move(query.line));
}

void GroupMember::broadcast() {
    std::string payload = std::to_string(world_.events()) + " of " + guest_.str() + " ";
    payload.append(world_.below(kLongest), '.');
    auto message = session_.broadcast(payload).value();
    observer_.broadcast_sent(*this, payload);
    sent_[message.seq] = std::move(payload);
    if (sent_.size() > kRemembered) sent_.erase(sent_.begin());
    send_(std::move(message.line));
}

void GroupMember::broadcast(const wire::Delivery& message) {
    observer_.broadcast_received(*this, message);
}

void GroupMember::notification(const wire::Notification& message) {
    const wire::MemberState& state = message.state;
    notified_.insert(state.instance_id);
    if (state.state == kDeleted) {
        states_.erase(state.instance_id);
    } else {
        states_.insert_or_assign(state.instance_id, state);
    }
    observer_.state_received(*this, state, false);
}

void GroupMember::refused(const wire::Nack& nack) {
    const auto sent = nack.seq ? sent_.extract(*nack.seq) : decltype(sent_)::node_type();
    if (!sent.empty()) observer_.broadcast_refused(*this, sent.mapped());
}

void GroupMember::dropped(std::uint64_t) {
    known_ = false;
}

void GroupMember::status(const group::Queries::Outcome& outcome) {
    asked_ = false;
    if (!outcome.states) return;
    known_ = true;
    std::map<std::string, wire::MemberState> states;
    for (const wire::MemberState& state : *outcome.states) {
        const auto notified = states_.find(state.instance_id);
        const bool newer = notified_.contains(state.instance_id);
        if (newer && notified == states_.end()) continue;
        states.emplace(state.instance_id, newer ? notified->second : state);
        observer_.state_received(*this, state, true);
    }
    for (const std::string& member : notified_) {
        if (const auto notified = states_.find(member); notified != states_.end()) states.insert(*notified);
    }
    states_ = std::move(states);
}

}  // namespace vitalwire::simulator
