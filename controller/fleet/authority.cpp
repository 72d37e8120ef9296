#include "controller/fleet/authority.hpp"

#include <algorithm>

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;

bool is_expected(const InventoryGuest& guest) {
    return guest.state == "active" && guest.state_description != "rescuing";
}

bool Authority::moving(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr) return false;
    if (is_moving(*known)) return true;
    const model::GuestReport* report = fleet_.report_of(names_.agent_of(known->host), guest);
    return report != nullptr && report->hold.starts_with("migrat");
}

bool Authority::announced_to(const HostId& host, const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    return known != nullptr && is_moving(*known) && !known->move_partner.empty() &&
           names_.agent_of(known->move_partner) == host;
}

HostId Authority::owner(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known != nullptr && !known->host.empty()) return names_.agent_of(known->host);
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
        const InventoryGuest* known = inventory_.guest(guest);
        if (known == nullptr || known->host.empty() || !moving(guest)) continue;
        Claim claim{guest, {}};
        for (const HostId& holder : fleet_.holders(guest)) {
            const bool rightly = holder == owner(guest) || announced_to(holder, guest);
            if (!rightly && fleet_.find(holder)->connected) claim.hosts.push_back(holder);
        }
        // Of a move that only the owner's hypervisor has announced one of them is the destination.
        const bool announced = is_moving(*known) && !known->move_partner.empty();
        if (claim.hosts.size() > (announced ? 0 : 1)) claims.push_back(std::move(claim));
    }
    return claims;
}

std::vector<Authority::Twice> Authority::running_twice() const {
    std::vector<Twice> twice;
    for (const GuestId& guest : fleet_.held_twice()) {
        Twice found{guest, {}};
        for (const HostId& holder : fleet_.holders(guest)) {
            const Agent* agent = fleet_.find(holder);
            if (agent != nullptr && agent->connected && agent->synced && answers(*fleet_.report_of(holder, guest)))
                found.hosts.push_back(holder);
        }
        if (found.hosts.size() < 2 || moving(guest)) continue;
        const HostId owner = this->owner(guest);
        std::stable_partition(found.hosts.begin(), found.hosts.end(),
                              [&](const HostId& host) { return host == owner; });
        twice.push_back(std::move(found));
    }
    return twice;
}

}  // namespace vitalwire::controller
