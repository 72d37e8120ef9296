#pragma once

#include <map>
#include <string>
#include <vector>

#include "bus/messages.hpp"

namespace vitalwire::controller {

using ExtraSpecs = std::map<std::string, std::string>;

/// What a flavor asks for (the keys are listed in host/nova/README.md). A key that is unknown in our namespace or has a
/// bad value counts as not given, and adds a sentence to `problems`; keys of others are none of our business.
model::GuestPolicy read_extra_specs(const base::GuestId& guest, const ExtraSpecs& specs,
                                    std::vector<std::string>& problems);

}  // namespace vitalwire::controller
