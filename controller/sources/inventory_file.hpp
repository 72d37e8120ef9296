#pragma once

#include "controller/fleet/inventory.hpp"
#include "runtime/config.hpp"

namespace vitalwire::controller {

/// Reads `[group ID]` and `[guest ID]` sections (vitalwire-controller.conf(5), inventory file). Every mistake is
/// reported; the snapshot is of use only when there was none.
InventorySnapshot read_inventory(const runtime::ConfigFile& file, runtime::ConfigErrors& errors);

}  // namespace vitalwire::controller
