#pragma once

#include "runtime/http/router.hpp"

namespace vitalwire::controller {

class Controller;

/// GET /v1/groups, GET /v1/groups/ID, POST /v1/groups/ID/send (the body is the payload).
void add_group_pages(runtime::Router& router, Controller& controller);

}  // namespace vitalwire::controller
