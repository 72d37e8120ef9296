#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "host/core/monitor.hpp"
#include "runtime/store.hpp"

namespace vitalwire::host {

nlohmann::json to_json(const heartbeat::SaveRegistration& saved);
base::Result<heartbeat::SaveRegistration> saved_from_json(const nlohmann::json& object);

/// What of the monitor survives a restart: who was registered, the faults that are not over with, the policies.
class AgentState {
public:
    explicit AgentState(runtime::Store& store) : store_(store) {}

    /// Hands everything kept to `monitor`. Returns how many rows could not be read; they are forgotten and logged.
    std::uint64_t load_into(Monitor& monitor);

    void keep(const base::GuestId& guest, const heartbeat::SaveRegistration& saved);
    void keep(const model::Fault& fault);
    void forget(const base::FaultId& fault);
    void keep(const bus::Policies& policies, const Monitor& monitor);

private:
    runtime::Store& store_;
};

}  // namespace vitalwire::host
