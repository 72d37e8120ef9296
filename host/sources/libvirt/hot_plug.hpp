#pragma once

#include <map>
#include <optional>
#include <set>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "host/sources/channel_source.hpp"
#include "host/sources/libvirt/domain_reading.hpp"

namespace vitalwire::host {

/// Which channels are to be attached to which running domains: those that are wanted and that the domain lacks, one at
/// a time. A domain that was started again begins from nothing; an attachment that fails is tried again, with back-off.
/// A domain without a virtio-serial controller is not tried: it gets its port, if at all, with its next start. Pure: no
/// I/O, no clock.
class HotPlug {
public:
    struct Attachment {
        base::GuestId guest;
        wire::ChannelKind kind = wire::ChannelKind::native;
        bool persistent = false;  ///< the domain's definition gets it too, so that it outlives a restart of the domain
    };

    void want(WantedChannels wanted) { wanted_ = std::move(wanted); }
    /// A domain as it was read. `settled`: it runs, and neither leaves this host nor arrives.
    void see(const DomainReading& reading, bool settled);
    void gone(const base::GuestId& guest) { domains_.erase(guest); }

    /// What is to be attached now; it is under way until `attached` or `failed`.
    std::optional<Attachment> next(base::TimePoint now);
    /// When `next` may have something although nothing else happens; kNever when that will not be.
    base::TimePoint next_due() const;
    void attached(base::TimePoint now);
    void failed(base::TimePoint now);

    /// The guests that lack a wanted channel and whose domains have no virtio-serial controller.
    std::set<base::GuestId> unattachable() const;

private:
    struct Domain {
        int id = -1;
        bool persistent = false;
        bool settled = false;
        DomainPorts ports;
        int failures = 0;
        base::TimePoint not_before{};
    };

    /// Calls `visit(guest, domain, kind)` for the first missing channel of each domain.
    template <class Visit>
    void for_each_lack(Visit visit) const;

    WantedChannels wanted_;
    std::map<base::GuestId, Domain> domains_;
    std::optional<Attachment> under_way_;
};

}  // namespace vitalwire::host
