#include "controller/alarms/acknowledger.hpp"

#include <utility>

namespace vitalwire::controller {

void Acknowledger::acknowledge(const base::HostId& host, const base::FaultId& fault, std::uint64_t revision) {
    const bool first = pending_.empty();
    pending_[host][fault] = revision;
    if (first) defer_([this] { flush(); });
}

void Acknowledger::flush() {
    for (const auto& [host, revisions] : std::exchange(pending_, {})) {
        bus::FaultsDelivered delivered;
        for (const auto& [fault, revision] : revisions)
            delivered.items.push_back({fault, revision});
        send_(host, delivered);
    }
}

}  // namespace vitalwire::controller
