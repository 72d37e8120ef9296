#pragma once

#include <set>
#include <string>
#include <vector>

#include "controller/model/policy.hpp"

namespace vitalwire::controller {

/// Why the policy can never have an effect, as far as that is in the file; empty when it can. `guests_only`: sinks that
/// take no alarms of hosts.
std::string why_without_effect(const Policy& policy, const std::vector<Policy>& policies,
                               const std::set<std::string>& guests_only);

}  // namespace vitalwire::controller
