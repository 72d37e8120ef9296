#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

/// Who may report about a guest now. A guest has one owner: the host where the inventory has it. A report cannot make
/// an owner, or a stolen key could take any guest. While Nova moves it, the other host of the move as Nova has
/// announced it may report about its copy too; any other one waits until the inventory has the guest there. After a
/// restart, until the inventory has been read, the host counts where it had the guest before. Where the inventory has
/// no host the first living holder is the owner. No I/O, no clock.
class Authority {
public:
    Authority(const Inventory& inventory, const Fleet& fleet, const HostNames& names)
        : inventory_(inventory), fleet_(fleet), names_(names) {}

    bool may_report(const base::HostId& host, const base::GuestId& guest) const;
    /// Empty when nobody owns it.
    base::HostId owner(const base::GuestId& guest) const;
    /// A move of the guest is announced, by Nova's task or by the owner's hypervisor: to whom that does not say.
    bool moving(const base::GuestId& guest) const;
    /// Nova moves the guest between its owner and that host.
    bool announced_to(const base::HostId& host, const base::GuestId& guest) const;

    struct Claim {
        base::GuestId guest;
        std::vector<base::HostId> hosts;  ///< that have a copy, and no part in its move
    };
    /// Guests that are moved, and copies of which are on hosts that cannot all be the destination.
    std::vector<Claim> claims() const;

    struct Twice {
        base::GuestId guest;
        std::vector<base::HostId> hosts;  ///< whose copies answer, the owner first
    };
    /// Guests of which copies on several hosts answer although no move is announced. That an agent reports an answer is
    /// a claim, and a stolen key could make any guest a split brain: of a guest that the inventory has on a host only
    /// hosts count where it was, or was to be moved to.
    std::vector<Twice> running_twice() const;
    /// Guests of which copies answer on hosts that never were to have one, as far as is known: these hosts, and no
    /// move is announced.
    std::vector<Claim> copies_of_nowhere() const;

private:
    /// The hosts whose copies of it answer.
    std::vector<base::HostId> answering(const base::GuestId& guest) const;
    bool had(const base::HostId& host, const base::GuestId& guest) const;

    const Inventory& inventory_;
    const Fleet& fleet_;
    const HostNames& names_;
};

/// True if Nova expects the guest to run its own system: not in rescue mode, not stopped.
bool is_expected(const InventoryGuest& guest);

}  // namespace vitalwire::controller
