#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/json_document.hpp"

namespace vitalwire::wire {

/// The PDU in `data` (native: the envelope's data; existing: the whole line) as `receiver` may receive it. Fails with
/// unsupported_version, unknown_msg_type or bad_field.
base::Result<HeartbeatPdu> decode_heartbeat(const JsonValue& data, Dialect dialect, Receiver receiver);

/// The PDU as one whole message, newlines and (native) envelope included. `sequence` is the sender's message counter.
/// `base_version` is the base layer's version that the guest used.
std::string encode_heartbeat(const HeartbeatPdu& pdu, Dialect dialect, std::uint32_t sequence,
                             int base_version = kBaseVersion);

/// True for a line that is no JSON but is, to a human, an existing guest's challenge response: its log_msg is not
/// escaped, so a quote in it breaks the line. It still proves that the guest is alive.
bool is_garbled_response(std::string_view line);

}  // namespace vitalwire::wire
