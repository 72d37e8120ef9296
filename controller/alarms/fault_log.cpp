#include "controller/alarms/fault_log.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

namespace {

constexpr double kPerSecond = 2;
constexpr double kBurst = 100;  // all guests of a host that dies, opened and told

/// Of these entries, so called in the log. What fails is told as the receiver's problem, once.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kLogged = {{
    {kOpenedEntry, "fault opened"},
    {kClearedEntry, "fault cleared"},
    {kAcknowledgedEntry, "fault acknowledged by the receiver"},
    {"held", "fault held"},
    {"released", "fault released"},
    {"suppressed", "fault suppressed"},
}};

}  // namespace

void FaultLog::write(const TrackedFault& tracked, const JournalEntry& entry, base::TimePoint now) {
    const auto logged =
        std::find_if(kLogged.begin(), kLogged.end(), [&](const auto& each) { return each.first == entry.what; });
    if (logged == kLogged.end()) return;
    if (!hosts_.try_emplace(tracked.host, kPerSecond, kBurst).first->second.take(now)) return;
    const auto level = entry.what == kOpenedEntry ? log::Level::warning : log::Level::info;
    log::write(level, logged->second,
               {{"guest", tracked.fault.guest},
                {"name", tracked.names.display_name},
                {"host", tracked.host},
                {"kind", model::to_string(tracked.fault.kind)},
                {"sink", entry.sink},
                {"detail", entry.detail},
                {"fault", tracked.fault.id}});
}

}  // namespace vitalwire::controller
