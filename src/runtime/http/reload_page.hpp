#pragma once

#include <functional>

#include "runtime/http/router.hpp"
#include "runtime/reload.hpp"

namespace vitalwire::runtime {

/// POST /v1/reload, for operators: {"applied": [...], "needs_restart": [...]}; 409 with {"error", "mistakes"} when the
/// configuration has mistakes, and nothing was done.
void add_reload_page(Router& router, std::function<ReloadReport()> reload);

}  // namespace vitalwire::runtime
