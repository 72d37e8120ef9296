#pragma once

#include <chrono>
#include <string>

#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// An alarm "heartbeat_lost" of guest `guest`, opened at a fixed time; the tests change what they are about.
inline Alarm open_alarm(const std::string& guest, const std::string& id, std::uint64_t revision = 1) {
    Alarm alarm;
    alarm.id = base::FaultId(id);
    alarm.guest = base::GuestId(guest);
    alarm.host = base::HostId("compute-1");
    alarm.kind = "heartbeat_lost";
    alarm.severity = "critical";
    alarm.detail = "silent";
    alarm.revision = revision;
    alarm.opened_at = base::WallTime(std::chrono::seconds(1'700'000'000));
    alarm.updated_at = alarm.opened_at + std::chrono::seconds(revision);
    return alarm;
}

inline Alarm cleared(Alarm alarm) {
    ++alarm.revision;
    alarm.updated_at += std::chrono::seconds(1);
    alarm.cleared_at = alarm.updated_at;
    alarm.clear_reason = "recovered";
    return alarm;
}

/// "a1 opened 1": alarm, change and revision.
inline std::string line(const AlarmEvent& event) {
    std::string text =
        event.alarm.id.str() + " " + std::string(to_string(event.change)) + " " + std::to_string(event.alarm.revision);
    if (event.collapsed > 0) text += " collapsed " + std::to_string(event.collapsed);
    return text;
}

}  // namespace vitalwire::controller
