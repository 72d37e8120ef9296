#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "controller/fleet/inventory.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

/// Of one agent, open or still to be told as cleared: far above what a host's guests can have, so that a broken agent
/// cannot fill the controller.
inline constexpr std::size_t kMaxFaultsPerHost = 100'000;

/// Why a fault ended that its agent no longer knows.
inline constexpr std::string_view kForgotten = "forgotten";
/// Why a fault ended when its agent opened another one of the same kind for the same guest.
inline constexpr std::string_view kSuperseded = "superseded";

/// Why a fault ended whose agent is away: its guest is on another host now, or exists no more.
inline constexpr std::string_view kGuestMoved = "moved";
inline constexpr std::string_view kGuestDeleted = "deleted";

struct TrackedFault {
    model::Fault fault;
    base::HostId host;             ///< whose agent says so
    base::WallTime received_at{};  ///< when it was first reported here, by this controller's clock
};

/// What every agent says is wrong. The agent is the truth for its host's guests: its last word counts, and after a
/// whole state what it did not mention is over. While it is away its faults stay as they are. No I/O, no clock.
class FaultTable {
public:
    enum class Change : std::uint8_t { none, opened, updated, cleared };
    struct Entry {
        TrackedFault booked;
        Change change = Change::none;
        bool forgotten = false;  ///< its agent no longer speaks of it: whoever led has delivered its end
    };

    /// As it was before a restart.
    void restore(const TrackedFault& booked);

    void begin_snapshot(const base::HostId& host);
    /// The whole state was told. What it did not mention and is open is cleared (kForgotten); what is over is among the
    /// entries as well: its agent will not speak of it again, so whatever is still to do about it is to be done now.
    std::vector<Entry> end_snapshot(const base::HostId& host, base::WallTime now);
    /// The agent is gone before the state's end: nothing is concluded from what it did not say.
    void abandon_snapshot(const base::HostId& host);

    /// What an agent says of one fault. The last entry is that fault; before it, one that it supersedes. Refused: the
    /// fault belongs to another host or is about something else than before, or the host has too many.
    base::Result<std::vector<Entry>> report(const base::HostId& host, const model::Fault& fault, base::WallTime now);

    /// Ends an open fault without its agent's word.
    Entry clear(const base::FaultId& fault, std::string_view why, base::WallTime now);

    /// Over and told: leaves the book.
    void erase(const base::FaultId& fault);

    const TrackedFault* find(const base::FaultId& fault) const;
    std::vector<const TrackedFault*> of_host(const base::HostId& host) const;
    const std::unordered_map<base::FaultId, TrackedFault>& all() const { return faults_; }
    std::size_t open_of_kind(model::FaultKind kind) const { return open_[static_cast<std::size_t>(kind)]; }
    std::size_t open_of_host(const base::HostId& host) const;

private:
    using Slot = std::pair<base::GuestId, model::FaultKind>;
    struct Host {
        std::set<base::FaultId> faults;
        std::map<Slot, base::FaultId> open;
        /// Mentioned since begin_snapshot; absent outside a whole state.
        std::optional<std::set<base::FaultId>> mentioned;
    };

    void book(const base::HostId& host, const model::Fault& fault);
    void note_closed(const TrackedFault& booked);

    std::unordered_map<base::FaultId, TrackedFault> faults_;
    std::unordered_map<base::HostId, Host> hosts_;
    std::array<std::size_t, model::kFaultKinds> open_{};
};

/// Why a fault is over whose agent is away. Absent while it stays: it is over already, its guest is there, or nobody
/// knows where. `names_all`: a guest that the inventory does not name does not exist.
std::optional<std::string_view> why_over(const Inventory& inventory, bool names_all, const TrackedFault& booked);

}  // namespace vitalwire::controller
