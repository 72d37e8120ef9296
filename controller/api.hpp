#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "runtime/http_server.hpp"

namespace vitalwire::controller {

class Controller;

/// bus::GuestReport::state, all of them.
inline constexpr std::array kGuestStates = {"registered", "unregistered", "lost", "unhealthy", "crashed", "held"};

/// The HTTP interface: /healthz, /readyz, /metrics, /v1/status, /v1/guests, /v1/faults, /v1/agents.
runtime::HttpResponse answer(const Controller& controller, const runtime::HttpRequest& request);

/// Guests in that state; those of the inventory that no agent knows are "unregistered".
std::size_t count_guests(const Controller& controller, std::string_view state);

}  // namespace vitalwire::controller
