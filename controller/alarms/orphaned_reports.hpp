#pragma once

#include <functional>
#include <list>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/moment.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

/// What agents that are away have reported to the durable fault queue. A connected agent reports everything itself;
/// when one stays away this controller adopts its reports. Each is done with when its faults are on disk; until then
/// the broker gives it to another controller if this one dies. What one host leaves beyond a few messages is kept here:
/// on disk, before it is done with.
class OrphanedReports {
public:
    using Faults = std::vector<model::Fault>;
    struct Dependencies {
        std::function<bool(const base::HostId&)> connected;
        std::function<bool()> reachable;  ///< false: no agent can connect to this controller now
        std::function<void(const base::HostId&, const Faults&, base::Moment)> adopt;
        std::function<void(std::function<void()>)> when_durable;
        std::function<void(const base::HostId&, const model::Fault&)> put = [](const auto&, const auto&) {};
        std::function<void(const base::HostId&, const base::FaultId&)> erase = [](const auto&, const auto&) {};
    };

    /// `patience`: for an agent to connect, from when it can.
    OrphanedReports(base::Millis patience, Dependencies dependencies);

    /// Returns how many of the faults there is no room for. Of one host only so many messages wait unacknowledged: the
    /// broker sends no more than it has a place for, and those of other hosts are behind them.
    std::size_t take(const base::HostId& host, Faults faults, std::function<void()> done, base::TimePoint now);
    /// What was kept before a restart.
    void restore(const base::HostId& host, Faults faults, base::TimePoint now);
    void tick(base::Moment moment);
    base::TimePoint next_due() const;
    void agent_up(const base::HostId& host);
    void stop();
    std::size_t waiting() const { return waiting_.size(); }

private:
    struct Report {
        base::HostId host;
        Faults faults;
        std::function<void()> done;
        base::TimePoint until;
        bool joined = false;                                  ///< by later messages
        std::set<base::FaultId> kept;                         ///< of these; erased from disk with the report
        std::set<base::FaultId> to_keep = {};                 ///< not on disk yet
        std::vector<std::function<void()>> joined_done = {};  ///< once they are
    };

    std::size_t join(Report& report, Faults faults, std::function<void()> done, base::TimePoint now);
    void keep_joined();
    void finish(Report& report);

    base::Millis patience_;
    Dependencies context_;
    std::list<Report> waiting_;  ///< the oldest first; at most what the broker sends ahead of our acknowledgement
    base::TimePoint checked_{};
    base::TimePoint keep_due_ = base::kNever;
};

}  // namespace vitalwire::controller
