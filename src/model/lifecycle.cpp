#include "model/lifecycle.hpp"

namespace vitalwire::model {

namespace {

constexpr std::array<LifecycleEvent, kLifecycleEvents> kEvents = {
    LifecycleEvent::stop,
    LifecycleEvent::reboot,
    LifecycleEvent::suspend,
    LifecycleEvent::pause,
    LifecycleEvent::unpause,
    LifecycleEvent::resume,
    LifecycleEvent::resize_begin,
    LifecycleEvent::resize_end,
    LifecycleEvent::live_migrate_begin,
    LifecycleEvent::live_migrate_end,
    LifecycleEvent::cold_migrate_begin,
    LifecycleEvent::cold_migrate_end,
    LifecycleEvent::maintenance_begin,
    LifecycleEvent::maintenance_end,
};
constexpr std::array<std::string_view, kLifecycleEvents> kEventNames = {
    "stop",
    "reboot",
    "suspend",
    "pause",
    "unpause",
    "resume",
    "resize_begin",
    "resize_end",
    "live_migrate_begin",
    "live_migrate_end",
    "cold_migrate_begin",
    "cold_migrate_end",
    "maintenance_begin",
    "maintenance_end",
};
constexpr std::array<VoteResult, 5> kResults = {VoteResult::accept, VoteResult::complete, VoteResult::timeout,
                                                VoteResult::error, VoteResult::reject};
constexpr std::array<std::string_view, 5> kResultNames = {"accept", "complete", "timeout", "error", "reject"};

}  // namespace

const std::array<LifecycleEvent, kLifecycleEvents>& all_lifecycle_events() {
    return kEvents;
}

std::string_view to_string(LifecycleEvent event) {
    return kEventNames.at(static_cast<std::size_t>(event));
}

std::optional<LifecycleEvent> parse_lifecycle_event(std::string_view text) {
    for (const LifecycleEvent event : kEvents) {
        if (to_string(event) == text) return event;
    }
    return std::nullopt;
}

bool comes_after(LifecycleEvent event) {
    switch (event) {
        case LifecycleEvent::unpause:
        case LifecycleEvent::resume:
        case LifecycleEvent::resize_end:
        case LifecycleEvent::live_migrate_end:
        case LifecycleEvent::cold_migrate_end:
        case LifecycleEvent::maintenance_begin:
        case LifecycleEvent::maintenance_end:
            return true;
        default:
            return false;
    }
}

bool is_maintenance(LifecycleEvent event) {
    return event == LifecycleEvent::maintenance_begin || event == LifecycleEvent::maintenance_end;
}

std::string_view to_string(VoteResult result) {
    return kResultNames.at(static_cast<std::size_t>(result));
}

std::optional<VoteResult> parse_vote_result(std::string_view text) {
    for (const VoteResult result : kResults) {
        if (to_string(result) == text) return result;
    }
    return std::nullopt;
}

base::Millis NoticeTimes::notice(LifecycleEvent event) const {
    if (event == LifecycleEvent::stop || event == LifecycleEvent::reboot) return shutdown;
    if (event == LifecycleEvent::maintenance_begin) return suspend;
    return comes_after(event) ? resume : suspend;
}

}  // namespace vitalwire::model
