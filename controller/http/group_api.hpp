#pragma once

#include <string_view>

#include "runtime/http/http_server.hpp"

namespace vitalwire::controller {

class Controller;

/// GET /v1/groups, GET /v1/groups/ID, POST /v1/groups/ID/send (the body is the payload).
bool is_group_page(std::string_view path);
runtime::HttpResponse answer_group(Controller& controller, const runtime::HttpRequest& request);

}  // namespace vitalwire::controller
