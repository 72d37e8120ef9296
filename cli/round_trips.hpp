#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/table.hpp"

namespace vitalwire::cli {

/// "410 ms of 600 ms" when the guest's longest round trip of the last hour took more than half of the time that it
/// has; empty otherwise.
std::string near_deadline(const nlohmann::json& guest);

/// How long the answers of these guests took, since each registered: a histogram. Empty when none is known.
Table round_trips_table(const std::vector<const nlohmann::json*>& guests);

}  // namespace vitalwire::cli
