#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/fault.hpp"

namespace vitalwire::model {

/// One kind of alarm that receivers are notified of: a guest's fault, or a condition of a host or of the suite itself.
struct AlarmKind {
    enum class Source : std::uint8_t { agent, controller };

    std::string_view name;
    std::string_view severity;  ///< critical, major, warning
    Source source;              ///< which program finds it
    bool of_host;               ///< it concerns a host, not a guest
    std::string_view sentence;  ///< for people
};

// Kinds that the controller finds.
inline constexpr const char* kRunningTwice = "running_twice";        ///< two hosts' copies of one guest answer
inline constexpr const char* kHostUnreachable = "host_unreachable";  ///< the host fell silent, its connection open
inline constexpr const char* kAgentLost = "agent_lost";              ///< nobody watches the guests of the host
inline constexpr const char* kAgentDegraded = "agent_degraded";      ///< the agent cannot watch all of its guests
inline constexpr const char* kSinkFailing = "sink_failing";  ///< of the controller's host; `detail` names the sink

inline constexpr const char* kTestEvent = "test_event";  ///< nothing is wrong: an operator asked for it

inline constexpr std::size_t kAlarmKinds = kFaultKinds + 6;

/// The table: a new kind is one line of it. Those of FaultKind come first, in its order.
const std::array<AlarmKind, kAlarmKinds>& alarm_kinds();
/// Null for a kind that this release does not know.
const AlarmKind* find_alarm_kind(std::string_view name);

}  // namespace vitalwire::model
