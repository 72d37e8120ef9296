#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "wire/group_pdu.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::wire {

/// The channels a guest can have (proto-spec/device.md, cgcs-guests.md), and that of a QEMU guest agent.
enum class ChannelKind : std::uint8_t { native, cgcs_heartbeat, cgcs_messaging, guest_agent };
inline constexpr int kChannelKinds = 4;

std::string_view channel_name(ChannelKind kind);
/// The dialect that a channel's heartbeat has, or that of its guest.
Dialect dialect_of(ChannelKind kind);
/// Absent for the name of no channel of ours. A QEMU guest agent has two names: its own, and that of a port of ours.
std::optional<ChannelKind> channel_kind(std::string_view name);
/// Longest line between two newlines that a receiver on this channel accepts.
std::size_t max_line(ChannelKind kind);

/// Not a message: dropped and counted, never answered, for it may be a stale fragment.
struct Malformed {
    std::string why;
};
/// A message that is dropped and counted without an answer.
struct Ignored {
    std::string why;
};
/// A message that the host refuses.
struct Refused {
    Nack nack;
    std::string from;  ///< the layer that refuses: source_addr of the answer
    std::string to;    ///< dest_addr of the answer
    int base_version = kBaseVersion;
};
struct HeartbeatMessage {
    HeartbeatPdu pdu;
    int base_version = kBaseVersion;
};
struct GroupMessage {
    GroupPdu pdu;
    int base_version = kBaseVersion;
};
using Inbound = std::variant<Malformed, Ignored, Refused, HeartbeatMessage, GroupMessage>;

/// What one line of a channel is. The first decision about every byte a peer sends; never throws, bounded in time and
/// memory.
Inbound read_line(std::string_view line, ChannelKind channel, Receiver receiver);

/// The answer to a Refused on `channel`, as one whole message.
std::string encode_refusal(const Refused& refused, ChannelKind channel, std::uint32_t sequence);

}  // namespace vitalwire::wire
