#pragma once

#include "runtime/http/router.hpp"

namespace vitalwire::host {

class Agent;

/// The local HTTP interface: the same paths and shapes as the controller's, for this host alone.
///   GET /healthz           200 while the event loop answers
///   GET /readyz            200 once every source was listed and the state on disk can be written, else 503
///   GET /metrics           Prometheus' text format
///   GET /v1/status /v1/guests /v1/faults[?all=1] /v1/agents; guests and faults in pages with ?limit= and ?after=
runtime::Router make_router(Agent& agent);

}  // namespace vitalwire::host
