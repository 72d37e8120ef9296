#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "bus/messages.hpp"

namespace vitalwire::bus {

// Faults, guest reports and policies as JSON objects: on the bus, in the store and at the HTTP interface they read
// alike.
nlohmann::json to_json(const model::Fault& fault);
nlohmann::json to_json(const model::GuestReport& report);
/// The report as text: agents tell the state of all their guests again and again.
std::string to_text(const model::GuestReport& report);
nlohmann::json to_json(const model::GuestPolicy& policy);
nlohmann::json to_json(const AgentProblems::Item& problem);
nlohmann::json to_json(const Hello::Life& life);
/// Fault::delivered_to. A list that cannot be read is not known.
std::optional<std::vector<std::string>> receivers_from_json(const nlohmann::json& object, const char* key);
base::Result<model::Fault> fault_from_json(const nlohmann::json& object);
base::Result<model::GuestReport> guest_report_from_json(const nlohmann::json& object);
base::Result<model::GuestPolicy> guest_policy_from_json(const nlohmann::json& object);
base::Result<AgentProblems::Item> agent_problem_from_json(const nlohmann::json& object);
base::Result<Hello::Life> life_from_json(const nlohmann::json& object);

}  // namespace vitalwire::bus
