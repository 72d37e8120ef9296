#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "cli/client.hpp"
#include "cli/options.hpp"

namespace vitalwire::cli {

/// What a command shows: the answer of one page, or members of several put together. The error is not_found or
/// permission when somebody answered.
base::Result<nlohmann::json> query(Client& client, const Options& options);

/// Faults of guests and, of a controller, the open alarms of hosts beside them.
base::Result<nlohmann::json> faults_and_alarms(Client& client, bool all);

/// The same of faults and alarms to which something happened in that time, over ones too; absent: all.
base::Result<nlohmann::json> faults_and_alarms_of(Client& client, std::optional<base::WallTime> since,
                                                  std::optional<base::WallTime> until);

/// The answers that `top` shows: status, faults, and of a cloud of a size that a screen shows anything of, guests.
base::Result<nlohmann::json> overview(Client& client);

}  // namespace vitalwire::cli
