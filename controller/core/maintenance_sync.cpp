#include "controller/core/maintenance_sync.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;

namespace {

/// Of one message: together well below bus::kMaxBusMessage.
constexpr std::size_t kItemsInMessage = 2000;

}  // namespace

void MaintenanceSync::mark_all() {
    for (const auto& [host, agent] : fleet_.agents())
        marked_.insert(host);
}

void MaintenanceSync::guests_changed(const HostId& host) {
    if (next_end_ != base::WallTime{} || !notified_on_.empty()) mark(host);
}

void MaintenanceSync::guest_gone(const HostId& host, const GuestId& guest) {
    guests_changed(host);
    if (!notified_on_.contains(guest)) return;
    for (const HostId& holder : fleet_.holders(guest))
        mark(holder);
}

void MaintenanceSync::check(base::WallTime now) {
    const bool was_any = next_end_ != base::WallTime{};
    const bool ended = was_any && now >= next_end_;
    next_end_ = windows_.next_end_for_guests(now);
    const bool moved = std::exchange(inventory_version_, inventory_.version()) != inventory_.version();
    if (ended || (moved && next_end_ != base::WallTime{})) mark_all();
    if (!moved) return;
    std::erase_if(notified_on_, [&](const auto& entry) {
        return inventory_.guest(entry.first) == nullptr && !fleet_.is_reported(entry.first);
    });
}

void MaintenanceSync::sync_next(base::WallTime now) {
    const HostId host = marked_.extract(marked_.begin()).value();
    const Agent* agent = fleet_.find(host);
    // Before its snapshot is complete its guests are not known.
    if (agent == nullptr || !agent->synced) return;
    sync(host, *agent, now);
}

void MaintenanceSync::sync(const HostId& host, const Agent& agent, base::WallTime now) {
    Items items;
    std::vector<GuestId> over;
    for (const auto& [guest, report] : agent.guests) {
        const auto effect = windows_.for_guests(subject_of_(guest, host), now);
        if (effect.notify || effect.forced_until != base::WallTime{})
            items.push_back({guest, effect.notify, effect.forced_until});
        const auto notified = notified_on_.find(guest);
        if (effect.notify) {
            notified_on_[guest] = host;
        } else if (notified != notified_on_.end()) {
            // While a guest migrates both hosts report it, and the first one has it still.
            if (notified->second != host && has_it_still(notified->second, guest)) continue;
            if (notified->second != host) over.push_back(guest);
            notified_on_.erase(notified);
        }
    }
    std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.guest < b.guest; });
    if (!agent.is_primary) {
        sent_.erase(host);
        return;
    }
    const auto sent = sent_.find(host);
    if (sent != sent_.end() && sent->second == items && over.empty()) return;
    send(host, items, std::move(over));
    sent_[host] = std::move(items);
}

bool MaintenanceSync::has_it_still(const HostId& host, const GuestId& guest) const {
    const Agent* agent = fleet_.find(host);
    return agent != nullptr && agent->connected && fleet_.report_of(host, guest) != nullptr;
}

void MaintenanceSync::send(const HostId& host, const Items& items, std::vector<GuestId> over) const {
    bus::GuestMaintenance message;
    message.over = std::move(over);
    std::size_t from = 0;
    do {
        const std::size_t count = std::min(kItemsInMessage, items.size() - from);
        message.items.assign(items.begin() + static_cast<std::ptrdiff_t>(from),
                             items.begin() + static_cast<std::ptrdiff_t>(from + count));
        message.first = from == 0;
        from += count;
        message.last = from == items.size();
        send_(host, message);
        message.over.clear();
    } while (from < items.size());
}

}  // namespace vitalwire::controller
