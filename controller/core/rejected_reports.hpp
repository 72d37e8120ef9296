#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "controller/alarms/alarm_manager.hpp"

namespace vitalwire::controller {

/// Reports that could not be taken, by host: kept, and taken as soon as what was in their way is gone. No I/O, no
/// clock.
class RejectedReports {
public:
    /// What was rejected of one message of an agent.
    void add(const base::HostId& host, const std::vector<AlarmManager::Rejected>& rejected,
             const std::vector<base::Error>& unreadable, base::TimePoint now);
    /// The agent has sent the fault again: what was kept of it is old.
    void drop(const base::HostId& host, const base::FaultId& fault);
    /// What was taken and is rejected again.
    void keep(const base::HostId& host, const std::vector<AlarmManager::Rejected>& rejected);
    void erase(const base::HostId& host) { hosts_.erase(host); }
    /// Of one host, to be tried again; what is rejected again comes back by `keep`.
    std::vector<model::Fault> take(const base::HostId& host);
    std::vector<base::HostId> hosts() const;
    /// Why; empty once nothing was rejected for a while and nothing is kept.
    std::string problem(const base::HostId& host, base::TimePoint now) const;
    bool quiet(const base::HostId& host, base::TimePoint now) const;

private:
    struct Host {
        std::map<base::FaultId, model::Fault> kept;
        std::string why;
        std::uint64_t count = 0;
        base::TimePoint last{};
    };

    std::map<base::HostId, Host> hosts_;
};

}  // namespace vitalwire::controller
