#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.hpp"

namespace vitalwire::model {

/// What the cloud does with a guest's machine, as the guest is asked before it or notified of it.
enum class LifecycleEvent : std::uint8_t {
    stop,
    reboot,
    suspend,
    pause,
    unpause,
    resume,
    resize_begin,
    resize_end,
    live_migrate_begin,
    live_migrate_end,
    cold_migrate_begin,
    cold_migrate_end,
    maintenance_begin,
    maintenance_end,
};
inline constexpr std::size_t kLifecycleEvents = 14;
const std::array<LifecycleEvent, kLifecycleEvents>& all_lifecycle_events();
std::string_view to_string(LifecycleEvent event);
std::optional<LifecycleEvent> parse_lifecycle_event(std::string_view text);
/// The guest is notified of what is so already: there is nothing to reject, and nobody waits for it.
bool comes_after(LifecycleEvent event);
/// What an operator began or ended, which the cgcs protocol has no event for.
bool is_maintenance(LifecycleEvent event);

/// What a guest or one of its applications answers; the worst last. Only `reject` keeps an action from being carried
/// out.
enum class VoteResult : std::uint8_t { accept, complete, timeout, error, reject };
std::string_view to_string(VoteResult result);
std::optional<VoteResult> parse_vote_result(std::string_view text);

/// How long a guest may take to answer, as it declared at its registration; 0: it is not asked.
struct NoticeTimes {
    base::Millis vote{};      ///< on any event
    base::Millis shutdown{};  ///< to get ready for a stop or a reboot
    base::Millis suspend{};   ///< for what lets it stand still: pause, suspend, the begin of a migration, a resize or a
                              ///< maintenance
    base::Millis resume{};    ///< after that

    base::Millis notice(LifecycleEvent event) const;
    friend bool operator==(const NoticeTimes&, const NoticeTimes&) = default;
};
inline constexpr base::Millis kMaxNoticeTime{600'000};

}  // namespace vitalwire::model
