#pragma once

#include <chrono>
#include <string>

#include "model/fault.hpp"

namespace vitalwire::controller {

inline model::Fault open_fault(const std::string& guest, const std::string& id,
                               model::FaultKind kind = model::FaultKind::heartbeat_lost) {
    model::Fault fault;
    fault.id = base::FaultId(id);
    fault.guest = base::GuestId(guest);
    fault.kind = kind;
    fault.detail = "silent";
    fault.opened_at = base::WallTime(std::chrono::seconds(1'700'000'000));
    fault.updated_at = fault.opened_at;
    return fault;
}

inline model::Fault updated(model::Fault fault, const std::string& detail) {
    ++fault.revision;
    fault.detail = detail;
    fault.updated_at += std::chrono::seconds(1);
    return fault;
}

inline model::Fault cleared(model::Fault fault, const std::string& why = "recovered") {
    ++fault.revision;
    fault.updated_at += std::chrono::seconds(1);
    fault.cleared_at = fault.updated_at;
    fault.clear_reason = why;
    return fault;
}

}  // namespace vitalwire::controller
