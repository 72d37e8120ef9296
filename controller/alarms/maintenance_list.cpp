#include "controller/alarms/maintenance_list.hpp"

#include <algorithm>
#include <tuple>
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
            return subject.is_host(base::HostId(window.name));
        case MaintenanceScope::group:
            if (subject.group) return subject.group->str() == window.name;
            return std::binary_search(window.members.begin(), window.members.end(), subject.guest);
        case MaintenanceScope::all:
            return true;
    }
    return false;
}

bool is_same_subject(const Maintenance& one, const Maintenance& other) {
    return one.scope == other.scope && one.name == other.name;
}

/// Times that come from another controller went through two clocks.
constexpr std::chrono::seconds kSameTime{2};

/// The window with the times that are known of it, where they are the same.
Maintenance with_known_times(Maintenance window, const Maintenance& known) {
    const auto is_same = [](base::WallTime a, base::WallTime b) { return std::max(a, b) - std::min(a, b) < kSameTime; };
    if (window.revision != known.revision) return window;
    if (is_same(window.since, known.since)) window.since = known.since;
    if (is_same(window.until, known.until)) window.until = known.until;
    return window;
}

/// The same order at all controllers.
bool is_newer(const Maintenance& window, const Maintenance& known) {
    const auto order = [](const Maintenance& of) {
        return std::tie(of.until, of.since, of.reason, of.by, of.label, of.notify, of.force);
    };
    if (window.revision != known.revision) return window.revision > known.revision;
    return order(window) < order(known);
}

}  // namespace

base::Result<void> MaintenanceList::add(const Maintenance& window) {
    if (windows_.size() >= kMaxWindows && !windows_.contains(window.id))
        return base::fail(base::Errc::too_many, "expected at most " + std::to_string(kMaxWindows) + " windows");
    windows_.insert_or_assign(window.id, window);
    return {};
}

MaintenanceList::Merge MaintenanceList::merge(const Maintenance& window, base::WallTime now) {
    const auto known = windows_.find(window.id);
    if (known == windows_.end()) {
        if (add(window)) return Merge::taken;
        return window.until <= now ? Merge::known : Merge::no_room;
    }
    const Maintenance told = with_known_times(window, known->second);
    if (!is_newer(told, known->second)) return Merge::known;
    const auto members = std::exchange(known->second, told).members;
    // One of an older release lists none.
    if (window.members.empty()) known->second.members = members;
    return Merge::taken;
}

std::string MaintenanceList::make_room(base::WallTime now) {
    if (windows_.size() < kMaxWindows) return {};
    const auto first = std::min_element(windows_.begin(), windows_.end(), [](const auto& left, const auto& right) {
        return left.second.until < right.second.until;
    });
    if (first->second.until > now) return {};
    std::string id = first->first;
    windows_.erase(first);
    return id;
}

std::vector<Maintenance> MaintenanceList::set_members(
    const std::function<std::vector<base::GuestId>(const base::GroupId&)>& members, base::WallTime now) {
    std::vector<Maintenance> changed;
    for (auto& [id, window] : windows_) {
        if (window.scope != MaintenanceScope::group || window.until <= now) continue;
        std::vector<base::GuestId> found = members(base::GroupId(window.name));
        if (found == window.members) continue;
        window.members = std::move(found);
        changed.push_back(window);
    }
    return changed;
}

const Maintenance* MaintenanceList::end(const std::string& id, base::WallTime now) {
    const auto at = windows_.find(id);
    if (at == windows_.end() || !at->second.active(now)) return nullptr;
    // As precise as others read it.
    at->second.until = std::chrono::floor<std::chrono::microseconds>(now);
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

void MaintenanceList::clock_was_set(base::WallTime::duration by) {
    for (auto& [id, window] : windows_) {
        // As precise as others read it.
        window.since = std::chrono::floor<std::chrono::microseconds>(window.since + by);
        window.until = std::chrono::floor<std::chrono::microseconds>(window.until + by);
    }
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

MaintenanceList::Effect MaintenanceList::for_guests(const Subject& subject, base::WallTime now) const {
    Effect effect;
    for (const auto& [id, window] : windows_) {
        if ((!window.notify && !window.force) || !window.active(now) || !covers(window, subject)) continue;
        effect.notify = effect.notify || window.notify;
        if (window.force) effect.forced_until = std::max(effect.forced_until, window.until);
    }
    return effect;
}

base::WallTime MaintenanceList::next_end_for_guests(base::WallTime now) const {
    base::WallTime next{};
    for (const auto& [id, window] : windows_) {
        if ((!window.notify && !window.force) || !window.active(now)) continue;
        if (next == base::WallTime{} || window.until < next) next = window.until;
    }
    return next;
}

std::vector<Maintenance> MaintenanceList::beside(const Maintenance& window, base::WallTime now) const {
    std::vector<Maintenance> found;
    for (const auto& [id, other] : windows_) {
        if (id != window.id && is_same_subject(other, window) && other.active(now)) found.push_back(other);
    }
    return found;
}

const Maintenance* MaintenanceList::prolonged_by(const Maintenance& window, base::WallTime now) const {
    const Maintenance* last = nullptr;
    for (const auto& [id, other] : windows_) {
        if (!is_same_subject(other, window) || !other.active(now) || other.until > window.until) continue;
        if (last == nullptr || last->until < other.until) last = &other;
    }
    return last;
}

}  // namespace vitalwire::controller
