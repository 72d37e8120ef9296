#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"

namespace vitalwire::controller {

/// Which agent is another one under a new name: a host that was renamed. It has the other's short name or its state,
/// and came when the other had gone. That alone is true of a neighbour or a clone, too, whose connection was cut for a
/// moment: two agents that have been seen at the same time are two, whatever they are called and whatever they hold. No
/// I/O, no clock.
class Succession {
public:
    Succession(const Fleet& fleet, const HostNames& names) : fleet_(fleet), names_(names) {}

    /// The agent has connected, and the fleet knows; `is_new`: it did not know the name before.
    void connected(const base::HostId& host, bool is_new);
    /// Something came from the agent.
    void heard(const base::HostId& host);
    void forget(const base::HostId& host);

    /// Who the agent that is away is now.
    std::optional<base::HostId> successor(const base::HostId& host) const;
    std::vector<base::HostId> predecessors(const base::HostId& host) const;
    /// Agents that have one state and are not one: "a and b".
    std::vector<std::string> copies() const;

private:
    using Pair = std::pair<base::HostId, base::HostId>;

    static Pair pair_of(const base::HostId& one, const base::HostId& other);
    bool alike(const base::HostId& one, const base::HostId& other) const;
    bool may_succeed(const base::HostId& other, const base::HostId& host, const Agent& left) const;

    const Fleet& fleet_;
    const HostNames& names_;
    std::set<base::HostId> new_;  ///< not known from disk
    std::map<base::HostId, std::set<base::HostId>>
        newer_;  ///< by one that was there when they came: unless it is heard
    std::set<Pair> together_;
};

}  // namespace vitalwire::controller
