#include "controller/core/coverage.hpp"

#include <utility>

#include "controller/fleet/authority.hpp"

namespace vitalwire::controller {

using base::HostId;

namespace {
/// About a millisecond's work.
constexpr std::size_t kGuestsInATurn = 500;
}  // namespace

std::string_view to_string(Watch watch) {
    constexpr std::array<std::string_view, kWatches> kNames = {"watched", "inhibited", "faulty", "uncovered"};
    return kNames.at(static_cast<std::size_t>(watch));
}

bool Coverage::Walk::turn(const Visit& visit) {
    visited_ = 0;
    while (visited_ < kGuestsInATurn) {
        if (next(visit)) continue;
        if (stage_ == Stage::faults) return false;
        stage_ = static_cast<Stage>(static_cast<std::uint8_t>(stage_) + 1);
        host_ = {};
        guest_ = {};
    }
    return true;
}

bool Coverage::Walk::next(const Visit& visit) {
    switch (stage_) {
        case Stage::inventory:
            return next_of_inventory(visit);
        case Stage::restored:
            return next_restored(visit);
        case Stage::agents:
            return next_of_agents(visit);
        case Stage::faults:
            return next_faulty(visit);
    }
    return false;
}

bool Coverage::Walk::next_of_inventory(const Visit& visit) {
    const InventoryGuest* guest = coverage_.inventory_.next(host_, guest_);
    if (guest == nullptr) return false;
    host_ = guest->host;
    guest_ = guest->id;
    ++visited_;
    if (!coverage_.fleet_.is_reported(guest->id) && guest->state != "deleted") ++census_.unreported;
    if (guest->policy.heartbeat) take(coverage_.decide(*guest), visit);
    return true;
}

bool Coverage::Walk::next_restored(const Visit& visit) {
    const auto& restored = coverage_.inventory_.restored();
    const auto at = restored.upper_bound(guest_);
    if (at == restored.end()) return false;
    guest_ = at->first;
    ++visited_;
    const bool read = coverage_.inventory_.guest(guest_) != nullptr;
    if (!read && at->second.heartbeat) take(coverage_.decide(placed_guest(guest_, at->second)), visit);
    return true;
}

bool Coverage::Walk::next_of_agents(const Visit& visit) {
    const auto reported = coverage_.fleet_.next(host_, guest_);
    if (!reported) return false;
    host_ = reported->host;
    guest_ = reported->report->guest;
    ++visited_;
    // Of the copies of a guest the first one counts.
    if (!coverage_.asked_for(guest_) && reported->report->state != "unregistered" &&
        coverage_.fleet_.holders(guest_).front() == host_)
        take(coverage_.decide(host_, *reported->report), visit);
    return true;
}

/// The agent is away, and this controller has been restarted since: what it reported of its guests is not kept.
bool Coverage::Walk::next_faulty(const Visit& visit) {
    const base::GuestId* guest = coverage_.faults_.next_faulty(guest_);
    if (guest == nullptr) return false;
    guest_ = *guest;
    ++visited_;
    const TrackedFault* fault = coverage_.faults_.open_of_guest(guest_);
    if (fault == nullptr || coverage_.asked_for(guest_)) return true;
    const auto& holders = coverage_.fleet_.holders(guest_);
    const bool visited =
        !holders.empty() && coverage_.fleet_.report_of(holders.front(), guest_)->state != "unregistered";
    Covered covered{guest_, fault->host, Watch::uncovered, {}};
    if (!visited && coverage_.is_faulty(covered)) take(covered, visit);
    return true;
}

void Coverage::Walk::take(const Covered& covered, const Visit& visit) {
    ++census_.watches.at(static_cast<std::size_t>(covered.watch));
    if (visit) visit(covered);
}

bool Coverage::asked_for(const base::GuestId& guest) const {
    const auto known = inventory_.place(guest);
    return known && known->heartbeat;
}

/// What was seen of the guest comes before what the cloud has it as: Nova has it as "error" because it is faulty.
Covered Coverage::decide(const InventoryGuest& guest) const {
    Covered covered{guest.id, names_.agent_of(guest.host), Watch::uncovered, {}};
    if (guest.host.empty()) covered.host = {};
    if (is_faulty(covered) || is_maintained(covered)) return covered;
    const Agent* agent = fleet_.find(covered.host);
    const model::GuestReport* report = agent == nullptr ? nullptr : fleet_.report_of(covered.host, guest.id);
    if (report != nullptr) judge(covered, *agent, *report);
    if (covered.watch != Watch::uncovered) return covered;
    if (!is_expected(guest)) {
        const std::string& task = guest.state_description;
        covered.watch = Watch::inhibited;
        covered.why = "the cloud has it as " + guest.state + (task.empty() ? "" : " (" + task + ")");
    } else if (guest.host.empty()) {
        covered.why = "the cloud has it on no host";
    } else if (agent == nullptr) {
        covered.why = "no agent on its host";
    } else if (report == nullptr) {
        covered.why = why_unreported(covered.host, guest.id, *agent);
    }
    return covered;
}

Covered Coverage::decide(const HostId& host, const model::GuestReport& report) const {
    Covered covered{report.guest, host, Watch::uncovered, {}};
    if (!is_faulty(covered) && !is_maintained(covered)) judge(covered, *fleet_.find(host), report);
    return covered;
}

bool Coverage::is_faulty(Covered& covered) const {
    const TrackedFault* fault = faults_.open_of_guest(covered.guest);
    if (fault == nullptr) return false;
    covered.watch = Watch::faulty;
    covered.why = model::to_string(fault->fault.kind);
    const std::string maintenance = maintenance_(covered.guest, covered.host);
    if (!maintenance.empty()) covered.why += ", kept from sinks by maintenance: " + maintenance;
    return true;
}

bool Coverage::is_maintained(Covered& covered) const {
    const std::string why = maintenance_(covered.guest, covered.host);
    if (why.empty()) return false;
    covered.watch = Watch::inhibited;
    covered.why = "maintenance: " + why;
    return true;
}

std::string Coverage::why_unreported(const HostId& host, const base::GuestId& guest, const Agent& agent) const {
    if (!agent.connected) return "its agent is not connected";
    if (!agent.synced) return "its agent has not reported yet";
    for (const bus::AgentProblems::Item& problem : agent.problems) {
        if (problem.guest == guest) return problem.what + (problem.detail.empty() ? "" : ": " + problem.detail);
    }
    return policy_sent_(host) ? "its agent has no channel of it" : "its agent has no policy of it yet";
}

void Coverage::judge(Covered& covered, const Agent& agent, const model::GuestReport& report) const {
    if (!agent.connected || !agent.synced) {
        covered.why = why_unreported(covered.host, covered.guest, agent);
    } else if (!report.hold.empty()) {
        covered.watch = Watch::inhibited;
        covered.why = report.hold;
    } else if (report.state == "registered" || report.state == "unhealthy") {
        covered.watch = Watch::watched;
    } else if (report.state == "lost" || report.state == "crashed") {
        covered.why = "its fault was closed, and it has not been well since";
    } else if (report.channels.empty()) {
        covered.why = "no channel of it is connected";
    } else {
        covered.why = "it has not registered";
    }
}

}  // namespace vitalwire::controller
