#include "host/sources/libvirt/hot_plug.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using wire::ChannelKind;

namespace {

/// A reading from before the attachment may still come.
constexpr base::Duration kSettle = std::chrono::seconds(1);
constexpr base::Duration kFirstPause = std::chrono::seconds(1);
constexpr base::Duration kLongestPause = std::chrono::minutes(1);
constexpr int kMostDoublings = 6;  // the longest pause is reached

}  // namespace

void HotPlug::see(const DomainReading& reading, bool settled) {
    if (reading.id < 0) return gone(reading.guest);
    Domain& domain = domains_[reading.guest];
    if (domain.id != reading.id) domain = Domain{};
    domain.id = reading.id;
    domain.persistent = reading.persistent;
    domain.settled = settled;
    domain.ports = reading.ports;
}

template <class Visit>
void HotPlug::for_each_lack(Visit visit) const {
    for (const auto& [guest, kinds] : wanted_) {
        const auto known = domains_.find(guest);
        if (known == domains_.end()) continue;
        const auto lacks = [&](ChannelKind kind) { return !known->second.ports.taken.contains(kind); };
        const auto missing = std::find_if(kinds.begin(), kinds.end(), lacks);
        if (missing != kinds.end()) visit(guest, known->second, *missing);
    }
}

std::optional<HotPlug::Attachment> HotPlug::next(TimePoint now) {
    if (under_way_) return std::nullopt;
    for_each_lack([&](const GuestId& guest, const Domain& domain, ChannelKind kind) {
        const bool possible = domain.settled && domain.ports.controller && domain.not_before <= now;
        if (possible && !under_way_) under_way_ = Attachment{guest, kind, domain.persistent};
    });
    return under_way_;
}

TimePoint HotPlug::next_due() const {
    TimePoint due = base::kNever;
    if (under_way_) return due;
    for_each_lack([&](const GuestId&, const Domain& domain, ChannelKind) {
        if (domain.settled && domain.ports.controller) due = std::min(due, domain.not_before);
    });
    return due;
}

void HotPlug::attached(TimePoint now) {
    const Attachment done = *std::exchange(under_way_, std::nullopt);
    const auto known = domains_.find(done.guest);
    if (known == domains_.end()) return;
    known->second.failures = 0;
    known->second.not_before = now + kSettle;
    known->second.ports.taken.insert(done.kind);
}

void HotPlug::failed(TimePoint now) {
    const Attachment tried = *std::exchange(under_way_, std::nullopt);
    const auto known = domains_.find(tried.guest);
    if (known == domains_.end()) return;
    Domain& domain = known->second;
    domain.not_before = now + std::min(kFirstPause * (1 << std::min(domain.failures, kMostDoublings)), kLongestPause);
    ++domain.failures;
}

std::set<GuestId> HotPlug::unattachable() const {
    std::set<GuestId> guests;
    for_each_lack([&](const GuestId& guest, const Domain& domain, ChannelKind) {
        if (!domain.ports.controller) guests.insert(guest);
    });
    return guests;
}

}  // namespace vitalwire::host
