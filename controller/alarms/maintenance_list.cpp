#include "controller/alarms/maintenance_list.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

namespace {

constexpr std::size_t kMaxWindows = 1000;
/// So long one that is over is shown, and known to peers that were away.
constexpr std::chrono::hours kKept{24 * 2};

bool covers(const Maintenance& window, const MaintenanceList::Subject& subject) {
    switch (window.scope) {
        case MaintenanceScope::guest:
            return subject.guest.str() == window.name;
        case MaintenanceScope::host:
            return subject.host.str() == window.name;
        case MaintenanceScope::group:
            return !subject.group.empty() && subject.group.str() == window.name;
        case MaintenanceScope::all:
            return true;
    }
    return false;
}

}  // namespace

base::Result<void> MaintenanceList::add(const Maintenance& window) {
    if (windows_.size() >= kMaxWindows && !windows_.contains(window.id))
        return base::fail(base::Errc::too_many, "expected at most " + std::to_string(kMaxWindows) + " windows");
    windows_.insert_or_assign(window.id, window);
    return {};
}

bool MaintenanceList::merge(const Maintenance& window) {
    const auto known = windows_.find(window.id);
    if (known == windows_.end()) return add(window).has_value();
    if (known->second.revision >= window.revision) return false;
    known->second = window;
    return true;
}

const Maintenance* MaintenanceList::end(const std::string& id, base::WallTime now) {
    const auto at = windows_.find(id);
    if (at == windows_.end() || !at->second.active(now)) return nullptr;
    at->second.until = now;
    ++at->second.revision;
    return &at->second;
}

std::vector<std::string> MaintenanceList::expire(base::WallTime now) {
    std::vector<std::string> expired;
    for (const auto& [id, window] : windows_) {
        if (now - window.until > kKept) expired.push_back(id);
    }
    for (const std::string& id : expired)
        windows_.erase(id);
    return expired;
}

const Maintenance* MaintenanceList::covering(const Subject& subject, base::WallTime now) const {
    const Maintenance* last = nullptr;
    for (const auto& [id, window] : windows_) {
        if (!window.active(now) || !covers(window, subject)) continue;
        if (last == nullptr || last->until < window.until) last = &window;
    }
    return last;
}

base::WallTime MaintenanceList::covered_since(const Subject& subject, base::WallTime now) const {
    base::WallTime since = now;
    for (bool found = true; std::exchange(found, false);) {
        for (const auto& [id, window] : windows_) {
            if (!covers(window, subject) || window.since >= since || window.until < since) continue;
            since = window.since;
            found = true;
        }
    }
    return since;
}

const Maintenance* MaintenanceList::same(const Maintenance& window, base::WallTime now) const {
    const auto at = std::find_if(windows_.begin(), windows_.end(), [&](const auto& item) {
        return item.second.active(now) && item.second.scope == window.scope && item.second.name == window.name;
    });
    return at == windows_.end() ? nullptr : &at->second;
}

}  // namespace vitalwire::controller
