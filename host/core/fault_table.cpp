#include "host/core/fault_table.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::host {

using model::Fault;

void FaultTable::restore(Fault fault) {
    guest_of_[fault.id] = fault.guest;
    Faults& faults = faults_[fault.guest];
    const auto later = [](const Fault& a, const Fault& b) { return a.opened_at < b.opened_at; };
    faults.insert(std::upper_bound(faults.begin(), faults.end(), fault, later), std::move(fault));
}

Fault& FaultTable::open(Fault fault) {
    guest_of_[fault.id] = fault.guest;
    return faults_[fault.guest].emplace_back(std::move(fault));
}

Fault* FaultTable::find_open(const base::GuestId& guest, model::FaultKind kind) {
    return const_cast<Fault*>(std::as_const(*this).find_open(guest, kind));
}

const Fault* FaultTable::find_open(const base::GuestId& guest, model::FaultKind kind) const {
    const auto faults = faults_.find(guest);
    if (faults == faults_.end()) return nullptr;
    const auto open = std::find_if(faults->second.begin(), faults->second.end(),
                                   [&](const Fault& fault) { return fault.kind == kind && fault.open(); });
    return open == faults->second.end() ? nullptr : &*open;
}

bool FaultTable::any_open(const base::GuestId& guest) const {
    const auto faults = faults_.find(guest);
    return faults != faults_.end() &&
           std::any_of(faults->second.begin(), faults->second.end(), [](const Fault& fault) { return fault.open(); });
}

std::vector<base::FaultId> FaultTable::trim(const base::GuestId& guest) {
    std::vector<base::FaultId> dropped;
    const auto entry = faults_.find(guest);
    if (entry == faults_.end()) return dropped;
    Faults& faults = entry->second;
    const auto cleared = [](const Fault& fault) { return !fault.open(); };
    auto excess = std::count_if(faults.begin(), faults.end(), cleared) - static_cast<std::ptrdiff_t>(kMaxCleared);
    for (; excess > 0; --excess) {
        const auto oldest = std::find_if(faults.begin(), faults.end(), cleared);
        dropped.push_back(oldest->id);
        guest_of_.erase(oldest->id);
        faults.erase(oldest);
    }
    return dropped;
}

bool FaultTable::delivered(const base::FaultId& fault, std::uint64_t revision,
                           const std::optional<std::vector<std::string>>& to) {
    const auto owner = guest_of_.find(fault);
    if (owner == guest_of_.end()) return false;
    Faults& faults = faults_[owner->second];
    const auto position = std::find_if(faults.begin(), faults.end(), [&](const Fault& f) { return f.id == fault; });
    // One that was acknowledged to an earlier primary, and arrives late, says nothing of the newer revision.
    if (revision >= position->delivered) position->delivered_to = to;
    position->delivered = std::max(position->delivered, std::min(revision, position->revision));
    if (position->open() || position->delivered < position->revision) return false;
    erase(owner->second, position);
    return true;
}

void FaultTable::drop(const base::FaultId& fault) {
    const auto owner = guest_of_.find(fault);
    if (owner == guest_of_.end()) return;
    const base::GuestId guest = owner->second;
    Faults& faults = faults_[guest];
    erase(guest, std::find_if(faults.begin(), faults.end(), [&](const Fault& f) { return f.id == fault; }));
}

const Fault* FaultTable::find(const base::FaultId& fault) const {
    const auto owner = guest_of_.find(fault);
    if (owner == guest_of_.end()) return nullptr;
    const Faults& faults = faults_.at(owner->second);
    return &*std::find_if(faults.begin(), faults.end(), [&](const Fault& f) { return f.id == fault; });
}

std::size_t FaultTable::unacknowledged() const {
    std::size_t count = 0;
    for_each([&](const Fault& fault) { count += fault.delivered < fault.revision ? 1 : 0; });
    return count;
}

void FaultTable::erase(const base::GuestId& guest, Faults::iterator position) {
    const auto entry = faults_.find(guest);
    guest_of_.erase(position->id);
    entry->second.erase(position);
    if (entry->second.empty()) faults_.erase(entry);
}

}  // namespace vitalwire::host
