#pragma once

#include <map>
#include <set>

#include "base/ids.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::host {

/// The channels that guests should have by what the cloud says of them.
using WantedChannels = std::map<base::GuestId, std::set<wire::ChannelKind>>;

}  // namespace vitalwire::host
