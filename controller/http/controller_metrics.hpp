#pragma once

#include <cstdint>
#include <functional>

#include "controller/http/api.hpp"
#include "runtime/metrics.hpp"

namespace vitalwire::controller {

/// What the shell itself counts.
struct ShellCounts {
    std::function<std::uint64_t()> store_pending;
    std::function<std::uint64_t()> bus_connections_refused;
    std::function<std::uint64_t()> bus_messages_dropped;
    std::function<std::uint64_t()> http_connections_refused;
    std::function<std::uint64_t()> http_requests_denied;
    std::function<double()> certificate_seconds_left;
    std::function<double()> certificate_notice_seconds;
    std::function<std::uint64_t()> state_rows_unreadable;
    std::function<double()> inventory_age_seconds;
};

/// Registers what the core and the shell count; it is read whenever /metrics is asked.
void add_metrics(runtime::Metrics& metrics, const ApiContext& context, const ShellCounts& shell);

}  // namespace vitalwire::controller
