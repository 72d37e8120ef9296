#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.hpp"
#include "wire/group_pdu.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/json_document.hpp"

namespace vitalwire::wire {

/// The group PDU in an envelope's `data`. Fails with unsupported_version, unknown_msg_type, too_large or bad_field.
base::Result<GroupPdu> decode_group(const JsonValue& data, Dialect dialect, Receiver receiver);

/// The PDU as one whole message, newlines and envelope included, within the channel's limit: a state object is reduced
/// by whole fields. Fails with too_large or bad_field for a payload that a cgcs guest cannot be told.
base::Result<std::string> encode_group(const GroupPdu& pdu, Dialect dialect, int base_version);

/// Adds to an encoded native PDU, other than a nack, how many messages its receiver lost before it. False when the
/// message has no room for that.
bool add_dropped(std::string& line, std::uint64_t dropped);

/// The refusal of a PDU that was understood.
Nack make_nack(const GroupPdu& pdu, const base::Error& error);

/// A state object as JSON, as it is on the bus and on the wire.
nlohmann::json to_json(const MemberState& state);
/// As text: a controller that starts tells each host of all the peers of its guests.
std::string to_text(const MemberState& state);
base::Result<MemberState> member_state_from_json(const nlohmann::json& object);

}  // namespace vitalwire::wire
