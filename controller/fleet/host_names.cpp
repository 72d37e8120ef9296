#include "controller/fleet/host_names.hpp"

#include <algorithm>

namespace vitalwire::controller {

using base::HostId;

std::string_view label_of(const HostId& host) {
    return std::string_view(host.str()).substr(0, host.str().find('.'));
}

namespace {

bool is_short(const HostId& host) {
    return host.str().find('.') == std::string::npos;
}

}  // namespace

HostId canonical(const HostId& host) {
    std::string name = host.str();
    while (name.ends_with('.'))
        name.pop_back();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return HostId(std::move(name));
}

void HostNames::refresh() const {
    const std::pair version(inventory_.hosts_version(), fleet_.version());
    if (built_from_ == version) return;
    built_from_ = version;
    spellings_.clear();
    labels_.clear();
    for (const HostId& host : inventory_.hosts()) {
        const HostId name = canonical(host);
        spellings_[name].push_back(host);
        labels_[std::string(label_of(name))].hosts.insert(name);
    }
    for (const bool connected : {true, false}) {
        std::set<std::string_view> taken;  // by an agent that is connected
        for (const auto& [label, names] : labels_) {
            if (!names.agents.empty()) taken.insert(label);
        }
        for (const auto& [host, agent] : fleet_.agents()) {
            if (agent.connected == connected && !taken.contains(label_of(host)))
                labels_[std::string(label_of(host))].agents.insert(host);
        }
    }
}

std::optional<HostId> HostNames::host_of(const HostId& agent) const {
    refresh();
    if (spellings_.contains(agent)) return agent;
    const auto at = labels_.find(label_of(agent));
    if (at == labels_.end() || at->second.hosts.size() != 1 || at->second.agents.size() > 1) return std::nullopt;
    const HostId& host = *at->second.hosts.begin();
    const bool alone = at->second.agents.empty() || at->second.agents.contains(agent);
    return alone && is_short(host) != is_short(agent) ? std::optional(host) : std::nullopt;
}

bool HostNames::same(const HostId& agent, const HostId& host) const {
    const HostId name = canonical(host);
    return agent == name || host_of(agent) == name;
}

bool HostNames::differ(const HostId& agent, const HostId& host) const {
    const HostId name = canonical(host);
    if (same(agent, host)) return false;
    if (label_of(agent) != label_of(name) || is_short(agent) == is_short(name)) return true;
    const Agent* of_that_name = fleet_.find(name);
    return spellings_.contains(agent) || (of_that_name != nullptr && of_that_name->connected);
}

HostId HostNames::agent_of(const HostId& host) const {
    const HostId name = canonical(host);
    const Agent* of_that_name = fleet_.find(name);
    if (of_that_name != nullptr && of_that_name->connected) return name;
    refresh();
    const auto at = labels_.find(label_of(name));
    if (at == labels_.end() || at->second.agents.size() != 1) return name;
    const HostId& agent = *at->second.agents.begin();
    return host_of(agent) == name ? agent : name;
}

bool HostNames::has_agent(const HostId& host) const {
    return fleet_.find(agent_of(host)) != nullptr;
}

std::vector<const InventoryGuest*> HostNames::guests_of(const HostId& agent) const {
    std::vector<const InventoryGuest*> guests;
    const auto host = host_of(agent);
    if (!host) return guests;
    for (const HostId& spelling : spellings_.at(*host)) {
        const auto some = inventory_.of_host(spelling);
        guests.insert(guests.end(), some.begin(), some.end());
    }
    return guests;
}

}  // namespace vitalwire::controller
