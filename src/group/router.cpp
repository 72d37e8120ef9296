#include "group/router.hpp"

#include <map>
#include <utility>

namespace vitalwire::group {

using base::Errc;
using base::fail;
using base::GroupId;
using base::GuestId;
using base::HostId;
using base::Result;

Result<GroupId> Router::group_of_guest_on(const GuestId& guest, const HostId& host) const {
    const auto member = directory_.member(guest);
    if (!member) return fail(Errc::not_in_group, "the cloud does not know this guest");
    if (member->host != host)
        return fail(Errc::permission, "the cloud says this guest is on host '" + member->host.str() + "'");
    auto group = directory_.group_of(guest);
    if (!group) return fail(Errc::not_in_group, "this guest is in no server group");
    return std::move(*group);
}

Result<std::vector<Hop>> Router::broadcast(const GuestId& sender, const HostId& host) const {
    const auto group = group_of_guest_on(sender, host);
    if (!group) return tl::make_unexpected(group.error());
    return hops(*group, sender);
}

Result<std::vector<Hop>> Router::broadcast_by_operator(const GroupId& group) const {
    if (directory_.members(group).empty()) return fail(Errc::not_found, "no group '" + group.str() + "' with members");
    return hops(group, {});
}

Result<std::vector<wire::MemberState>> Router::status(const GuestId& asker, const HostId& host) const {
    const auto group = group_of_guest_on(asker, host);
    if (!group) return tl::make_unexpected(group.error());
    std::vector<wire::MemberState> states;
    for (const Member& member : directory_.members(*group))
        states.push_back(directory_.state(member.guest));
    return states;
}

std::vector<Hop> Router::peers(const GroupId& group, const GuestId& about) const {
    return hops(group, about);
}

std::vector<Hop> Router::hops(const GroupId& group, const GuestId& left_out) const {
    std::map<HostId, std::vector<GuestId>> by_host;
    for (const Member& member : directory_.members(group)) {
        if (member.guest == left_out || member.host.empty() || !member.messaging) continue;
        by_host[member.host].push_back(member.guest);
    }
    std::vector<Hop> hops;
    hops.reserve(by_host.size());
    for (auto& [host, guests] : by_host)
        hops.push_back({host, std::move(guests)});
    return hops;
}

}  // namespace vitalwire::group
