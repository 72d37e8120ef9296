#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

/// What operators do:
///   POST /v1/faults/ID/clear, /v1/faults/ID/ack   the body is the reason or note, which is recorded
///   POST /v1/agents/HOST/forget                   a host that is no more
///   GET /v1/maintenance, POST /v1/maintenance     windows, as JSON; "seconds" and no "until" in a new one
///   POST /v1/maintenance/ID/end
///   POST /v1/reload                               reads the configuration and the inventory again
void add_operation_pages(runtime::Router& router, const ApiContext& context);

}  // namespace vitalwire::controller
