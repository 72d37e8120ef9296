#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vitalwire::wire {

// Channels (proto-spec/device.md).
inline constexpr std::string_view kNativeChannel = "org.vitalwire.0";
inline constexpr std::string_view kCgcsHeartbeatChannel = "cgcs.heartbeat";
inline constexpr std::string_view kCgcsMessagingChannel = "cgcs.messaging";
/// The QEMU guest agent's own port, and the one of a second qemu-ga that is there for us alone.
inline constexpr std::string_view kGuestAgentChannel = "org.qemu.guest_agent.0";
inline constexpr std::string_view kOwnGuestAgentChannel = "org.vitalwire.qga.0";

// Addresses of the native base layer (proto-spec/base-layer.md).
inline constexpr std::string_view kBaseAddress = "vitalwire.base";
inline constexpr std::string_view kHeartbeatAddress = "vitalwire.heartbeat";
inline constexpr std::string_view kGroupAddress = "vitalwire.group";
/// The server group of cgcs guests, on cgcs.messaging.
inline constexpr std::string_view kCgcsGroupAddress = "cgcs.server_grp";

/// A whole native message, both newlines included: the largest escaped broadcast fits (proto-spec/base-layer.md).
inline constexpr std::size_t kMaxNativeMessage = 8192;
/// cgcs guests read with buffers of 4096 bytes, their heartbeat with 1056.
inline constexpr std::size_t kMaxCgcsMessage = 4096;
inline constexpr std::size_t kMaxCgcsHeartbeat = 1056;

/// What a QEMU guest agent answers to the one command that it is sent is a tenth of this.
inline constexpr std::size_t kMaxGuestAgentLine = 1024;

// JSON bounds: far above what any PDU needs, far below what costs anything.
inline constexpr int kMaxDepth = 16;
inline constexpr std::size_t kMaxKeys = 64;

inline constexpr std::size_t kMaxAddress = 64;
inline constexpr std::size_t kMaxName = 64;     ///< bytes of UTF-8
inline constexpr std::size_t kMaxReason = 224;  ///< bytes of UTF-8; cgcs guests crash on much longer ones
inline constexpr std::size_t kMaxSessionId = 64;
inline constexpr std::size_t kMaxMsgType = 32;  ///< of an echoed orig_msg_type

/// Bytes of a broadcast's payload, decoded: what cgcs guests and applications are built for.
inline constexpr std::size_t kMaxPayload = 3050;
/// The largest payload in base64, 4 * ceil(3050 / 3); text that would be longer when escaped goes as base64.
inline constexpr std::size_t kMaxEncodedPayload = 4068;
inline constexpr std::size_t kMaxInstanceId = 128;

// Fields of a member's state, in bytes of UTF-8.
inline constexpr std::size_t kMaxStateText = 255;  ///< display_name, hostname, host, node
inline constexpr std::size_t kMaxState = 32;
inline constexpr std::size_t kMaxTask = 64;       ///< state_description
inline constexpr std::size_t kMaxStateWord = 64;  ///< tenant_id, launched_at, timestamp, heartbeat

inline constexpr int kBaseVersion = 2;
inline constexpr int kOldestBaseVersion = 1;
inline constexpr int kHeartbeatVersion = 1;
inline constexpr int kHeartbeatRevision = 1;
inline constexpr int kGroupVersion = 1;
inline constexpr int kCgcsHeartbeatVersion = 3;

inline constexpr std::int64_t kMaxInt31 = 2147483647;

/// Of a guest that declares none, and whose operator does not either.
inline constexpr std::chrono::milliseconds kDefaultDetectionTime{900};
inline constexpr std::chrono::milliseconds kDefaultInterval{1000};  ///< in revision 0
inline constexpr std::chrono::milliseconds kNativeMinInterval{100};
inline constexpr std::chrono::milliseconds kCgcsMinInterval{400};
inline constexpr std::chrono::milliseconds kMaxInterval{3'600'000};
inline constexpr std::chrono::milliseconds kSmallestDeadline{50};

}  // namespace vitalwire::wire
