#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// The keys of bus::to_json(Fault), and what the inventory has: host, display_name, group, project.
nlohmann::json to_json(const Alarm& alarm);

}  // namespace vitalwire::controller
