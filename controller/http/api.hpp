#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "controller/core/core.hpp"
#include "controller/fleet/inventory.hpp"
#include "runtime/http/http_list.hpp"
#include "runtime/http/router.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/reload.hpp"

namespace vitalwire::controller {

/// What the HTTP interface shows, and the two things that it does. All of it outlives the server.
struct ApiContext {
    std::string host;
    std::string version;
    base::WallTime started_at;
    std::shared_ptr<const runtime::Router::Tokens> tokens;
    const Core& core;
    const Inventory& inventory;
    const runtime::Problems& problems;
    const runtime::Metrics& metrics;
    Coverage::Census& census;  ///< counted again for each answer that shows it
    std::function<bool()> inventory_loaded;
    /// Agents can connect.
    std::function<bool()> listening;
    /// AlarmStore::faults_version
    std::function<std::uint64_t()> faults_version;
    using Operation = std::function<void(Core&, base::Moment)>;
    /// Carries out what an operator asks, within the call.
    std::function<void(const Operation&)> operate;
    /// Asks the peers what is new: one has announced something.
    std::function<void()> ask_peers;
    /// A test message to a whole group, marked as the operator's: to how many guests.
    std::function<base::Result<std::size_t>(const base::GroupId&, const std::string& payload)> send_to_group;
    /// Since when another controller does not answer; absent while it does.
    std::function<std::optional<base::WallTime>(const std::string& controller)> silent_since = [](const auto&) {
        return std::optional<base::WallTime>();
    };
    /// Reads the configuration and the inventory again; empty: there is none to read.
    std::function<runtime::ReloadReport()> reload = {};

    const Fleet& fleet() const { return core.fleet(); }
    const AlarmManager& alarms() const { return core.alarms(); }
    const GroupService& groups() const { return core.groups(); }
};

/// model::GuestReport::state, all of them.
inline constexpr std::array kGuestStates = {"registered", "unregistered", "lost", "unhealthy", "crashed", "held"};
inline constexpr const char* kUnregistered = "unregistered";

runtime::HttpResponse json_reply(const nlohmann::json& body, int status = 200);
/// 400: `limit` is no number of entries.
runtime::HttpResponse wrong_limit();

/// Answers with a list that has `next()`, all of it or a page (runtime/http/http_list.hpp).
template <class List>
runtime::HttpResponse list_of(const std::string& name, const runtime::HttpRequest& request,
                              std::shared_ptr<List> list) {
    const auto limit = runtime::list_limit(request);
    if (!limit.valid) return wrong_limit();
    return runtime::list_reply(name, limit.entries, [list = std::move(list)] { return list->next(); });
}

/// The HTTP interface: /healthz, /readyz, /metrics, the API below /v1, the web page at /.
runtime::Router make_router(const ApiContext& context);

/// Guests in that state, as the last census has them.
std::size_t count_guests(const ApiContext& context, std::string_view state);

}  // namespace vitalwire::controller
