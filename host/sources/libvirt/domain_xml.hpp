#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "host/sources/libvirt/domain_reading.hpp"

namespace vitalwire::host {

/// The virtio ports in a domain's live XML. Channels of ours are those of the three names behind a UNIX socket on which
/// QEMU listens; one without a path (the domain does not run) is left out. Nothing is fetched and no entity is
/// expanded; a document with a DTD, or of more than 4 MiB, is refused.
base::Result<DomainPorts> ports_of(std::string_view xml);

/// The device that libvirt attaches to make such a channel; it chooses the socket's path.
std::string channel_xml(wire::ChannelKind kind);

}  // namespace vitalwire::host
