#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

/// GET /v1/events: server-sent events, at most one a second. Each names a version of the faults, guests, agents and
/// problems: what has another number than before is worth being asked for again. Between events a comment shows every
/// 15 s that the connection works.
runtime::HttpResponse events(const ApiContext& context, const runtime::HttpRequest& request);

}  // namespace vitalwire::controller
