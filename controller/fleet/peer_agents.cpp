#include "controller/fleet/peer_agents.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

const PeerAgent* PeerAgents::Peer::connected(const base::HostId& host) const {
    const auto at = agents.find(host);
    return answers && at != agents.end() && at->second.connected ? &at->second : nullptr;
}

void PeerAgents::answered(PeerAnswer answer, base::TimePoint asked_at) {
    Peer& peer = peers_[answer.controller];
    peer.answers = true;
    peer.asked_at = asked_at;
    // An agent sends three times in silent_after: of a dead one nothing came for longer than that.
    peer.fresh = answer.silent_after / 2;
    peer.agents.clear();
    for (PeerAgent& agent : answer.agents)
        peer.agents.insert_or_assign(agent.host, std::move(agent));
}

void PeerAgents::silent(const std::string& controller, base::TimePoint now) {
    const auto at = peers_.find(controller);
    if (at == peers_.end() || !at->second.answers) return;
    at->second = {};
    at->second.silent_since = now;
}

bool PeerAgents::delivered(const base::HostId& host) const {
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
        const auto at = item.second.agents.find(host);
        return at != item.second.agents.end() && at->second.is_primary;
    });
}

std::optional<bool> PeerAgents::has(const std::string& controller, const base::HostId& host) const {
    const auto at = peers_.find(controller);
    if (at == peers_.end() || !at->second.answers) return std::nullopt;
    return at->second.agents.contains(host);
}

bool PeerAgents::answers(const std::string& controller) const {
    const auto at = peers_.find(controller);
    return at != peers_.end() && at->second.answers;
}

std::optional<base::Duration> PeerAgents::silent_for(const std::string& controller, base::TimePoint now) const {
    const auto at = peers_.find(controller);
    if (at == peers_.end() || at->second.answers) return std::nullopt;
    return now - at->second.silent_since;
}

std::size_t PeerAgents::before(const std::string& controller) const {
    return static_cast<std::size_t>(std::count_if(peers_.begin(), peers_.lower_bound(controller),
                                                  [](const auto& item) { return item.second.answers; }));
}

std::string PeerAgents::connected_to(const base::HostId& host, base::TimePoint since) const {
    for (const auto& [controller, peer] : peers_) {
        const PeerAgent* agent = peer.connected(host);
        if (agent != nullptr && peer.asked_at >= since && peer.has_seen(*agent)) return controller;
    }
    return {};
}

bool PeerAgents::awaited(const base::HostId& host, base::TimePoint since, base::TimePoint now) const {
    if (now - since >= kPatience) return false;
    return std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
        const Peer& peer = item.second;
        const PeerAgent* agent = peer.connected(host);
        return peer.answers && (peer.asked_at < since || (agent != nullptr && !peer.has_seen(*agent)));
    });
}

}  // namespace vitalwire::controller
