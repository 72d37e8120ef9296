#include "host/channels/drop_log.hpp"

#include <algorithm>
#include <chrono>

#include "base/log.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::host {

namespace {
constexpr base::Duration kOver = std::chrono::minutes(1);
}

void DropLog::dropped(const base::GuestId& guest, wire::ChannelKind kind, std::string_view reason, std::uint64_t count,
                      const std::string& detail, base::TimePoint now) {
    const auto [condition, begins] = conditions_.try_emplace({guest, kind, reason});
    condition->second.count += count;
    condition->second.last = now;
    next_due_ = std::min(next_due_, now + kOver);
    if (!begins) return;
    log::warning("message dropped", {{"guest", guest},
                                     {"channel", wire::channel_name(kind)},
                                     {"why", reason},
                                     {"detail", detail},
                                     {"count", count}});
}

void DropLog::tick(base::TimePoint now) {
    if (now < next_due_) return;
    next_due_ = base::kNever;
    std::erase_if(conditions_, [&](const auto& item) {
        const auto& [guest, kind, reason] = item.first;
        const Condition& condition = item.second;
        if (now < condition.last + kOver) {
            next_due_ = std::min(next_due_, condition.last + kOver);
            return false;
        }
        log::info(
            "no more messages dropped",
            {{"guest", guest}, {"channel", wire::channel_name(kind)}, {"why", reason}, {"count", condition.count}});
        return true;
    });
}

}  // namespace vitalwire::host
