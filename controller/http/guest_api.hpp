#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

/// GET /v1/guests (?state=, ?match=), GET /v1/guests/ID.
void add_guest_pages(runtime::Router& router, const ApiContext& context);

}  // namespace vitalwire::controller
