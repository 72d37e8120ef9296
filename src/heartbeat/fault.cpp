#include "heartbeat/fault.hpp"

namespace vitalwire::heartbeat {

std::string_view to_string(FaultKind kind) {
    switch (kind) {
        case FaultKind::heartbeat_lost:
            return "heartbeat_lost";
        case FaultKind::unhealthy:
            return "unhealthy";
        case FaultKind::not_established:
            return "not_established";
        case FaultKind::vm_crashed:
            return "vm_crashed";
    }
    return "heartbeat_lost";
}

std::optional<FaultKind> parse_fault_kind(std::string_view text) {
    for (const auto kind :
         {FaultKind::heartbeat_lost, FaultKind::unhealthy, FaultKind::not_established, FaultKind::vm_crashed}) {
        if (to_string(kind) == text) return kind;
    }
    return std::nullopt;
}

std::string_view severity(FaultKind kind) {
    switch (kind) {
        case FaultKind::heartbeat_lost:
        case FaultKind::vm_crashed:
            return "critical";
        case FaultKind::unhealthy:
            return "major";
        case FaultKind::not_established:
            return "warning";
    }
    return "critical";
}

}  // namespace vitalwire::heartbeat
