#include "controller/fleet/peer_agents_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "bus/limits.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

base::Millis millis_of(const json& object, const char* key) {
    return base::Millis(std::max<std::int64_t>(wire::int_or(object, key, 0), 0));
}

}  // namespace

json to_json(const std::vector<PeerAgent>& agents) {
    json list = json::array();
    for (const PeerAgent& agent : agents) {
        json row = {{"host", agent.host.str()}, {"connected", agent.connected}, {"primary", agent.is_primary}};
        if (agent.seen) row["seen_ms"] = agent.seen->count();
        list.push_back(std::move(row));
    }
    return list;
}

std::optional<PeerAnswer> peer_answer_from_json(const json& object) {
    const json* list = wire::find(object, "agents");
    if (list == nullptr || !list->is_array()) return std::nullopt;
    PeerAnswer answer{wire::text_or(object, "controller"), millis_of(object, "silent_after_ms"), {}};
    for (const json& row : *list) {
        const std::string host = wire::text_or(row, "host");
        if (host.empty() || host.size() > bus::kMaxHostName) continue;
        PeerAgent agent{base::HostId(host), wire::bool_or(row, "connected", false),
                        wire::bool_or(row, "primary", false), std::nullopt};
        if (wire::find(row, "seen_ms") != nullptr) agent.seen = millis_of(row, "seen_ms");
        answer.agents.push_back(std::move(agent));
    }
    return answer;
}

}  // namespace vitalwire::controller
