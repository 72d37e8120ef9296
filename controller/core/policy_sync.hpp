#pragma once

#include <functional>
#include <map>
#include <vector>

#include "base/ids.hpp"
#include "bus/messages.hpp"
#include "controller/fleet/host_names.hpp"

namespace vitalwire::controller {

/// Keeps the agents' policies as the inventory has them. No I/O, no clock.
class PolicySync {
public:
    using Send = std::function<void(const base::HostId&, const bus::ToAgent&)>;
    /// True if the guest's I/O decides what sinks are notified of.
    using AsksIo = std::function<bool(const InventoryGuest&)>;

    PolicySync(const HostNames& names, Send send, AsksIo asks_io)
        : names_(names), send_(std::move(send)), asks_io_(std::move(asks_io)) {}

    /// Sends what the agent does not have; nothing when nothing has changed.
    void sync(const base::HostId& host);
    /// Its connection is another now, or gone.
    void erase(const base::HostId& host) { sent_.erase(host); }
    bool sent(const base::HostId& host) const { return sent_.contains(host); }

private:
    const HostNames& names_;
    Send send_;
    AsksIo asks_io_;
    std::map<base::HostId, std::vector<model::GuestPolicy>> sent_;
};

}  // namespace vitalwire::controller
