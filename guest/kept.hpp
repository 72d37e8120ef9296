#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "heartbeat/guest_session.hpp"

namespace vitalwire::guest {

/// What a restart of vitalwired must not end: a fault that nobody has disproved, and what has to be watched again.
struct Kept {
    std::string kind;  ///< "application", "report", "service", "sdk application", "check"; the board has "KIND NAME"
    std::string name;
    uid_t uid = 0;
    pid_t pid = 0;          ///< 0: bound to no process
    std::string started;    ///< when that process was started: another one may get its number
    std::string identity;   ///< of a service
    bool ended = false;     ///< it is gone without a word; what it said last is the reason
    bool stopping = false;  ///< of a service: its end will be in order
    heartbeat::Health health;
    base::Millis time{};                   ///< in which it has to give a sign of life; zero: none is expected
    base::Millis own_time{};               ///< that a service named itself; zero: none
    std::uint32_t left_out = 0;            ///< ended ones that it stands for
    base::TimePoint until = base::kNever;  ///< of a report that has to be renewed: by then
};

/// One JSON object a line, the first one about the file; those that are unhealthy first. `boot` names the life of the
/// machine. `left_out`: how many the file has no room for.
std::string encode_kept(std::vector<Kept> all, const std::string& boot, std::size_t& left_out);
/// Fails for what is no such file, and with Errc::not_found for one of another boot. A line that makes no sense is left
/// out.
base::Result<std::vector<Kept>> decode_kept(std::string_view text, const std::string& boot);

inline constexpr std::size_t kMaxKeptBytes = 128UL * 1024;

}  // namespace vitalwire::guest
