#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/token_bucket.hpp"

namespace vitalwire::controller {

/// How much work one host may make for a controller, so that none takes it from the others. A host that connects, sends
/// a full resync or changes its primary too often has to stay away for a while, each time longer; of faults that
/// change too often the newest state is taken later. No I/O, no clock.
class Pacing {
public:
    /// Something that costs as much as all faults of the host. Absent, or how long the host has to stay away: then
    /// nothing is to be done.
    std::optional<base::Millis> take_round(const base::HostId& host, base::TimePoint now);
    /// A fault that changed. `limit`: how many faults the host may have.
    bool take_fault(const base::HostId& host, std::size_t limit, base::TimePoint now);
    /// A round too. How long it has to stay away; absent when it may connect.
    std::optional<base::Millis> connect(const base::HostId& host, base::TimePoint now);
    /// It has had to stay away, and was not quiet since: its coming and going is nothing new.
    bool comes_too_often(const base::HostId& host) const;
    void erase(const base::HostId& host) { hosts_.erase(host); }

    /// For the board of problems; empty when there is none. Forgets hosts that have been quiet.
    std::string problem(base::TimePoint now);

private:
    struct Host {
        base::TokenBucket rounds;
        std::optional<base::TokenBucket> faults;
        base::Millis pause{0};
        base::TimePoint until{};
        base::TimePoint last{};  ///< something was refused
        std::uint64_t refused = 0;
        std::uint64_t faults_refused = 0;
    };

    Host& find(const base::HostId& host);

    std::map<base::HostId, Host> hosts_;
};

}  // namespace vitalwire::controller
