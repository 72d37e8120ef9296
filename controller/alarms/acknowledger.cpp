#include "controller/alarms/acknowledger.hpp"

#include <utility>

namespace vitalwire::controller {

void Acknowledger::acknowledge(const base::HostId& host, const base::FaultId& fault, std::uint64_t revision,
                               std::optional<std::vector<std::string>> to) {
    const bool first = pending_.empty();
    pending_[host][fault] = {fault, revision, std::move(to)};
    if (first) defer_([this] { flush(); });
}

void Acknowledger::flush() {
    for (auto& [host, items] : std::exchange(pending_, {})) {
        bus::FaultsDelivered delivered;
        for (auto& [fault, item] : items)
            delivered.items.push_back(std::move(item));
        send_(host, delivered);
    }
}

}  // namespace vitalwire::controller
