#include "controller/fleet/authority.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;

namespace {

/// Nova's tasks during which a server has, or gets, a second copy.
constexpr std::array<std::string_view, 7> kMoves = {"migrating",       "resize_prep",   "resize_migrating",
                                                    "resize_migrated", "resize_finish", "resize_reverting",
                                                    "unshelving"};

template <class List>
bool contains(const List& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

bool is_expected(const InventoryGuest& guest) {
    return guest.state == "active" && guest.state_description != "rescuing";
}

bool Authority::moving(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr) return false;
    if (contains(kMoves, known->state_description)) return true;
    const model::GuestReport* report = fleet_.report_of(names_.agent_of(known->host), guest);
    return report != nullptr && report->hold.starts_with("migrat");
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
    if (fleet_.report_of(host, guest) == nullptr || !moving(guest)) return false;
    // The move's destination; of several that claim the guest nobody knows which it is.
    const auto holders = fleet_.holders(guest);
    return std::all_of(holders.begin(), holders.end(), [&](const HostId& holder) {
        return holder == host || holder == owner || !fleet_.find(holder)->connected;
    });
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
