#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "controller/alarms/fault_table.hpp"

namespace vitalwire::controller {

/// On disk, and of one that is over to other controllers.
nlohmann::json to_json(const TrackedFault& tracked);
/// Absent when it is none.
std::optional<TrackedFault> tracked_fault_from_json(const nlohmann::json& row);

}  // namespace vitalwire::controller
