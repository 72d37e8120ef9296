#pragma once

#include <string_view>
#include <vector>

#include "controller/model/policy.hpp"
#include "runtime/config.hpp"

namespace vitalwire::controller {

/// Every `[policy NAME]` of the file; mistakes go to `errors`, also sinks that are not there and sinks that no policy
/// names.
std::vector<Policy> read_policies(const runtime::ConfigFile& file, runtime::ConfigErrors& errors);

}  // namespace vitalwire::controller
