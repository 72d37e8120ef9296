#pragma once

#include <set>
#include <string>

#include "runtime/config.hpp"

namespace vitalwire::controller {

/// The key `kinds` of a sink that acts on some kinds of fault only: heartbeat_lost, vm_crashed and
/// stopped_by_host when it is not given.
std::set<std::string> read_kinds(runtime::ConfigReader& section);

/// The key `kinds` of a policy, which has to be there.
std::set<std::string> read_alarm_kinds(runtime::ConfigReader& section);

}  // namespace vitalwire::controller
