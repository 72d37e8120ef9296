#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/json_document.hpp"
#include "wire/nack.hpp"

namespace vitalwire::wire {

/// The native nack, the same object in every layer (proto-spec/base-layer.md, section 5).
nlohmann::json nack_to_json(const Nack& nack);
base::Result<Nack> decode_nack(const JsonValue& data);

/// The server group's nack as cgcs guests know it: no code.
nlohmann::json cgcs_group_nack_to_json(const Nack& nack, int base_version);
base::Result<Nack> decode_cgcs_group_nack(const JsonValue& data);

/// The answer to a `data` that could not be decoded or is not allowed: what was asked, and why not. `from`: the address
/// of the layer that refuses it, whose nacks echo what its page lists.
Nack make_nack(const JsonValue& data, const base::Error& error, Dialect dialect, std::string_view from);

}  // namespace vitalwire::wire
