#include "controller/alarms/fault_table.hpp"

#include <algorithm>
#include <utility>

#include "controller/alarms/evidence.hpp"

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

Alarm to_alarm(const TrackedFault& tracked) {
    Alarm alarm = to_alarm(tracked.fault, tracked.host);
    alarm.received_at = tracked.received_at;
    alarm.received = tracked.received;
    if (tracked.by_evidence) alarm.ended = tracked.ended;
    set_names(alarm, tracked.names);
    return alarm;
}

base::WallTime received_here(const TrackedFault& tracked) {
    return tracked.received_at == base::WallTime{} ? tracked.fault.opened_at : tracked.received_at;
}

base::WallTime changed_here(const TrackedFault& tracked) {
    if (tracked.changed_at != base::WallTime{}) return tracked.changed_at;
    return std::max(tracked.fault.cleared_at.value_or(tracked.fault.updated_at), received_here(tracked));
}

void FaultTable::restore(const TrackedFault& tracked) {
    put(tracked.host, tracked.fault);
    faults_.at(tracked.fault.id) = tracked;
}

void FaultTable::begin_snapshot(const base::HostId& host) {
    hosts_[host].mentioned.emplace();
}

std::vector<FaultTable::Entry> FaultTable::end_snapshot(const base::HostId& host, bool continuous, base::WallTime now) {
    std::vector<Entry> missing;
    Host& at = hosts_[host];
    const auto mentioned = std::exchange(at.mentioned, std::nullopt);
    if (!mentioned) return missing;
    const auto known = at.faults;
    for (const base::FaultId& id : known) {
        if (mentioned->contains(id)) continue;
        TrackedFault& tracked = faults_.at(id);
        const bool ended = continuous && !tracked.unconfirmed;
        if (tracked.fault.open() && !ended) {
            if (!tracked.unconfirmed) tracked.unconfirmed = Unconfirmed{now, "its agent came back without its state"};
            missing.push_back({tracked, Change::none});
            continue;
        }
        missing.push_back(tracked.fault.open() ? clear(id, kForgotten, now) : Entry{tracked, Change::none});
        missing.back().dropped = true;
    }
    return missing;
}

void FaultTable::mention(const base::HostId& host, const base::FaultId& fault) {
    const auto at = hosts_.find(host);
    if (at != hosts_.end() && at->second.mentioned) at->second.mentioned->insert(fault);
}

void FaultTable::abandon_snapshot(const base::HostId& host) {
    const auto at = hosts_.find(host);
    if (at != hosts_.end()) at->second.mentioned.reset();
}

base::Result<std::vector<FaultTable::Entry>> FaultTable::report(const base::HostId& host, const Fault& fault,
                                                                base::WallTime now, std::size_t limit) {
    const TrackedFault* known = find(fault.id);
    if (known != nullptr && known->host != host) {
        return base::fail(base::Errc::permission,
                          "fault " + fault.id.str() + " belongs to the agent of " + known->host.str());
    }
    if (known != nullptr && (known->fault.guest != fault.guest || known->fault.kind != fault.kind)) {
        return base::fail(base::Errc::bad_field, "fault " + fault.id.str() + " changed its guest or kind");
    }
    Host& at = hosts_[host];
    if (known == nullptr && at.faults.size() >= limit)
        return base::fail(base::Errc::too_large, "more than " + std::to_string(limit) + " faults of one host");
    if (at.mentioned) at.mentioned->insert(fault.id);

    std::vector<Entry> entries;
    if (known != nullptr && is_outdated(fault, known->fault)) {
        faults_.at(fault.id).unconfirmed.reset();
        return entries;
    }
    const Change change = change_between(known != nullptr ? &known->fault : nullptr, fault);
    if (fault.open()) {
        const auto earlier = at.open.find({fault.guest, fault.kind});
        if (earlier != at.open.end() && earlier->second != fault.id) {
            const base::FaultId superseded = earlier->second;
            entries.push_back(clear(superseded, kSuperseded, now));
        }
    }
    put(host, fault);
    TrackedFault& tracked = faults_.at(fault.id);
    if (known == nullptr) tracked.received_at = now;
    tracked.unconfirmed.reset();
    entries.push_back({tracked, change});
    return entries;
}

const TrackedFault* FaultTable::unnamed_before(const base::HostId& host, const Fault& own, bool continuous) const {
    const auto at = hosts_.find(host);
    if (at == hosts_.end() || faults_.contains(own.id)) return nullptr;
    const auto earlier = at->second.open.find({own.guest, own.kind});
    if (earlier == at->second.open.end()) return nullptr;
    const TrackedFault& tracked = faults_.at(earlier->second);
    const auto& mentioned = at->second.mentioned;
    const bool lost = !continuous && mentioned && !mentioned->contains(earlier->second);
    return tracked.unconfirmed || lost ? &tracked : nullptr;
}

void FaultTable::transfer(const base::FaultId& fault, const base::HostId& host) {
    const auto at = faults_.find(fault);
    if (at == faults_.end()) return;
    TrackedFault tracked = at->second;
    erase(fault);
    tracked.host = host;
    restore(tracked);
}

void FaultTable::set_received(const base::FaultId& fault, base::TimePoint now) {
    faults_.at(fault).received = now;
}

void FaultTable::clock_was_set(base::WallTime::duration by) {
    for (auto& [id, tracked] : faults_) {
        if (tracked.received_at != base::WallTime{}) tracked.received_at += by;
        if (tracked.changed_at != base::WallTime{}) tracked.changed_at += by;
        if (tracked.unconfirmed) tracked.unconfirmed->since += by;
    }
}

const TrackedFault& FaultTable::set_end(const base::FaultId& fault, const std::string& why, base::WallTime at) {
    TrackedFault& tracked = faults_.at(fault);
    tracked.fault.clear_reason = why;
    tracked.fault.cleared_at = at;
    return tracked;
}

const TrackedFault& FaultTable::set_changed(const base::FaultId& fault, base::Moment now) {
    TrackedFault& tracked = faults_.at(fault);
    tracked.changed_at = now.wall;
    if (tracked.fault.open()) return tracked;
    if (is_evidence(tracked.fault.clear_reason)) tracked.by_evidence = true;
    tracked.ended = now.steady;
    return tracked;
}

void FaultTable::set_withheld(const base::FaultId& fault, bool withheld) {
    const auto at = faults_.find(fault);
    if (at != faults_.end()) at->second.withheld = withheld;
}

void FaultTable::set_unconfirmed(const base::FaultId& fault, const Unconfirmed& why) {
    const auto at = faults_.find(fault);
    if (at != faults_.end()) at->second.unconfirmed = why;
}

void FaultTable::set_names(const base::FaultId& fault, const AlarmNames& names) {
    const auto at = faults_.find(fault);
    if (at != faults_.end()) at->second.names = names;
}

FaultTable::Entry FaultTable::clear(const base::FaultId& id, std::string_view why, base::WallTime now) {
    TrackedFault ended = faults_.at(id);
    ++ended.fault.revision;
    ended.fault.updated_at = now;
    ended.fault.cleared_at = now;
    ended.fault.clear_reason = why;
    put(ended.host, ended.fault);
    faults_.at(id).unconfirmed.reset();
    faults_.at(id).by_evidence = true;
    return {faults_.at(id), Change::cleared};
}

void FaultTable::put(const base::HostId& host, const Fault& fault) {
    const auto [at, is_new] = faults_.try_emplace(fault.id, TrackedFault{fault, host, {}, {}, false});
    if (!is_new) {
        if (at->second.fault.open()) note_closed(at->second);
        at->second.fault = fault;
    }
    Host& of = hosts_[host];
    of.faults.insert(fault.id);
    if (!fault.open()) return;
    of.open[{fault.guest, fault.kind}] = fault.id;
    open_of_guest_[fault.guest].insert(fault.id);
    ++open_[static_cast<std::size_t>(fault.kind)];
}

void FaultTable::note_closed(const TrackedFault& tracked) {
    hosts_[tracked.host].open.erase({tracked.fault.guest, tracked.fault.kind});
    const auto of_guest = open_of_guest_.find(tracked.fault.guest);
    of_guest->second.erase(tracked.fault.id);
    if (of_guest->second.empty()) open_of_guest_.erase(of_guest);
    --open_[static_cast<std::size_t>(tracked.fault.kind)];
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

const TrackedFault* FaultTable::open_of_guest(const base::GuestId& guest) const {
    const auto at = open_of_guest_.find(guest);
    if (at == open_of_guest_.end()) return nullptr;
    for (const base::FaultId& fault : at->second) {
        const TrackedFault& tracked = faults_.at(fault);
        if (!tracked.withheld) return &tracked;
    }
    return nullptr;
}

const base::GuestId* FaultTable::next_faulty(const base::GuestId& after) const {
    const auto at = open_of_guest_.upper_bound(after);
    return at == open_of_guest_.end() ? nullptr : &at->first;
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

}  // namespace vitalwire::controller
