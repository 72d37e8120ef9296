#include "result.hpp"

#include <cstdio>
#include <string_view>

namespace vitalwire::simulator {

void Result::add(const Result& other) {
    disturbances += other.disturbances;
    events += other.events;
    guest_hours += other.guest_hours;
    for (std::size_t kind = 0; kind < faults.size(); ++kind)
        faults.at(kind) += other.faults.at(kind);
    delivered += other.delivered;
    broadcasts += other.broadcasts;
    broadcasts_received += other.broadcasts_received;
}

std::string Result::text() const {
    char hours[64];
    std::snprintf(hours, sizeof hours, "%.1f guest-hours, ", guest_hours);
    std::string text =
        hours + std::to_string(disturbances) + " disturbances, " + std::to_string(events) + " events, faults:";
    for (const model::FaultKind kind : model::all_fault_kinds()) {
        const std::uint64_t count = faults.at(static_cast<std::size_t>(kind));
        if (count > 0) text += " " + std::string(to_string(kind)) + " " + std::to_string(count);
    }
    return text + ", delivered " + std::to_string(delivered) + ", broadcasts " + std::to_string(broadcasts) +
           ", received " + std::to_string(broadcasts_received);
}

}  // namespace vitalwire::simulator
