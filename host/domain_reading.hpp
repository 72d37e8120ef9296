#pragma once

#include <optional>
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

/// What libvirt said of a domain at one moment. Numbers are libvirt's: a virDomainState and the reason that goes with
/// it.
struct DomainReading {
    base::GuestId guest;  ///< the domain's uuid
    int id = -1;          ///< of this run of the domain; -1 while it does not run
    int state = 0;
    int reason = 0;
    bool persistent = true;   ///< stays defined when it ends
    std::optional<bool> job;  ///< whether a migration, a save or the like is under way; absent when it was not asked
    std::vector<DomainChannel> channels;
};

}  // namespace vitalwire::host
