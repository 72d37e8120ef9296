#include "controller/core/known_guests.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;

namespace {

/// About a millisecond's work.
constexpr std::size_t kRowsAtOnce = 200;
/// A host that changes its registrations all the time holds up no other.
constexpr std::size_t kRowsOfAHost = 50;

bool have_one_place(const InventoryGuest& a, const InventoryGuest& b) {
    return a.host == b.host && a.move_partner == b.move_partner && a.state == b.state &&
           a.state_description == b.state_description && a.policy.heartbeat == b.policy.heartbeat;
}

bool is_kept(const model::GuestReport& report) {
    return report.state != "unregistered";
}

/// What of a report is on disk: no counters, and nothing that changes while the guest migrates or is paused.
auto kept_of(const model::GuestReport& report) {
    return std::tie(report.state, report.name, report.interval, report.response_deadline, report.registered_since);
}

}  // namespace

void KnownGuests::load() {
    inventory_.restore(rows_.load_places());
    for (const auto& [host, report] : rows_.load_guests()) {
        const bool taken = fleet_.find(host) != nullptr && fleet_.report(host, report);
        if (!taken) rows_.erase_guest(host, report.guest);
    }
}

void KnownGuests::inventory_read() {
    on_disk_ = inventory_.take_restored();
    for (const auto& [id, guest] : inventory_.guests())
        to_compare_.push_back(id);
    std::sort(to_compare_.begin(), to_compare_.end());
    comparing_ = true;
}

void KnownGuests::inventory_changed(const std::vector<GuestChange>& changes) {
    for (const GuestChange& change : changes) {
        const bool same = change.before && change.after && have_one_place(*change.before, *change.after);
        if (!same) places_.insert(change.after ? change.after->id : change.before->id);
    }
}

bool KnownGuests::is_news(const model::GuestReport* before, const model::GuestReport& report) {
    const bool was_kept = before != nullptr && is_kept(*before);
    return was_kept != is_kept(report) || (was_kept && kept_of(*before) != kept_of(report));
}

void KnownGuests::agent_removed(const HostId& host, const Agent& agent) {
    for (const auto& [guest, report] : agent.guests)
        registrations_[host].insert(guest);
}

void KnownGuests::write_some() {
    std::size_t budget = kRowsAtOnce;
    if (comparing_) budget = compare(budget);
    while (budget > 0 && !places_.empty()) {
        write_place(places_.extract(places_.begin()).value());
        --budget;
    }
    write_registrations(budget);
}

std::size_t KnownGuests::compare(std::size_t budget) {
    for (; budget > 0 && !to_compare_.empty(); --budget) {
        const GuestId guest = std::move(to_compare_.back());
        to_compare_.pop_back();
        const auto before = on_disk_.extract(guest);
        if (before.empty() || before.mapped() != inventory_.place(guest)) write_place(guest);
    }
    // The inventory has been read: a guest that it does not have is not there, or has been added since.
    for (; budget > 0 && !on_disk_.empty(); --budget)
        write_place(on_disk_.extract(on_disk_.begin()).key());
    comparing_ = !to_compare_.empty() || !on_disk_.empty();
    if (!comparing_) to_compare_.shrink_to_fit();
    return budget;
}

void KnownGuests::write_place(const GuestId& guest) {
    if (const auto place = inventory_.place(guest)) {
        rows_.put_place(guest, *place);
    } else {
        rows_.erase_place(guest);
    }
}

/// Each host in its turn.
void KnownGuests::write_registrations(std::size_t budget) {
    for (std::size_t hosts = registrations_.size(); hosts > 0 && budget > 0; --hosts) {
        auto at = registrations_.upper_bound(last_host_);
        if (at == registrations_.end()) at = registrations_.begin();
        last_host_ = at->first;
        for (std::size_t room = kRowsOfAHost; budget > 0 && room > 0 && !at->second.empty(); --budget, --room) {
            const GuestId guest = at->second.extract(at->second.begin()).value();
            const model::GuestReport* report = fleet_.report_of(at->first, guest);
            if (report != nullptr && is_kept(*report)) {
                rows_.put_guest(at->first, *report);
            } else {
                rows_.erase_guest(at->first, guest);
            }
        }
        if (at->second.empty()) registrations_.erase(at);
    }
}

}  // namespace vitalwire::controller
