#include "controller/groups/kept_messages.hpp"

#include <utility>

namespace vitalwire::controller {

using base::GuestId;
using base::TimePoint;

bool KeptMessages::keep(const GuestId& guest, bus::GroupDeliver message, TimePoint now) {
    if (!guests_.contains(guest) && guests_.size() >= kMaxGuests) {
        ++dropped_;
        return false;
    }
    Guest& kept = guests_[guest];
    kept.used = now;
    kept.bytes += message.payload.size();
    kept.items.push_back({now, std::move(message)});
    while (kept.bytes > kMaxBytes)
        drop_oldest(kept);
    return true;
}

void KeptMessages::drop_oldest(Guest& guest) {
    guest.bytes -= guest.items.front().message.payload.size();
    guest.items.pop_front();
    ++guest.lost;
    ++dropped_;
}

std::vector<GuestId> KeptMessages::guests() const {
    std::vector<GuestId> ids;
    for (const auto& [id, guest] : guests_)
        ids.push_back(id);
    return ids;
}

std::vector<bus::GroupDeliver> KeptMessages::take(const GuestId& guest) {
    std::vector<bus::GroupDeliver> messages;
    const auto at = guests_.find(guest);
    if (at == guests_.end() || at->second.items.empty()) return messages;
    for (Guest::Item& item : at->second.items)
        messages.push_back(std::move(item.message));
    messages.front().dropped = at->second.lost;
    guests_.erase(at);
    return messages;
}

void KeptMessages::drop_if(const GuestId& guest, const std::function<bool(const bus::GroupDeliver&)>& outdated) {
    Guest& kept = guests_.at(guest);
    const std::size_t dropped = std::erase_if(kept.items, [&](const Guest::Item& item) {
        if (!outdated(item.message)) return false;
        kept.bytes -= item.message.payload.size();
        return true;
    });
    kept.lost += dropped;
    dropped_ += dropped;
}

void KeptMessages::expire(TimePoint now) {
    for (auto& [id, guest] : guests_) {
        while (!guest.items.empty() && now - guest.items.front().since >= kLongest)
            drop_oldest(guest);
    }
    std::erase_if(guests_, [&](const auto& item) {
        const Guest& guest = item.second;
        return guest.items.empty() && (guest.lost == 0 || now - guest.used >= kForget);
    });
}

}  // namespace vitalwire::controller
