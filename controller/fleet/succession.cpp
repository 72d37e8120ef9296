#include "controller/fleet/succession.hpp"

#include <algorithm>

namespace vitalwire::controller {

using base::HostId;

void Succession::connected(const HostId& host, bool is_new) {
    if (is_new) new_.insert(host);
    newer_.erase(host);
    for (const auto& [other, agent] : fleet_.agents()) {
        // Its connection may be a dead one that nobody has noticed yet: it has to be heard after this.
        if (other != host && agent.connected && alike(host, other)) newer_[other].insert(host);
    }
}

void Succession::heard(const HostId& host) {
    if (newer_.empty()) return;
    const auto newer = newer_.extract(host);
    if (newer.empty()) return;
    for (const HostId& other : newer.mapped()) {
        const Agent* agent = fleet_.find(other);
        if (agent != nullptr && agent->connected && alike(host, other)) together_.insert(pair_of(host, other));
    }
}

void Succession::forget(const HostId& host) {
    new_.erase(host);
    newer_.erase(host);
    std::erase_if(together_, [&](const Pair& pair) { return pair.first == host || pair.second == host; });
}

std::optional<HostId> Succession::successor(const HostId& host) const {
    const Agent* left = fleet_.find(host);
    if (left == nullptr || left->connected) return std::nullopt;
    const HostId of_that_host = names_.agent_of(host);
    if (of_that_host != host && may_succeed(of_that_host, host, *left)) return of_that_host;
    for (const auto& [other, agent] : fleet_.agents()) {
        if (other != host && !left->state.empty() && agent.state == left->state && may_succeed(other, host, *left))
            return other;
    }
    return std::nullopt;
}

std::vector<HostId> Succession::predecessors(const HostId& host) const {
    std::vector<HostId> found;
    for (const auto& [other, agent] : fleet_.agents()) {
        if (other != host && successor(other) == host) found.push_back(other);
    }
    return found;
}

std::vector<std::string> Succession::copies() const {
    std::vector<std::string> found;
    for (const auto& [one, other] : together_) {
        const Agent* first = fleet_.find(one);
        const Agent* second = fleet_.find(other);
        if (first == nullptr || second == nullptr || first->state.empty() || first->state != second->state) continue;
        found.push_back(one.str() + " and " + other.str());
    }
    return found;
}

Succession::Pair Succession::pair_of(const HostId& one, const HostId& other) {
    return {std::min(one, other), std::max(one, other)};
}

bool Succession::alike(const HostId& one, const HostId& other) const {
    const Agent& first = *fleet_.find(one);
    const Agent& second = *fleet_.find(other);
    return label_of(one) == label_of(other) || (!first.state.empty() && first.state == second.state);
}

bool Succession::may_succeed(const HostId& other, const HostId& host, const Agent& left) const {
    const Agent* agent = fleet_.find(other);
    if (agent == nullptr || !agent->connected || together_.contains(pair_of(host, other))) return false;
    // It came under a name that was not known, and the one that left has not been heard since.
    if (new_.contains(other)) return true;
    // A name that was known: it takes up a state that went on elsewhere, and was started once more for it.
    return left.seen_since_start && !left.state.empty() && agent->state == left.state &&
           agent->state_starts > left.state_starts;
}

}  // namespace vitalwire::controller
