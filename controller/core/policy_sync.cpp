#include "controller/core/policy_sync.hpp"

#include <utility>

namespace vitalwire::controller {

namespace {

/// Of one message: together well below bus::kMaxBusMessage.
constexpr std::size_t kPoliciesInMessage = 2000;

/// A server in rescue mode boots another image: nobody is to expect its usual guest.
model::GuestPolicy policy_of(const InventoryGuest& guest) {
    model::GuestPolicy policy = guest.policy;
    if (guest.state == "rescued" || guest.state_description == "rescuing") policy.heartbeat = false;
    return policy;
}

}  // namespace

void PolicySync::sync(const base::HostId& host) {
    std::vector<model::GuestPolicy> wanted;
    for (const InventoryGuest* guest : names_.guests_of(host)) {
        wanted.push_back(policy_of(*guest));
        wanted.back().watch_io = asks_io_(*guest);
    }
    const auto sent = sent_.find(host);
    if (sent != sent_.end() && sent->second == wanted) return;

    bus::Policies message;
    message.complete = true;
    for (const model::GuestPolicy& policy : wanted) {
        message.policies.push_back(policy);
        if (message.policies.size() < kPoliciesInMessage) continue;
        send_(host, std::exchange(message, {}));  // the next ones add to these
    }
    if (message.complete || !message.policies.empty()) send_(host, message);
    sent_[host] = std::move(wanted);
}

}  // namespace vitalwire::controller
