#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "base/moment.hpp"
#include "controller/alarms/fault_table.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"
#include "controller/fleet/inventory.hpp"

namespace vitalwire::controller {

// Why a fault ended without a report of its agent: by what was seen.
inline constexpr std::string_view kGuestAnswers = "recovered";  ///< a valid answer, to its own agent
inline constexpr std::string_view kGuestMoved = "moved";        ///< it answers elsewhere, or the cloud has it there
inline constexpr std::string_view kGuestDeleted = "deleted";    ///< Nova has it no more
inline constexpr std::string_view kGuestStopped = "stopped";    ///< Nova has stopped it, or has it on no host
inline constexpr std::string_view kGuestRemoved = "removed";    ///< the operator took it out of the inventory's file
inline constexpr std::string_view kByOperator = bus::kClosedByOperator;  ///< by command

/// One of the reasons above that an agent itself does not give.
bool is_evidence(std::string_view clear_reason);
/// True if what is known of the fault is newer than what its agent reports: that has an old copy of its state, or does
/// not know that an operator has closed the fault. What the inventory alone has ended is not: the agent of the guest's
/// owner has the last word.
bool is_outdated(const model::Fault& reported, const model::Fault& known);

/// An agent that restarts is back by then; longer, and it vouches for nothing.
inline constexpr base::Millis kAgentPatience{5000};

/// What has been seen that ends a fault. Absence ends none: not of the agent, not of a report, not from the inventory
/// while the fault's agent is there and reports it.
class Evidence {
public:
    struct Source {
        bool loaded = false;
        bool names_all = false;  ///< it is a cloud, which has all guests, and says itself which it has deleted
    };

    Evidence(const Inventory& inventory, const Fleet& fleet, const HostNames& names)
        : inventory_(inventory), fleet_(fleet), names_(names) {}

    /// The reason; absent while the fault stays.
    /// `removed`: the guest was taken out of the inventory while the fault was open, by the operator or by Nova's word.
    std::optional<std::string_view> ends(const TrackedFault& tracked, Source source, bool removed,
                                         base::TimePoint now) const;
    /// True if the agent of the fault's host is there and reports it.
    bool vouched(const TrackedFault& tracked) const;
    /// The inventory contradicts an agent that reports the fault: it has the guest elsewhere, or has it no more.
    bool contradicted(const TrackedFault& tracked, Source source, bool removed) const;
    /// The agent of `host` ends the fault because the guest was removed, and the cloud has it running there.
    bool doubts_end(const TrackedFault& tracked, const base::HostId& host, const model::Fault& reported,
                    Source source) const;
    /// Nobody vouches for the open fault now: since when, and why.
    std::optional<Unconfirmed> unconfirmed(const TrackedFault& tracked) const;

private:
    bool answers_here(const TrackedFault& tracked) const;
    bool answers_elsewhere(const TrackedFault& tracked) const;
    std::optional<std::string_view> by_inventory(const TrackedFault& tracked, Source source, bool removed) const;

    const Inventory& inventory_;
    const Fleet& fleet_;
    const HostNames& names_;
};

}  // namespace vitalwire::controller
