// AlarmManager: what agents report of their faults.

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "controller/alarms/alarm_manager.hpp"
#include "controller/alarms/evidence.hpp"

namespace vitalwire::controller {

using model::Fault;

std::vector<AlarmManager::Rejected> AlarmManager::report(const base::HostId& host, const std::vector<Fault>& faults,
                                                         base::WallTime now, bool unconfirmed) {
    std::vector<Rejected> rejected;
    const std::size_t limit = context_.max_faults(host);
    for (Fault fault : faults) {
        if (known_as_ended(host, fault)) continue;
        if (const TrackedFault* older = gives_way_to(host, fault)) {
            outdated_[host].push_back(older->fault);
            continue;
        }
        const TrackedFault* known = table().find(fault.id);
        if (known != nullptr && is_outdated(fault, known->fault)) outdated_[host].push_back(known->fault);
        if (known != nullptr && ended_elsewhere(host, fault, known->fault)) {
            list_.table().mention(host, fault.id);
            outdated_[host].push_back(known->fault);
            continue;
        }
        if (known != nullptr && context_.doubts_end(*known, host, fault)) {
            rejected.push_back({fault, doubt_end(*known, now)});
            continue;
        }
        const auto before = known == nullptr ? std::nullopt : known->unconfirmed;
        bool changed = before.has_value();
        if (known != nullptr && known->host != host && context_.takes_over(host, known->host, fault.guest)) {
            list_.table().transfer(fault.id, host);
            changed = true;
        }
        const auto entries = list_.table().report(host, fault, now, limit);
        if (!entries) {
            rejected.push_back({fault, entries.error()});
            continue;
        }
        const base::TimePoint steady = context_.now().steady;
        if (known == nullptr) list_.table().set_received(fault.id, steady);
        if (changed) list_.put(*table().find(fault.id));
        for (const FaultTable::Entry& entry : *entries)
            take(entry);
        if (unconfirmed) keep_unconfirmed(fault.id, before, now);
    }
    return rejected;
}

std::vector<AlarmManager::Rejected> AlarmManager::report_orphaned(const base::HostId& host,
                                                                  const std::vector<Fault>& faults,
                                                                  base::WallTime now) {
    in_doubt_.erase(host);
    std::vector<Fault> news;
    std::copy_if(faults.begin(), faults.end(), std::back_inserter(news),
                 [this](const Fault& fault) { return is_newer(fault); });
    return report(host, news, now);
}

std::vector<Fault> AlarmManager::take_outdated(const base::HostId& host) {
    auto taken = outdated_.extract(host);
    if (taken.empty()) return {};
    std::vector<Fault> newer = std::move(taken.mapped());
    std::stable_partition(newer.begin(), newer.end(), [](const Fault& fault) { return !fault.open(); });
    return newer;
}

bool AlarmManager::is_newer(const Fault& fault) const {
    if (const TrackedFault* tracked = table().find(fault.id)) return fault.revision > tracked->fault.revision;
    const FaultHistory::Entry* past = history().find(fault.id);
    return past == nullptr || fault.revision > past->tracked.fault.revision;
}

/// An agent without its state has found once more what receivers are notified of: that is no second fault. It is handed
/// back the known one, and reports that from then on. What another controller has delivered counts as a fault of its
/// own.
const TrackedFault* AlarmManager::gives_way_to(const base::HostId& host, const Fault& own) const {
    const Agent* agent = context_.fleet.find(host);
    if (agent == nullptr || !agent->yields || !own.open() || own.delivered > 0) return nullptr;
    const TrackedFault* older = table().unnamed_before(host, own, agent->continuous);
    return older == nullptr || older->withheld ? nullptr : older;
}

/// It ended by evidence while its agent was away, its end is still under way to the receivers, and the guest is no
/// longer that host's: its agent is not believed that it goes on.
bool AlarmManager::ended_elsewhere(const base::HostId& host, const Fault& reported, const Fault& known) const {
    return reported.open() && !known.open() && !context_.may_report(host, reported.guest, false);
}

/// True when there is nothing to do about the fault any more: it has ended, and was delivered or is another primary's.
bool AlarmManager::known_as_ended(const base::HostId& host, Fault& fault) {
    const FaultHistory::Entry* past = history().find(fault.id);
    if (past == nullptr) return false;
    const Fault& ended = past->tracked.fault;
    // Also under another name of its host.
    if (is_outdated(fault, ended) && fault.guest == ended.guest) {
        outdated_[host].push_back(ended);
        return true;
    }
    const bool renamed = past->tracked.host != host;
    if (renamed && fault.guest != ended.guest) return false;
    if (fault.open()) {
        // What the inventory said of a host whose agent was away; the agent of the guest's owner has the last word.
        if (fault.revision < ended.revision && !context_.may_report(host, fault.guest, false)) return true;
        fault.delivered = 0;  // since then its end was delivered
    }
    const bool same = !fault.open() && (renamed || past->tracked.fault.revision == fault.revision);
    if (same && past->delivered) acknowledger_.acknowledge(host, fault.id, fault.revision);
    if (same && (past->delivered || !delivers(host))) return true;
    list_.erase_past(fault.id);
    return false;
}

}  // namespace vitalwire::controller
