#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "controller/core/core.hpp"
#include "controller/fleet/inventory.hpp"
#include "runtime/http/router.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"

namespace vitalwire::controller {

/// What the HTTP interface shows, and the two things that it does. All of it outlives the server.
struct ApiContext {
    std::string host;
    std::string version;
    base::WallTime started_at;
    runtime::Router::Tokens tokens;
    const Core& core;
    const Inventory& inventory;
    const runtime::Problems& problems;
    const runtime::Metrics& metrics;
    Coverage::Census& census;  ///< counted again for each answer that shows it
    std::function<bool()> inventory_loaded;
    /// Agents can connect.
    std::function<bool()> listening;
    using Operation = std::function<void(Core&, base::Moment)>;
    /// Carries out what an operator asks, within the call.
    std::function<void(const Operation&)> operate;
    /// A test message to a whole group, marked as the operator's: to how many guests.
    std::function<base::Result<std::size_t>(const base::GroupId&, const std::string& payload)> send_to_group;

    const Fleet& fleet() const { return core.fleet(); }
    const AlarmManager& alarms() const { return core.alarms(); }
    const GroupService& groups() const { return core.groups(); }
};

/// model::GuestReport::state, all of them.
inline constexpr std::array kGuestStates = {"registered", "unregistered", "lost", "unhealthy", "crashed", "held"};

runtime::HttpResponse json_reply(const nlohmann::json& body, int status = 200);

/// The HTTP interface: /healthz, /readyz, /metrics, /v1/status, /v1/guests, /v1/faults, /v1/agents,
/// /v1/coverage, /v1/groups, /v1/maintenance.
runtime::Router make_router(const ApiContext& context);

/// Guests in that state, as the last census has them.
std::size_t count_guests(const ApiContext& context, std::string_view state);

}  // namespace vitalwire::controller
