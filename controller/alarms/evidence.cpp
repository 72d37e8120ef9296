#include "controller/alarms/evidence.hpp"

#include <algorithm>
#include <array>

#include "heartbeat/host_events.hpp"

namespace vitalwire::controller {

using model::FaultKind;

namespace {

/// States of Nova in which the server does not run, by Nova's own doing.
constexpr std::array<std::string_view, 6> kStoppedStates = {"stopped",           "deleted", "soft-delete",
                                                            "shelved_offloaded", "shelved", "suspended"};

constexpr std::string_view kActive = "active";

bool is_stopped(const InventoryGuest& guest) {
    return std::find(kStoppedStates.begin(), kStoppedStates.end(), guest.state) != kStoppedStates.end();
}

}  // namespace

bool is_evidence(std::string_view clear_reason) {
    constexpr std::array<std::string_view, 5> kOurs = {kGuestMoved, kGuestDeleted, kGuestStopped, kGuestRemoved,
                                                       kByOperator};
    return std::find(kOurs.begin(), kOurs.end(), clear_reason) != kOurs.end();
}

bool is_outdated(const model::Fault& reported, const model::Fault& known) {
    if (!reported.open()) return false;
    if (known.clear_reason == kByOperator) return true;
    return reported.revision < known.revision && !is_evidence(known.clear_reason);
}

std::optional<std::string_view> Evidence::ends(const TrackedFault& tracked, Source source, bool removed,
                                               base::TimePoint now) const {
    if (!tracked.fault.open()) return std::nullopt;
    if (tracked.withheld && vouched(tracked)) return std::nullopt;  // nobody was notified of it
    if (answers_elsewhere(tracked)) return kGuestMoved;
    if (vouched(tracked)) return std::nullopt;
    if (answers_here(tracked)) return kGuestAnswers;
    const Agent* agent = fleet_.find(tracked.host);
    // Its snapshot shows in a moment what it vouches for; one that restarts is back soon.
    if (agent != nullptr && agent->connected && !agent->synced) return std::nullopt;
    const bool patience = agent != nullptr && !agent->connected && now - agent->away_since < kAgentPatience;
    if (patience || !source.loaded) return std::nullopt;
    return by_inventory(tracked, source, removed);
}

bool Evidence::vouched(const TrackedFault& tracked) const {
    const Agent* agent = fleet_.find(tracked.host);
    return agent != nullptr && agent->connected && agent->synced && !tracked.unconfirmed;
}

/// Only for a fault that its agent no longer reports: of the others the agent itself sees the answers.
bool Evidence::answers_here(const TrackedFault& tracked) const {
    const Agent* agent = fleet_.find(tracked.host);
    if (agent == nullptr || !agent->connected || !agent->synced) return false;
    const model::GuestReport* report = fleet_.report_of(tracked.host, tracked.fault.guest);
    if (report == nullptr || !answers(*report)) return false;
    return tracked.fault.kind != FaultKind::unhealthy || report->state == "registered";
}

/// The agent there vouches, and the cloud has the guest there; while the fault's own agent is away its word is enough.
bool Evidence::answers_elsewhere(const TrackedFault& tracked) const {
    const auto guest = inventory_.place(tracked.fault.guest);
    const bool placed = guest && !guest->host.empty();
    for (const base::HostId& holder : fleet_.holders(tracked.fault.guest)) {
        const Agent* agent = fleet_.find(holder);
        // Before its snapshot is complete, what is known of its guests is of an earlier connection.
        if (holder == tracked.host || agent == nullptr || !agent->connected || !agent->synced) continue;
        const model::GuestReport& report = *fleet_.report_of(holder, tracked.fault.guest);
        if (!answers(report) || !report.hold.empty()) continue;  // of a copy that moves nothing follows
        if (placed ? names_.same(holder, guest->host) : !vouched(tracked)) return true;
    }
    return false;
}

std::optional<std::string_view> Evidence::by_inventory(const TrackedFault& tracked, Source source, bool removed) const {
    const InventoryGuest* guest = inventory_.guest(tracked.fault.guest);
    if (guest == nullptr) {
        // That it is not named proves nothing: its part of the cloud may be down.
        if (!removed) return std::nullopt;
        return source.names_all ? kGuestDeleted : kGuestRemoved;
    }
    if (!guest->listed) return std::nullopt;  // where it was, and how, is no evidence of now
    if (is_stopped(*guest)) return kGuestStopped;
    // It is being built, has failed, or its host is not known: where it stopped its state says so.
    if (guest->host.empty()) return std::nullopt;
    // A host of which no agent is known may be this one by another name.
    const bool known = fleet_.find(names_.agent_of(guest->host)) != nullptr;
    return known && names_.differ(tracked.host, guest->host) ? std::optional(kGuestMoved) : std::nullopt;
}

bool Evidence::contradicted(const TrackedFault& tracked, Source source, bool removed) const {
    if (!source.loaded || !tracked.fault.open() || tracked.withheld || !vouched(tracked)) return false;
    const InventoryGuest* guest = inventory_.guest(tracked.fault.guest);
    if (guest == nullptr) return removed;
    return !guest->host.empty() && !names_.same(tracked.host, guest->host);
}

bool Evidence::doubts_end(const TrackedFault& tracked, const base::HostId& host, const model::Fault& reported,
                          Source source) const {
    const bool removed =
        !reported.open() && reported.clear_reason == heartbeat::to_string(heartbeat::StopReason::removed);
    if (!removed || !tracked.fault.open() || tracked.host != host || !source.loaded || !source.names_all) return false;
    const InventoryGuest* guest = inventory_.guest(tracked.fault.guest);
    return guest != nullptr && guest->listed && guest->state == kActive && names_.same(host, guest->host);
}

std::optional<Unconfirmed> Evidence::unconfirmed(const TrackedFault& tracked) const {
    if (!tracked.fault.open()) return std::nullopt;
    if (tracked.unconfirmed) return tracked.unconfirmed;
    const Agent* agent = fleet_.find(tracked.host);
    if (agent == nullptr) return Unconfirmed{tracked.fault.updated_at, "no agent of that host is known"};
    if (agent->connected) return std::nullopt;
    return Unconfirmed{agent->since, "its agent is not connected"};
}

}  // namespace vitalwire::controller
