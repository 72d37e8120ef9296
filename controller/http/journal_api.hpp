#pragma once

#include "controller/http/api.hpp"

namespace vitalwire::controller {

///   GET /v1/journals?after=NUMBER   what changed in the journals of this controller, for the others
void add_journal_pages(runtime::Router& router, const ApiContext& context);

}  // namespace vitalwire::controller
