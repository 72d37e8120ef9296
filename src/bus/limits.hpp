#pragma once

#include <cstddef>

namespace vitalwire::bus {

// Bounds of what a peer may send, in bytes where nothing else is said: a little above what the wire and Nova allow.
inline constexpr std::size_t kMaxHostName = 255;  ///< as DNS allows
inline constexpr std::size_t kMaxGuestId = 128;   ///< as a file name in a watched directory may hold
inline constexpr std::size_t kMaxFaultId = 64;
inline constexpr std::size_t kMaxWord = 64;  ///< states, details, versions, names of channels
inline constexpr std::size_t kMaxReason = 1024;
inline constexpr std::size_t kMaxChannels = 8;         ///< of one guest
inline constexpr std::size_t kMaxControllers = 64;     ///< that one agent is connected to
inline constexpr std::size_t kMaxLives = 16;           ///< of one state: the last that an agent names
inline constexpr std::size_t kMaxReceivers = 64;       ///< that have one fault
inline constexpr std::size_t kMaxAgentProblems = 128;  ///< in one list

}  // namespace vitalwire::bus
