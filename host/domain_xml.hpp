#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "host/domain_reading.hpp"

namespace vitalwire::host {

/// The channels of ours in a domain's live XML: virtio ports of the three names behind a UNIX socket on which QEMU
/// listens. A channel without a path (the domain does not run) is left out. Nothing is fetched and no entity is
/// expanded; a document with a DTD, or of more than 4 MiB, is refused.
base::Result<std::vector<DomainChannel>> channels_of(std::string_view xml);

}  // namespace vitalwire::host
