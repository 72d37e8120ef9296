#include "heartbeat/host_events.hpp"

namespace vitalwire::heartbeat {

std::string_view to_string(Hold hold) {
    switch (hold) {
        case Hold::paused:
            return "paused";
        case Hold::suspended:
            return "suspended";
        case Hold::saving:
            return "saving";
        case Hold::migrating:
            return "migrating";
        case Hold::rebooting:
            return "rebooting";
        case Hold::shutting_down:
            return "shutting_down";
        case Hold::powered_off:
            return "powered_off";
    }
    return "paused";
}

std::string_view to_string(StopReason reason) {
    switch (reason) {
        case StopReason::domain_stopped:
            return "domain_stopped";
        case StopReason::migrated:
            return "migrated";
        case StopReason::removed:
            return "removed";
    }
    return "domain_stopped";
}

std::string_view to_string(CrashReason reason) {
    switch (reason) {
        case CrashReason::failed:
            return "failed";
        case CrashReason::crashed:
            return "crashed";
        case CrashReason::panicked:
            return "panicked";
        case CrashReason::internal_error:
            return "internal_error";
        case CrashReason::host_restarted:
            return "host_restarted";
    }
    return "failed";
}

}  // namespace vitalwire::heartbeat
