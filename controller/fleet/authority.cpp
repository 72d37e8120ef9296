#include "controller/fleet/authority.hpp"

#include <algorithm>

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;

bool is_expected(const InventoryGuest& guest) {
    return guest.state == "active" && guest.state_description != "rescuing";
}

bool Authority::moving(const GuestId& guest) const {
    const auto known = inventory_.place(guest);
    if (!known) return false;
    if (is_moving(known->state_description)) return true;
    const model::GuestReport* report = fleet_.report_of(names_.agent_of(known->host), guest);
    return report != nullptr && report->hold.starts_with("migrat");
}

bool Authority::announced_to(const HostId& host, const GuestId& guest) const {
    const auto known = inventory_.place(guest);
    return known && is_moving(known->state_description) && !known->move_partner.empty() &&
           names_.agent_of(known->move_partner) == host;
}

HostId Authority::owner(const GuestId& guest) const {
    const auto known = inventory_.place(guest);
    if (known && !known->host.empty()) return names_.agent_of(known->host);
    for (const HostId& holder : fleet_.holders(guest)) {
        const Agent* agent = fleet_.find(holder);
        if (agent != nullptr && agent->connected) return holder;
    }
    return {};
}

bool Authority::may_report(const HostId& host, const GuestId& guest) const {
    const HostId owner = this->owner(guest);
    if (owner.empty() || owner == host) return true;
    return announced_to(host, guest) && fleet_.report_of(host, guest) != nullptr;
}

std::vector<Authority::Claim> Authority::claims() const {
    std::vector<Claim> claims;
    for (const GuestId& guest : fleet_.held_twice()) {
        const auto known = inventory_.place(guest);
        if (!known || known->host.empty() || !moving(guest)) continue;
        Claim claim{guest, {}};
        for (const HostId& holder : fleet_.holders(guest)) {
            const bool rightly = holder == owner(guest) || announced_to(holder, guest);
            if (!rightly && fleet_.find(holder)->connected) claim.hosts.push_back(holder);
        }
        // Of a move that only the owner's hypervisor has announced one of them is the destination.
        const bool announced = is_moving(known->state_description) && !known->move_partner.empty();
        if (claim.hosts.size() > (announced ? 0 : 1)) claims.push_back(std::move(claim));
    }
    return claims;
}

std::vector<HostId> Authority::answering(const GuestId& guest) const {
    std::vector<HostId> hosts;
    for (const HostId& holder : fleet_.holders(guest)) {
        const Agent* agent = fleet_.find(holder);
        if (agent != nullptr && agent->connected && agent->synced && answers(*fleet_.report_of(holder, guest)))
            hosts.push_back(holder);
    }
    return hosts;
}

/// Of a guest that the inventory has on no host there are only claims.
bool Authority::had(const HostId& host, const GuestId& guest) const {
    const auto known = inventory_.place(guest);
    if (!known || known->host.empty()) return true;
    return inventory_.was_on(guest,
                             [&](const HostId& other) { return !other.empty() && names_.agent_of(other) == host; });
}

std::vector<Authority::Twice> Authority::running_twice() const {
    std::vector<Twice> twice;
    for (const GuestId& guest : fleet_.held_twice()) {
        Twice found{guest, answering(guest)};
        std::erase_if(found.hosts, [&](const HostId& host) { return !had(host, guest); });
        if (found.hosts.size() < 2 || moving(guest)) continue;
        const HostId owner = this->owner(guest);
        std::stable_partition(found.hosts.begin(), found.hosts.end(),
                              [&](const HostId& host) { return host == owner; });
        twice.push_back(std::move(found));
    }
    return twice;
}

std::vector<Authority::Claim> Authority::copies_of_nowhere() const {
    std::vector<Claim> copies;
    for (const GuestId& guest : fleet_.held_twice()) {
        if (moving(guest)) continue;
        Claim found{guest, answering(guest)};
        std::erase_if(found.hosts, [&](const HostId& host) { return had(host, guest); });
        if (!found.hosts.empty()) copies.push_back(std::move(found));
    }
    return copies;
}

}  // namespace vitalwire::controller
