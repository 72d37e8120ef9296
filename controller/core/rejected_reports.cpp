#include "controller/core/rejected_reports.hpp"

#include <utility>

namespace vitalwire::controller {

namespace {
/// Of one host; beyond it the agent's repetition brings them again.
constexpr std::size_t kMostKept = 500;
/// A condition that comes and goes with every message is one condition.
constexpr base::Millis kQuietAfter{30'000};
}  // namespace

void RejectedReports::add(const base::HostId& host, const std::vector<AlarmManager::Rejected>& rejected,
                          const std::vector<base::Error>& unreadable, base::TimePoint now) {
    if (rejected.empty() && unreadable.empty()) return;
    Host& at = hosts_[host];
    at.last = now;
    at.count += rejected.size() + unreadable.size();
    if (!unreadable.empty()) at.why = unreadable.front().message;
    keep(host, rejected);
}

void RejectedReports::keep(const base::HostId& host, const std::vector<AlarmManager::Rejected>& rejected) {
    if (rejected.empty()) return;
    Host& at = hosts_[host];
    at.why = rejected.front().error.message;
    for (const AlarmManager::Rejected& one : rejected) {
        if (at.kept.size() < kMostKept || at.kept.contains(one.fault.id))
            at.kept.insert_or_assign(one.fault.id, one.fault);
    }
}

void RejectedReports::drop(const base::HostId& host, const base::FaultId& fault) {
    const auto at = hosts_.find(host);
    if (at != hosts_.end()) at->second.kept.erase(fault);
}

std::vector<model::Fault> RejectedReports::take(const base::HostId& host) {
    std::vector<model::Fault> faults;
    const auto at = hosts_.find(host);
    if (at == hosts_.end()) return faults;
    for (auto& [id, fault] : std::exchange(at->second.kept, {}))
        faults.push_back(std::move(fault));
    return faults;
}

std::vector<base::HostId> RejectedReports::hosts() const {
    std::vector<base::HostId> hosts;
    for (const auto& [host, reports] : hosts_)
        hosts.push_back(host);
    return hosts;
}

std::string RejectedReports::problem(const base::HostId& host, base::TimePoint now) const {
    const auto at = hosts_.find(host);
    if (at == hosts_.end() || quiet(host, now)) return {};
    return at->second.why + " (" + std::to_string(at->second.count) + " rejected)";
}

bool RejectedReports::quiet(const base::HostId& host, base::TimePoint now) const {
    const auto at = hosts_.find(host);
    return at == hosts_.end() || (at->second.kept.empty() && now - at->second.last >= kQuietAfter);
}

}  // namespace vitalwire::controller
