#include "controller/alarms/fault_table.hpp"

#include <utility>

namespace vitalwire::controller {

using model::Fault;

namespace {

FaultTable::Change change_between(const Fault* before, const Fault& after) {
    const bool was_open = before != nullptr && before->open();
    if (after.open()) {
        if (!was_open) return FaultTable::Change::opened;
        return before->revision == after.revision ? FaultTable::Change::none : FaultTable::Change::updated;
    }
    return before == nullptr || was_open ? FaultTable::Change::cleared : FaultTable::Change::none;
}

}  // namespace

void FaultTable::restore(const TrackedFault& booked) {
    book(booked.host, booked.fault);
}

void FaultTable::begin_snapshot(const base::HostId& host) {
    hosts_[host].mentioned.emplace();
}

std::vector<FaultTable::Entry> FaultTable::end_snapshot(const base::HostId& host, base::WallTime now) {
    std::vector<Entry> forgotten;
    Host& at = hosts_[host];
    const auto mentioned = std::exchange(at.mentioned, std::nullopt);
    if (!mentioned) return forgotten;
    const auto known = at.faults;
    for (const base::FaultId& id : known) {
        if (mentioned->contains(id)) continue;
        const TrackedFault& booked = faults_.at(id);
        forgotten.push_back(booked.fault.open() ? clear(id, kForgotten, now) : Entry{booked, Change::none});
        forgotten.back().forgotten = true;
    }
    return forgotten;
}

void FaultTable::abandon_snapshot(const base::HostId& host) {
    const auto at = hosts_.find(host);
    if (at != hosts_.end()) at->second.mentioned.reset();
}

base::Result<std::vector<FaultTable::Entry>> FaultTable::report(const base::HostId& host, const Fault& fault,
                                                                base::WallTime now) {
    const TrackedFault* known = find(fault.id);
    if (known != nullptr && known->host != host) {
        return base::fail(base::Errc::permission,
                          "fault " + fault.id.str() + " belongs to the agent of " + known->host.str());
    }
    if (known != nullptr && (known->fault.guest != fault.guest || known->fault.kind != fault.kind)) {
        return base::fail(base::Errc::bad_field, "fault " + fault.id.str() + " changed its guest or kind");
    }
    Host& at = hosts_[host];
    if (known == nullptr && at.faults.size() >= kMaxFaultsPerHost) {
        return base::fail(base::Errc::too_large, "more than " + std::to_string(kMaxFaultsPerHost) + " faults");
    }
    if (at.mentioned) at.mentioned->insert(fault.id);

    std::vector<Entry> entries;
    const Change change = change_between(known != nullptr ? &known->fault : nullptr, fault);
    if (fault.open()) {
        const auto earlier = at.open.find({fault.guest, fault.kind});
        if (earlier != at.open.end() && earlier->second != fault.id) {
            const base::FaultId superseded = earlier->second;
            entries.push_back(clear(superseded, kSuperseded, now));
        }
    }
    book(host, fault);
    TrackedFault& tracked = faults_.at(fault.id);
    if (known == nullptr) tracked.received_at = now;
    entries.push_back({tracked, change});
    return entries;
}

FaultTable::Entry FaultTable::clear(const base::FaultId& id, std::string_view why, base::WallTime now) {
    TrackedFault booked = faults_.at(id);
    ++booked.fault.revision;
    booked.fault.updated_at = now;
    booked.fault.cleared_at = now;
    booked.fault.clear_reason = why;
    book(booked.host, booked.fault);
    return {booked, Change::cleared};
}

void FaultTable::book(const base::HostId& host, const Fault& fault) {
    const auto [at, is_new] = faults_.try_emplace(fault.id, TrackedFault{fault, host});
    if (!is_new) {
        if (at->second.fault.open()) note_closed(at->second);
        at->second.fault = fault;
    }
    Host& of = hosts_[host];
    of.faults.insert(fault.id);
    if (!fault.open()) return;
    of.open[{fault.guest, fault.kind}] = fault.id;
    ++open_[static_cast<std::size_t>(fault.kind)];
}

void FaultTable::note_closed(const TrackedFault& booked) {
    hosts_[booked.host].open.erase({booked.fault.guest, booked.fault.kind});
    --open_[static_cast<std::size_t>(booked.fault.kind)];
}

void FaultTable::erase(const base::FaultId& fault) {
    const auto at = faults_.find(fault);
    if (at == faults_.end()) return;
    if (at->second.fault.open()) note_closed(at->second);
    hosts_[at->second.host].faults.erase(fault);
    faults_.erase(at);
}

const TrackedFault* FaultTable::find(const base::FaultId& fault) const {
    const auto at = faults_.find(fault);
    return at == faults_.end() ? nullptr : &at->second;
}

std::vector<const TrackedFault*> FaultTable::of_host(const base::HostId& host) const {
    std::vector<const TrackedFault*> faults;
    const auto at = hosts_.find(host);
    if (at == hosts_.end()) return faults;
    for (const base::FaultId& id : at->second.faults)
        faults.push_back(&faults_.at(id));
    return faults;
}

std::size_t FaultTable::open_of_host(const base::HostId& host) const {
    const auto at = hosts_.find(host);
    return at == hosts_.end() ? 0 : at->second.open.size();
}

std::optional<std::string_view> why_over(const Inventory& inventory, bool names_all, const TrackedFault& booked) {
    if (!booked.fault.open()) return std::nullopt;
    const InventoryGuest* guest = inventory.guest(booked.fault.guest);
    if (guest == nullptr) return names_all ? std::optional(kGuestDeleted) : std::nullopt;
    const bool elsewhere = !guest->host.empty() && guest->host != booked.host;
    return elsewhere ? std::optional(kGuestMoved) : std::nullopt;
}

}  // namespace vitalwire::controller
