#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "controller/sinks/tacker/registrations.hpp"

namespace vitalwire::controller::tacker {

/// As it is kept on disk and sent to other controllers.
nlohmann::json to_json(const Registration& registration);
/// Fails (bad_field, malformed) when it is none.
base::Result<Registration> registration_from(const nlohmann::json& object);

/// Tacker's request to be notified of a server: {"fault_action": URL, "fault_id": ["1234", ...]}. Other keys are
/// ignored. Fails when something is missing or wrong, and names what was expected.
base::Result<Registration> read_request(std::string_view body);

/// 4 characters, as Tacker wants them.
bool is_fault_id(std::string_view text);

}  // namespace vitalwire::controller::tacker
