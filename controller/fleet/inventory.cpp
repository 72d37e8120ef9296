#include "controller/fleet/inventory.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace vitalwire::controller {

namespace {

template <class Key, class Index>
void erase_from(Index& index, const Key& key, const base::GuestId& guest) {
    const auto at = index.find(key);
    if (at == index.end()) return;
    at->second.erase(guest);
    if (at->second.empty()) index.erase(at);
}

constexpr std::array<std::string_view, 7> kMoves = {"migrating",       "resize_prep",   "resize_migrating",
                                                    "resize_migrated", "resize_finish", "resize_reverting",
                                                    "unshelving"};

constexpr std::size_t kMostEarlier = 4;

}  // namespace

bool is_moving(std::string_view state_description) {
    return std::find(kMoves.begin(), kMoves.end(), state_description) != kMoves.end();
}

InventoryGuest placed_guest(const base::GuestId& id, const GuestPlace& place) {
    InventoryGuest guest;
    guest.id = id;
    guest.host = place.host;
    guest.move_partner = place.move_partner;
    guest.state = place.state;
    guest.state_description = place.state_description;
    guest.policy.guest = id;
    guest.policy.heartbeat = place.heartbeat;
    guest.listed = false;
    return guest;
}

void Inventory::restore(std::map<base::GuestId, GuestPlace> places) {
    restored_ = std::move(places);
    restored_hosts_.clear();
    for (const auto& [id, place] : restored_) {
        if (!place.host.empty()) restored_hosts_.insert(place.host);
        if (!place.earlier.empty()) earlier_[id] = place.earlier;
    }
    ++version_;
    ++hosts_version_;
}

std::map<base::GuestId, GuestPlace> Inventory::take_restored() {
    if (!restored_.empty()) {
        ++version_;
        ++hosts_version_;
    }
    restored_hosts_.clear();
    std::erase_if(earlier_, [this](const auto& item) { return !guests_.contains(item.first); });
    return std::exchange(restored_, {});
}

std::vector<GuestChange> Inventory::replace(InventorySnapshot snapshot) {
    groups_.clear();
    for (InventoryGroup& group : snapshot.groups)
        put_group(std::move(group));

    std::unordered_set<base::GuestId> present;
    present.reserve(snapshot.guests.size());
    for (const InventoryGuest& guest : snapshot.guests)
        present.insert(guest.id);
    std::vector<base::GuestId> gone;
    for (const auto& [id, guest] : guests_) {
        if (!present.contains(id)) gone.push_back(id);
    }

    std::vector<GuestChange> changes;
    changes.reserve(gone.size());
    for (const base::GuestId& id : gone)
        changes.push_back(*remove(id));
    for (InventoryGuest& guest : snapshot.guests) {
        if (auto change = put(std::move(guest))) changes.push_back(std::move(*change));
    }
    return changes;
}

std::optional<GuestChange> Inventory::put(InventoryGuest guest) {
    GuestChange change;
    const auto known = guests_.find(guest.id);
    if (known != guests_.end()) {
        if (known->second == guest) return std::nullopt;
        remove_from_indexes(known->second);
        change.before = std::move(known->second);
        for (const base::HostId& host : {change.before->host, change.before->move_partner}) {
            if (host != guest.host && host != guest.move_partner) note_earlier(guest.id, host);
        }
    } else if (const auto restored = restored_.find(guest.id); restored != restored_.end()) {
        if (restored->second.host != guest.host) note_earlier(guest.id, restored->second.host);
    }
    add_to_indexes(guest);
    change.after = guest;
    const base::GuestId id = guest.id;
    guests_.insert_or_assign(id, std::move(guest));
    return change;
}

std::optional<GuestChange> Inventory::remove(const base::GuestId& guest) {
    const auto known = guests_.find(guest);
    if (known == guests_.end()) return std::nullopt;
    remove_from_indexes(known->second);
    GuestChange change;
    change.before = std::move(known->second);
    guests_.erase(known);
    earlier_.erase(guest);
    return change;
}

void Inventory::note_earlier(const base::GuestId& guest, const base::HostId& host) {
    if (host.empty()) return;
    std::vector<base::HostId>& hosts = earlier_[guest];
    std::erase(hosts, host);
    hosts.push_back(host);
    if (hosts.size() > kMostEarlier) hosts.erase(hosts.begin());
}

void Inventory::put_group(InventoryGroup group) {
    const base::GroupId id = group.id;
    groups_.insert_or_assign(id, std::move(group));
}

void Inventory::remove_group(const base::GroupId& group) {
    groups_.erase(group);
}

const InventoryGuest* Inventory::guest(const base::GuestId& guest) const {
    const auto at = guests_.find(guest);
    return at == guests_.end() ? nullptr : &at->second;
}

const InventoryGroup* Inventory::group(const base::GroupId& group) const {
    const auto at = groups_.find(group);
    return at == groups_.end() ? nullptr : &at->second;
}

std::optional<GuestPlace> Inventory::place(const base::GuestId& guest) const {
    if (const InventoryGuest* known = this->guest(guest)) {
        const auto earlier = earlier_.find(guest);
        return GuestPlace{known->host,
                          known->move_partner,
                          known->state,
                          known->state_description,
                          known->policy.heartbeat,
                          earlier == earlier_.end() ? std::vector<base::HostId>() : earlier->second};
    }
    const auto at = restored_.find(guest);
    return at == restored_.end() ? std::nullopt : std::optional(at->second);
}

std::vector<const InventoryGuest*> Inventory::of_host(const base::HostId& host) const {
    return listed(by_host_, host);
}

std::vector<const InventoryGuest*> Inventory::of_group(const base::GroupId& group) const {
    return listed(by_group_, group);
}

std::vector<base::HostId> Inventory::hosts() const {
    std::vector<base::HostId> hosts;
    for (const auto& [host, guests] : by_host_) {
        if (!host.empty()) hosts.push_back(host);
    }
    for (const base::HostId& host : restored_hosts_) {
        if (!by_host_.contains(host)) hosts.push_back(host);
    }
    return hosts;
}

const InventoryGuest* Inventory::next(const base::HostId& host, const base::GuestId& guest) const {
    auto at = by_host_.lower_bound(host);
    if (at != by_host_.end() && at->first == host) {
        const auto later = at->second.upper_bound(guest);
        if (later != at->second.end()) return &guests_.at(*later);
        ++at;
    }
    return at == by_host_.end() ? nullptr : &guests_.at(*at->second.begin());
}

template <class Key>
std::vector<const InventoryGuest*> Inventory::listed(const Index<Key>& index, const Key& key) const {
    std::vector<const InventoryGuest*> guests;
    const auto at = index.find(key);
    if (at == index.end()) return guests;
    for (const base::GuestId& id : at->second)
        guests.push_back(&guests_.at(id));
    return guests;
}

void Inventory::add_to_indexes(const InventoryGuest& guest) {
    ++version_;
    auto& guests = by_host_[guest.host];
    if (guests.empty()) ++hosts_version_;
    guests.insert(guest.id);
    if (!guest.group.empty()) by_group_[guest.group].insert(guest.id);
}

void Inventory::remove_from_indexes(const InventoryGuest& guest) {
    ++version_;
    erase_from(by_host_, guest.host, guest.id);
    if (!by_host_.contains(guest.host)) ++hosts_version_;
    erase_from(by_group_, guest.group, guest.id);
}

}  // namespace vitalwire::controller
