#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/fault.hpp"

namespace vitalwire::host {

/// The faults of this host's guests: open ones, and cleared ones until they are confirmed delivered. At most one open
/// fault of a kind per guest; at most `kMaxCleared` cleared ones per guest, of which the oldest give way.
class FaultTable {
public:
    /// A guest that comes and goes while no controller listens: what is older than this many faults is no longer told.
    static constexpr std::size_t kMaxCleared = 64;

    /// Puts back a fault read from disk.
    void restore(model::Fault fault);
    /// Adds an opened fault. `fault.id` must be new.
    model::Fault& open(model::Fault fault);
    /// The open fault of that kind, or null.
    model::Fault* find_open(const base::GuestId& guest, model::FaultKind kind);
    const model::Fault* find_open(const base::GuestId& guest, model::FaultKind kind) const;
    bool any_open(const base::GuestId& guest) const;
    /// Call after a fault was cleared: drops the guest's oldest cleared faults over the bound and returns their ids.
    std::vector<base::FaultId> trim(const base::GuestId& guest);
    /// Revision `revision` has arrived everywhere, which was at `to`. True when the fault is over with: it is no longer
    /// in the book.
    bool delivered(const base::FaultId& fault, std::uint64_t revision,
                   const std::optional<std::vector<std::string>>& to = std::nullopt);
    /// Takes it out, open or not.
    void drop(const base::FaultId& fault);

    const model::Fault* find(const base::FaultId& fault) const;
    /// Calls `visit(const Fault&)`: guests in no order, the faults of one guest in the order of opening.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (const auto& [guest, faults] : faults_) {
            for (const model::Fault& fault : faults)
                visit(fault);
        }
    }
    std::size_t size() const { return guest_of_.size(); }
    std::size_t unacknowledged() const;  ///< faults with a revision that has not arrived everywhere

private:
    using Faults = std::vector<model::Fault>;

    void erase(const base::GuestId& guest, Faults::iterator position);

    std::unordered_map<base::GuestId, Faults> faults_;
    std::unordered_map<base::FaultId, base::GuestId> guest_of_;
};

}  // namespace vitalwire::host
