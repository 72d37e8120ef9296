#pragma once

#include <string>
#include <string_view>

#include "wire/heartbeat_pdu.hpp"
#include "wire/inbound.hpp"

namespace vitalwire::wire {

/// Resets the reader, whatever half of a command it holds. A newline does not: without this byte what follows a
/// half object is swallowed into it. qemu-ga answers it with an error.
inline constexpr char kGuestAgentReset = '\xff';

/// A challenge is the id of a guest-sync, the answer its echo; the QEMU guest agent has no other message of a
/// heartbeat, and asking for one is a mistake of the caller's.
std::string encode_guest_agent(const HeartbeatPdu& pdu);

/// A line of qemu-ga: an answer when it is the echo of an id. Another answer, such as that to a command of somebody who
/// was connected before, and an error have no effect.
Inbound read_guest_agent(std::string_view line);

}  // namespace vitalwire::wire
