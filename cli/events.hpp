#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace vitalwire::cli {

// What happened to faults and alarms, as JSON objects {time, event, fault}: event is opened, updated or cleared.

/// From an answer with cleared faults, the oldest first; only what is in the period.
nlohmann::json history(const nlohmann::json& faults, std::optional<base::WallTime> since,
                       std::optional<base::WallTime> until);

/// The open faults and alarms of one moment, by id.
using OpenFaults = std::map<std::string, nlohmann::json>;
OpenFaults open_faults(const nlohmann::json& faults);

/// What is different between two moments.
struct Changes {
    std::vector<nlohmann::json> events;  ///< opened and updated
    std::vector<nlohmann::json> gone;    ///< faults that are open no more, as they were last seen
};
Changes changes(const OpenFaults& before, const OpenFaults& now, const std::string& time);

nlohmann::json make_event(const char* event, const std::string& time, const nlohmann::json& fault);
/// As by_its_host of the time at which the event happened, of that fault.
std::string time_by_host(const nlohmann::json& event, const nlohmann::json& fault);
/// "2026-11-22 06:05:08Z opened critical heartbeat_lost of guest g-1 on c1, silent", escaped.
std::string event_line(const nlohmann::json& event);

}  // namespace vitalwire::cli
