#include "controller/model/alarm.hpp"

#include <algorithm>

namespace vitalwire::controller {

Alarm to_alarm(const model::Fault& fault, const base::HostId& host) {
    Alarm alarm;
    alarm.id = fault.id;
    alarm.kind = model::to_string(fault.kind);
    alarm.severity = model::severity(fault.kind);
    alarm.guest = fault.guest;
    alarm.host = host;
    alarm.guest_name = fault.guest_name;
    alarm.detail = fault.detail;
    alarm.reason = fault.reason;
    alarm.corrective_action = model::to_string(fault.corrective_action);
    alarm.revision = fault.revision;
    alarm.delivered = fault.delivered;
    alarm.delivered_to = fault.delivered_to;
    alarm.opened_at = fault.opened_at;
    alarm.updated_at = fault.updated_at;
    alarm.cleared_at = fault.cleared_at;
    alarm.clear_reason = fault.clear_reason;
    return alarm;
}

void move_times(Alarm& alarm, base::WallTime::duration by) {
    alarm.opened_at += by;
    alarm.updated_at += by;
    if (alarm.cleared_at) *alarm.cleared_at += by;
}

AlarmNames names_of(const Alarm& alarm) {
    return {alarm.first_host, alarm.display_name, alarm.group, alarm.group_name, alarm.project, alarm.flavor};
}

void set_names(Alarm& alarm, const AlarmNames& names) {
    alarm.first_host = names.host;
    alarm.display_name = names.display_name;
    alarm.group = names.group;
    alarm.group_name = names.group_name;
    alarm.project = names.project;
    alarm.flavor = names.flavor;
}

std::string_view to_string(AlarmChange change) {
    switch (change) {
        case AlarmChange::opened:
            return "opened";
        case AlarmChange::updated:
            return "updated";
        case AlarmChange::cleared:
            return "cleared";
    }
    return "opened";
}

namespace {

/// How far the clock of who found it was ahead of this controller's when it was received here.
base::WallTime::duration ahead(const Alarm& alarm) {
    const bool is_ahead = alarm.received_at != base::WallTime{} && alarm.opened_at > alarm.received_at;
    return is_ahead ? alarm.opened_at - alarm.received_at : base::WallTime::duration::zero();
}

}  // namespace

base::WallTime AlarmEvent::time() const {
    const base::WallTime opened = alarm.opened_at - ahead(alarm);
    const bool ended_here = alarm.ended != base::TimePoint{};
    switch (change) {
        case AlarmChange::opened:
            return opened;
        case AlarmChange::updated:
            return std::max(alarm.updated_at - ahead(alarm), opened);
        case AlarmChange::cleared:
            if (ended_here && alarm.cleared_at) return std::max(*alarm.cleared_at, opened);
            return std::max(alarm.cleared_at.value_or(alarm.updated_at) - ahead(alarm), opened);
    }
    return opened;
}

std::string describe(const AlarmEvent& event) {
    const Alarm& alarm = event.alarm;
    const model::AlarmKind* kind = model::find_alarm_kind(alarm.kind);
    std::string text(kind == nullptr ? std::string_view(alarm.kind) : kind->sentence);
    if (!alarm.detail.empty()) text += " (" + alarm.detail + ")";
    if (event.change == AlarmChange::cleared) return text + "; it is over: " + alarm.clear_reason;
    if (!alarm.reason.empty()) text += ": " + alarm.reason;
    return text;
}

}  // namespace vitalwire::controller
