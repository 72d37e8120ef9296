#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::host {

/// A channel of a running domain.
struct DomainChannel {
    wire::ChannelKind kind;
    std::string path;  ///< of the socket on which QEMU listens; another one after each start

    friend bool operator==(const DomainChannel&, const DomainChannel&) = default;
};

/// What a domain has for virtio ports.
struct DomainPorts {
    std::vector<DomainChannel> channels;  ///< of ours
    std::set<wire::ChannelKind> taken;    ///< names of ours that a port has, whatever is behind it
    std::optional<bool> guest_agent;      ///< libvirt's own port for a QEMU guest agent, and whether it is open
    bool controller = false;              ///< there is a virtio-serial controller: ports can be added while it runs

    friend bool operator==(const DomainPorts&, const DomainPorts&) = default;
};

/// What libvirt does with a domain, which takes long.
enum class DomainJob : std::uint8_t { none, migration, other };

/// What libvirt said of a domain at one moment. Numbers are libvirt's: a virDomainState and the reason that goes with
/// it.
struct DomainReading {
    base::GuestId guest;  ///< the domain's uuid
    int id = -1;          ///< of this run of the domain; -1 while it does not run
    int state = 0;
    int reason = 0;
    bool persistent = true;        ///< stays defined when it ends
    std::optional<DomainJob> job;  ///< absent when it was not asked
    DomainPorts ports;             ///< none while it does not run
};

}  // namespace vitalwire::host
