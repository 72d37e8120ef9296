#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "model/alarm_kind.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

using model::kAgentDegraded;
using model::kAgentLost;
using model::kHostUnreachable;
using model::kRunningTwice;
using model::kSinkFailing;
using model::kTestEvent;

/// What the inventory has of an alarm's subject.
struct AlarmNames {
    /// As the cloud spelled it first. What a receiver was sent under one name has to end under it. Empty: not known
    /// yet.
    base::HostId host;
    std::string display_name;
    base::GroupId group;
    std::string group_name;
    std::string project;
    std::string flavor;

    friend bool operator==(const AlarmNames&, const AlarmNames&) = default;
};

/// A fault in the words of alarm systems: what sinks are notified of. Its kind and severity are text, so that alarms
/// of hosts are delivered alike.
struct Alarm {
    base::FaultId id;
    std::string kind;      ///< model::to_string(FaultKind)
    std::string severity;  ///< critical, major, warning
    base::GuestId guest;   ///< empty when the alarm concerns a whole host
    base::HostId host;
    std::string guest_name;  ///< the name the guest gave itself; display only
    std::string detail;
    std::string reason;  ///< may come from the guest
    std::string corrective_action;
    std::uint64_t revision = 1;
    /// The highest revision that an earlier primary's sinks have acknowledged to the agent; 0 when none.
    std::uint64_t delivered = 0;
    std::optional<std::vector<std::string>> delivered_to;  ///< Fault::delivered_to
    base::WallTime opened_at{};                            ///< by the clock of who found it
    base::WallTime received_at{};                          ///< by this controller's; the epoch: just now
    base::TimePoint received{};                            ///< the same moment; the epoch: before a restart
    /// When this controller learned of the end; the epoch while `cleared_at` is by the clock of `opened_at`.
    base::TimePoint ended{};
    base::WallTime updated_at{};
    std::optional<base::WallTime> cleared_at;
    std::string clear_reason;

    // From the inventory, when it is sent; as it was last when that no longer has the guest.
    base::HostId first_host;  ///< AlarmNames::host
    std::string display_name;
    base::GroupId group;
    std::string group_name;
    std::string project;
    std::string flavor;

    bool open() const { return !cleared_at.has_value(); }
    /// What must stay in order: everything about one guest, or about one host.
    const std::string& subject() const { return guest.empty() ? host.str() : guest.str(); }

    friend bool operator==(const Alarm&, const Alarm&) = default;
};

Alarm to_alarm(const model::Fault& fault, const base::HostId& host);
/// When it opened, changed and ended, by another clock, or by this one set by that much.
void move_times(Alarm& alarm, base::WallTime::duration by);
AlarmNames names_of(const Alarm& alarm);
void set_names(Alarm& alarm, const AlarmNames& names);

enum class AlarmChange : std::uint8_t { opened, updated, cleared };
std::string_view to_string(AlarmChange change);

/// One message for a sink. `alarm` is as it was at this change: open for opened and updated, cleared for cleared.
struct AlarmEvent {
    AlarmChange change = AlarmChange::opened;
    Alarm alarm;
    /// Earlier alarms of this kind and guest that came and went while this sink was behind and are not sent one by one.
    std::uint64_t collapsed = 0;
    /// Of opened and updated: the alarm is over by now, and its clear follows.
    bool over = false;
    /// Kinds of the same subject's other alarms that are open now.
    std::vector<std::string> others_open;

    /// When it happened: an end is never before its beginning, and no beginning after its arrival here, whatever the
    /// clock of who found it did. That one's own times are in `alarm`.
    base::WallTime time() const;
};

/// One sentence for people: "the guest stopped answering (silent): disk is full". May hold the guest's own words.
std::string describe(const AlarmEvent& event);

}  // namespace vitalwire::controller
