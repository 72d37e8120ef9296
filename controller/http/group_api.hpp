#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

/// GET /v1/groups, GET /v1/groups/ID, POST /v1/groups/ID/send (the body is the payload).
void add_group_pages(runtime::Router& router, const ApiContext& context);

}  // namespace vitalwire::controller
