#include "model/alarm_kind.hpp"

#include <algorithm>

namespace vitalwire::model {

namespace {

using Source = AlarmKind::Source;

constexpr std::array<AlarmKind, kAlarmKinds> kKinds = {{
    {"heartbeat_lost", "critical", Source::agent, false, "the guest stopped answering its heartbeat"},
    {"unhealthy", "major", Source::agent, false, "the guest reports that it is unhealthy"},
    {"not_established", "warning", Source::agent, false, "the guest did not register for its heartbeat in time"},
    {"vm_crashed", "critical", Source::agent, false, "the virtual machine crashed"},
    {"stopped_by_host", "critical", Source::agent, false, "the hypervisor stopped the virtual machine by itself"},
    {"watchdog_fired", "critical", Source::agent, false, "the watchdog of the virtual machine fired"},
    {kRunningTwice, "critical", Source::controller, false, "the guest runs on two hosts at once"},
    {kHostUnreachable, "critical", Source::controller, true,
     "the host fell silent: it hangs, has no power or is cut off"},
    {kAgentLost, "critical", Source::controller, true, "the agent of the host is lost: nobody watches its guests"},
    {kAgentDegraded, "major", Source::controller, true, "the agent of the host cannot watch all of its guests"},
    {kSinkFailing, "major", Source::controller, true, "the controller cannot deliver alarms to one of its receivers"},
    {kTestEvent, "warning", Source::controller, true, "nothing is wrong: an operator tests whether this arrives"},
}};

}  // namespace

const std::array<AlarmKind, kAlarmKinds>& alarm_kinds() {
    return kKinds;
}

const AlarmKind* find_alarm_kind(std::string_view name) {
    const auto* found = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& kind) { return kind.name == name; });
    return found == kKinds.end() ? nullptr : found;
}

}  // namespace vitalwire::model
