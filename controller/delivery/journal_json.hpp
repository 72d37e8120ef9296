#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "controller/delivery/journal.hpp"

namespace vitalwire::controller {

/// {"entries": [{"at", "what", ...}], "dropped": 0}, on disk and in the API.
nlohmann::json to_json(const Journal::Record& record);
/// Absent when it is none.
std::optional<Journal::Record> journal_from_json(const nlohmann::json& row);

}  // namespace vitalwire::controller
