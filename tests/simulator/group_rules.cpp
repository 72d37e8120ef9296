#include "group_rules.hpp"

#include <algorithm>

#include "host_node.hpp"

namespace vitalwire::simulator {

using base::GroupId;
using base::GuestId;

namespace {

constexpr seconds kArrives{2};
// What a controller keeps for a guest that moves was routed by the inventory of then.
constexpr seconds kKept{15};

}  // namespace

void GroupRules::joins(const GuestId& guest, const GroupId& group) {
    memberships_[guest].push_back({world_.now(), group});
}

GroupId GroupRules::group_of(const GuestId& guest) const {
    const auto at = memberships_.find(guest);
    return at == memberships_.end() ? GroupId() : at->second.back().group;
}

/// At some time since then both were in one group.
bool GroupRules::met(const GuestId& one, const GuestId& other, TimePoint since) const {
    const auto group_at = [this](const GuestId& guest, TimePoint time) {
        GroupId group;
        for (const Membership& membership : memberships_.at(guest)) {
            if (membership.since <= time) group = membership.group;
        }
        return group;
    };
    const auto together = [&](TimePoint time) {
        const GroupId group = group_at(one, time);
        return !group.empty() && group == group_at(other, time);
    };
    if (together(since)) return true;
    for (const GuestId& guest : {one, other}) {
        for (const Membership& membership : memberships_.at(guest)) {
            if (membership.since > since && together(membership.since)) return true;
        }
    }
    return false;
}

void GroupRules::broadcast_sent(const GroupMember& member, const std::string& payload) {
    const HostNode& host = host_of(member.guest());
    sent_[payload] = {member.guest(), &host, world_.now(), known_from_(), ++numbers_, {}, false};
    if (!vms_) return;
    world_.after(kArrives, [this, payload, sent_at = world_.now()] { check_received_by_all(payload, sent_at); });
}

void GroupRules::broadcast_refused(const GroupMember& member, const std::string& payload) {
    sent_.at(payload).refused = true;
    if (vms_ && !group_of(member.guest()).empty())
        world_.violated("a broadcast of " + member.guest().str() + " is refused although nothing is wrong");
}

void GroupRules::broadcast_received(const GroupMember& member, const wire::Delivery& message) {
    ++deliveries_;
    const std::string what = member.guest().str() + " receives a broadcast of " + message.source + " ";
    const auto sent = sent_.find(message.payload);
    if (sent == sent_.end() || sent->second.sender.str() != message.source || message.from_operator)
        world_.violated(what + "that was never sent");
    Sent& broadcast = sent->second;
    if (broadcast.sender == member.guest()) world_.violated(what + "although it is its own");
    if (!met(broadcast.sender, member.guest(), broadcast.known_from - kKept))
        world_.violated(what + "and is in another group");
    if (!counts(member)) return;
    if (!broadcast.receivers.insert(member.guest()).second) world_.violated(what + "a second time");
    const Sent*& last = last_[{member.guest(), broadcast.sender}];
    if (last != nullptr && !in_order(*last, broadcast)) world_.violated(what + "after a later one");
    if (last == nullptr || last->number < broadcast.number) last = &broadcast;
}

/// What a connection held up is older than what came through another since, which its reader knows when it was silent.
/// One agent counts what it sends.
bool GroupRules::in_order(const Sent& before, const Sent& broadcast) const {
    if (before.number < broadcast.number) return true;
    const bool counted = before.host == broadcast.host && broadcast.host->agent_undisturbed_since() < broadcast.at;
    return !keep_alive_ && !counted;
}

void GroupRules::state_received(const GroupMember& member, const wire::MemberState& state, bool answer) {
    if (answer) on_answer(member, state);
    const GuestId other(state.instance_id);
    if (memberships_.contains(other) && met(member.guest(), other, TimePoint{})) return;
    if (member.guest() != other)
        world_.violated(member.guest().str() + " learns of " + other.str() + ", which is in another group");
}

void GroupRules::check_received_by_all(const std::string& payload, TimePoint sent_at) const {
    const Sent& sent = sent_.at(payload);
    if (sent.refused) return;
    for (const Vm* vm : vms_()) {
        const bool member = vm->id() != sent.sender && group_of(vm->id()) == group_of(sent.sender);
        if (!member || group_of(sent.sender).empty() || !vm->plan().policy.messaging || vm->mute()) continue;
        if (std::max(vm->last_mute(), vm->last_connected()) > sent_at - seconds(1)) continue;
        if (!sent.receivers.contains(vm->id()))
            world_.violated(vm->id().str() + " never received a broadcast of " + sent.sender.str() + " from " +
                            std::to_string(kArrives.count()) + " s ago");
    }
}

}  // namespace vitalwire::simulator
