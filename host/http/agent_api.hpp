#pragma once

#include <functional>
#include <string>

#include "base/clock.hpp"
#include "host/core/agent_core.hpp"
#include "runtime/http/reload_page.hpp"
#include "runtime/http/router.hpp"

namespace vitalwire::host {

/// What the local interface shows. All of it outlives the server.
struct ApiContext {
    std::string host;
    std::string version;
    base::WallTime started_at;
    const AgentCore& core;
    /// Every source has listed what exists, and the state can be written.
    std::function<bool()> ready;
    std::function<std::string()> metrics_text;
    std::function<base::Result<void>(GuestActions::Request, GuestActions::Done)> ask_guest;
    std::function<runtime::ReloadReport()> reload;
};

/// The local HTTP interface: the same paths and shapes as the controller's, for this host alone.
///   GET /healthz           200 while the event loop answers
///   GET /readyz            200 once every source was listed and the state on disk can be written, else 503
///   GET /metrics           Prometheus' text format
///   POST /v1/reload        reads the configuration again
///   GET /v1/status /v1/guests /v1/faults[?all=1] /v1/agents; guests and faults in pages with ?limit= and ?after=
///   POST /v1/guests/ID/actions  asks the guest before the cloud acts on it, or notifies it afterwards
runtime::Router make_router(const ApiContext& context);
/// What Prometheus may see over TCP: /healthz, and /metrics with the reader's token, if there is one.
runtime::Router make_metrics_router(const ApiContext& context, std::shared_ptr<const runtime::Router::Tokens> tokens);

}  // namespace vitalwire::host
