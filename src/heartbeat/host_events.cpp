#include "heartbeat/host_events.hpp"

namespace vitalwire::heartbeat {

std::string_view to_string(Inhibit why) {
    switch (why) {
        case Inhibit::paused:
            return "paused";
        case Inhibit::suspended:
            return "suspended";
        case Inhibit::saving:
            return "saving";
        case Inhibit::migrating:
            return "migrating";
        case Inhibit::transferring:
            return "transferring";
        case Inhibit::rebooting:
            return "rebooting";
        case Inhibit::shutting_down:
            return "shutting_down";
        case Inhibit::powered_off:
            return "powered_off";
        case Inhibit::not_listed:
            return "not_listed";
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
