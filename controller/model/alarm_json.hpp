#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// The keys of bus::to_json(Fault), and what the inventory has: host, display_name, group, project.
nlohmann::json to_json(const Alarm& alarm);
/// What of it is kept of an alarm about the suite itself; absent when it is none.
std::optional<Alarm> alarm_from_json(const nlohmann::json& row);

}  // namespace vitalwire::controller
