#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "bus/messages.hpp"

namespace vitalwire::bus {

// Faults, guest reports and policies as JSON objects: on the bus, in the store and at the HTTP interface they read
// alike.
nlohmann::json to_json(const heartbeat::Fault& fault);
nlohmann::json to_json(const GuestReport& report);
/// The report as text: agents tell the state of all their guests again and again.
std::string to_text(const GuestReport& report);
nlohmann::json to_json(const GuestPolicy& policy);
base::Result<heartbeat::Fault> fault_from_json(const nlohmann::json& object);
base::Result<GuestReport> guest_report_from_json(const nlohmann::json& object);
base::Result<GuestPolicy> guest_policy_from_json(const nlohmann::json& object);

}  // namespace vitalwire::bus
