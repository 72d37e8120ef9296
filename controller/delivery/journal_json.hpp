#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "controller/delivery/journal.hpp"

namespace vitalwire::controller {

/// {"entries": [{"at", "what", ...}], "dropped": 0}; of an alarm about the suite itself with "alarm".
nlohmann::json to_json(const Journal::Part& part);
/// The same with "others", by the controller's name: on disk.
nlohmann::json to_json(const Journal::Record& record);
/// What happened here and elsewhere in the order of time, for the API. The entries name their controller when there is
/// more than one.
nlohmann::json merged(const Journal::Record& record, const std::string& own_name);
/// Absent when it is none.
std::optional<Journal::Part> journal_part_from_json(const nlohmann::json& row);
std::optional<Journal::Record> journal_from_json(const nlohmann::json& row);

}  // namespace vitalwire::controller
