#pragma once

#include <functional>
#include <list>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/moment.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

/// What agents that are away have reported to the durable fault queue. A connected agent reports everything itself;
/// when one stays away this controller adopts its reports. Each is done with when its faults are on disk; until then
/// the broker gives it to another controller if this one dies.
class OrphanedReports {
public:
    using Faults = std::vector<model::Fault>;
    struct Dependencies {
        std::function<bool(const base::HostId&)> connected;
        std::function<bool()> reachable;  ///< false: no agent can connect to this controller now
        std::function<void(const base::HostId&, const Faults&, base::Moment)> adopt;
        std::function<void(std::function<void()>)> when_durable;
    };

    /// `patience`: for an agent to connect, from when it can.
    OrphanedReports(base::Millis patience, Dependencies dependencies);

    /// Returns how many of the faults there is no room for. Of one host only so many messages wait unacknowledged: the
    /// broker sends no more than it has a place for, and those of other hosts are behind them.
    std::size_t take(const base::HostId& host, Faults faults, std::function<void()> done, base::TimePoint now);
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
        bool joined = false;  ///< by later messages, which are done with
    };

    std::size_t join(Report& report, Faults faults);

    base::Millis patience_;
    Dependencies context_;
    std::list<Report> waiting_;  ///< the oldest first; at most what the broker sends ahead of our acknowledgement
    base::TimePoint checked_{};
};

}  // namespace vitalwire::controller
