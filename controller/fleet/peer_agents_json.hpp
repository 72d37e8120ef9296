#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "controller/fleet/peer_agents.hpp"

namespace vitalwire::controller {

/// [{"host", "connected", "primary", "seen_ms"}].
nlohmann::json to_json(const std::vector<PeerAgent>& agents);
/// Of an answer with "controller", "silent_after_ms" and "agents"; absent when it tells of no agents.
std::optional<PeerAnswer> peer_answer_from_json(const nlohmann::json& object);

}  // namespace vitalwire::controller
