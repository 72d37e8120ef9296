#pragma once

#include <array>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "runtime/http/router.hpp"

namespace vitalwire::controller {

class Controller;

/// model::GuestReport::state, all of them.
inline constexpr std::array kGuestStates = {"registered", "unregistered", "lost", "unhealthy", "crashed", "held"};

runtime::HttpResponse json_reply(const nlohmann::json& body, int status = 200);

/// The HTTP interface: /healthz, /readyz, /metrics, /v1/status, /v1/guests, /v1/faults, /v1/agents,
/// /v1/coverage, /v1/groups.
runtime::Router make_router(Controller& controller);

/// Guests in that state; those of the inventory that no agent knows are "unregistered".
std::size_t count_guests(const Controller& controller, std::string_view state);

}  // namespace vitalwire::controller
