#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "model/corrective_action.hpp"

namespace vitalwire::model {

enum class FaultKind : std::uint8_t {
    heartbeat_lost,   ///< no valid answer by the deadline; detail: silent, channel_closed, late, guest_agent
    unhealthy,        ///< the guest answers "unhealthy"; reason: its own words
    not_established,  ///< the flavor asks for heartbeat, or the guest rebooted, and no init came in time
    vm_crashed,       ///< detail: failed, crashed, panicked, internal_error
    stopped_by_host,  ///< its hypervisor stopped the VM, nobody asked for it; detail: io_error, watchdog,
                      ///< postcopy_failed
    watchdog_fired,   ///< the VM's watchdog device; detail: the action it takes
};
inline constexpr std::size_t kFaultKinds = 6;

/// In the order of the enumeration.
const std::array<FaultKind, kFaultKinds>& all_fault_kinds();

std::string_view to_string(FaultKind kind);
std::optional<FaultKind> parse_fault_kind(std::string_view text);

/// "critical", "major" or "warning", as alarm systems use the words.
std::string_view severity(FaultKind kind);

/// Its evidence is that nothing is heard of the guest, so that another sign of life may speak against it.
inline constexpr bool is_silence(FaultKind kind) {
    return kind == FaultKind::heartbeat_lost || kind == FaultKind::not_established;
}

/// One fault of one guest from its opening to its clearing. Opened once, updated, cleared once.
struct Fault {
    base::FaultId id;
    base::GuestId guest;
    std::string guest_name;  ///< display only: the name the guest gave itself
    FaultKind kind = FaultKind::heartbeat_lost;
    std::string detail;  ///< machine-readable, see FaultKind
    std::string reason;  ///< human-readable; may come from the guest: escape before logging
    CorrectiveAction corrective_action = CorrectiveAction::none;
    std::uint64_t revision = 1;   ///< counts changes: opening is 1
    std::uint64_t delivered = 0;  ///< the last revision confirmed delivered: a new primary does not deliver it again
    /// The receivers that have confirmed that revision, each by a mark that controllers give it. Absent: not known.
    std::optional<std::vector<std::string>> delivered_to;
    base::WallTime opened_at{};
    base::WallTime updated_at{};
    std::optional<base::WallTime> cleared_at;
    std::string clear_reason;  ///< recovered, registered, domain_stopped, migrated, exit, removed, disabled

    bool open() const { return !cleared_at.has_value(); }
};

}  // namespace vitalwire::model
