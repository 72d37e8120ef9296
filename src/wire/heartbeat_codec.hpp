#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/json_document.hpp"

namespace vitalwire::wire {

/// The PDU in `data` (native: the envelope's data; cgcs: the whole line) as `receiver` may receive it. Fails with
/// unsupported_version, unknown_msg_type or bad_field.
base::Result<HeartbeatPdu> decode_heartbeat(const JsonValue& data, Dialect dialect, Receiver receiver);

/// The PDU as one whole message, newlines and (native) envelope included. `sequence` is the sender's message counter.
/// `base_version` is the base layer's version that the guest used.
std::string encode_heartbeat(const HeartbeatPdu& pdu, Dialect dialect, std::uint32_t sequence,
                             int base_version = kBaseVersion);

/// A cgcs guest's line as JSON. Such guests write log_msg last and escape nothing in it, so that a quote, a backslash
/// or a cut character breaks the line: what precedes is sound, and the rest is text. Absent where there is no log_msg.
std::optional<std::string> escape_log_msg(std::string_view line);

}  // namespace vitalwire::wire
