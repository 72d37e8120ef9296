#include "host/core/maintenance_notices.hpp"

#include <utility>

namespace vitalwire::host {

using base::GuestId;
using model::LifecycleEvent;

void MaintenanceNotices::take(const bus::GuestMaintenance& message, const base::Moment& now) {
    if (message.first) incoming_.clear();
    incoming_.insert(incoming_.end(), message.items.begin(), message.items.end());
    for (const GuestId& guest : message.over) {
        if (notified_.insert(guest).second) output_.keep_notified(guest, true);
    }
    if (!message.last) return;
    lasting_.clear();
    forced_.clear();
    for (const auto& item : std::exchange(incoming_, {})) {
        if (item.notify) lasting_.insert(item.guest);
        if (item.forced_until > now.wall) forced_[item.guest] = now.steady + (item.forced_until - now.wall);
    }
    for (const GuestId& guest : lasting_) {
        if (!notified_.contains(guest)) begin(guest);
    }
    for (const GuestId& guest : std::set(notified_)) {
        if (!lasting_.contains(guest)) end(guest);
    }
}

/// Its software may have been started again since: what it was notified of before is gone.
void MaintenanceNotices::registered(const GuestId& guest) {
    if (lasting_.contains(guest)) return begin(guest);
    if (notified_.contains(guest)) end(guest);
}

void MaintenanceNotices::forget(const GuestId& guest) {
    if (notified_.erase(guest) > 0) output_.keep_notified(guest, false);
}

base::TimePoint MaintenanceNotices::forced_until(const GuestId& guest) const {
    const auto found = forced_.find(guest);
    return found == forced_.end() ? base::TimePoint{} : found->second;
}

void MaintenanceNotices::begin(const GuestId& guest) {
    if (!output_.notify_maintenance(guest, LifecycleEvent::maintenance_begin)) return;
    if (notified_.insert(guest).second) output_.keep_notified(guest, true);
}

void MaintenanceNotices::end(const GuestId& guest) {
    if (output_.notify_maintenance(guest, LifecycleEvent::maintenance_end)) forget(guest);
}

}  // namespace vitalwire::host
