#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// The one form in which host names are compared: lower case, no dot at the end.
base::HostId canonical(const base::HostId& host);
/// The short name.
std::string_view label_of(const base::HostId& host);

/// Which agent speaks for which host of the inventory. The cloud may call a host by its short name and the agent by its
/// full one, or the other way round: they match while no other host of either side has the same short name.
class HostNames {
public:
    HostNames(const Inventory& inventory, const Fleet& fleet) : inventory_(inventory), fleet_(fleet) {}

    /// True if the agent speaks for that host of the inventory.
    bool same(const base::HostId& agent, const base::HostId& host) const;
    /// True if they are two hosts for certain. Where neither this nor `same` is true nobody can tell: a short name that
    /// several full ones have.
    bool differ(const base::HostId& agent, const base::HostId& host) const;
    /// The agent that speaks for a host of the inventory: one that is connected before one that was, by that name, in
    /// an earlier life; the host's canonical name when there is none.
    base::HostId agent_of(const base::HostId& host) const;
    bool has_agent(const base::HostId& host) const;
    /// The inventory's host that an agent speaks for, canonical.
    std::optional<base::HostId> host_of(const base::HostId& agent) const;
    /// The inventory's guests on an agent's host.
    std::vector<const InventoryGuest*> guests_of(const base::HostId& agent) const;

private:
    struct Label {
        std::set<base::HostId> hosts;   ///< of the inventory, canonical
        std::set<base::HostId> agents;  ///< connected, and those that are away while no connected one has the label
    };

    void refresh() const;

    const Inventory& inventory_;
    const Fleet& fleet_;
    // Built when first asked for after a change.
    mutable std::optional<std::pair<std::uint64_t, std::uint64_t>> built_from_;
    mutable std::map<base::HostId, std::vector<base::HostId>> spellings_;  ///< canonical: as the inventory has it
    mutable std::map<std::string, Label, std::less<>> labels_;
};

}  // namespace vitalwire::controller
