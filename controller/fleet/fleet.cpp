#include "controller/fleet/fleet.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

void Fleet::restore(const base::HostId& host, Agent agent) {
    agents_.insert_or_assign(host, std::move(agent));
}

void Fleet::up(const base::HostId& host, const bus::Hello& hello, const std::string& peer, base::WallTime now) {
    Agent& agent = agents_[host];
    agent.version = hello.agent_version;
    agent.instance = hello.instance;
    agent.peer = peer;
    agent.connected = true;
    agent.whole = false;
    agent.lead = hello.lead;
    agent.since = now;
    agent.last_seen = now;
    agent.heard_since_start = true;
}

void Fleet::down(const base::HostId& host, base::WallTime now) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.connected = false;
    at->second.since = now;
    at->second.mentioned.reset();
}

void Fleet::set_lead(const base::HostId& host, bool lead) {
    const auto at = agents_.find(host);
    if (at != agents_.end()) at->second.lead = lead;
}

void Fleet::adopt(const base::HostId& host, base::WallTime now) {
    const auto [at, is_new] = agents_.try_emplace(host);
    if (is_new) at->second.since = at->second.last_seen = now;
    at->second.lead = true;
    at->second.heard_since_start = true;
}

void Fleet::seen(const base::HostId& host, base::WallTime now) {
    const auto at = agents_.find(host);
    if (at != agents_.end()) at->second.last_seen = now;
}

void Fleet::begin_snapshot(const base::HostId& host) {
    agents_[host].mentioned.emplace();
}

void Fleet::end_snapshot(const base::HostId& host) {
    Agent& agent = agents_[host];
    const auto mentioned = std::exchange(agent.mentioned, std::nullopt);
    if (!mentioned) return;
    agent.whole = true;
    std::erase_if(agent.guests, [&](const auto& item) {
        if (mentioned->contains(item.first)) return false;
        drop(item.second);
        return true;
    });
}

base::Result<void> Fleet::report(const base::HostId& host, const model::GuestReport& report) {
    Agent& agent = agents_[host];
    const auto known = agent.guests.find(report.guest);
    const bool is_new = known == agent.guests.end();
    if (is_new && agent.guests.size() >= kMaxGuestsPerHost) {
        return base::fail(base::Errc::too_large, "more than " + std::to_string(kMaxGuestsPerHost) + " guests");
    }
    ++states_[report.state];
    if (is_new) {
        ++known_[report.guest];
        agent.guests.emplace(report.guest, report);
    } else {
        leave_state(known->second.state);
        known->second = report;
    }
    if (agent.mentioned) agent.mentioned->insert(report.guest);
    return {};
}

void Fleet::gone(const base::HostId& host, const base::GuestId& guest) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    if (const auto report = at->second.guests.extract(guest); !report.empty()) drop(report.mapped());
}

void Fleet::forget(const base::HostId& host) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    for (const auto& [guest, report] : at->second.guests)
        drop(report);
    agents_.erase(at);
}

void Fleet::drop(const model::GuestReport& report) {
    leave_state(report.state);
    const auto at = known_.find(report.guest);
    if (at != known_.end() && --at->second == 0) known_.erase(at);
}

void Fleet::leave_state(const std::string& state) {
    const auto at = states_.find(state);
    if (--at->second == 0) states_.erase(at);
}

const Agent* Fleet::find(const base::HostId& host) const {
    const auto at = agents_.find(host);
    return at == agents_.end() ? nullptr : &at->second;
}

std::size_t Fleet::connected() const {
    return static_cast<std::size_t>(
        std::count_if(agents_.begin(), agents_.end(), [](const auto& item) { return item.second.connected; }));
}

}  // namespace vitalwire::controller
