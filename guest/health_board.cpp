#include "guest/health_board.hpp"

#include <algorithm>
#include <string_view>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/reason.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::string_view kBetween = "; ";
/// "; and 1000 more": what is always kept free for it.
constexpr std::size_t kRoomForMore = 16;

}  // namespace

void HealthBoard::set(const std::string& source, bool healthy, std::string_view reason) {
    if (healthy) {
        if (find(source) != troubles_.end()) log::info("healthy again", {{"source", source}});
        return remove(source);
    }
    Trouble trouble{source, tidy_reason(reason)};
    const auto known = find(source);
    if (known == troubles_.end()) {
        log::warning("unhealthy", {{"source", source}, {"reason", trouble.reason}});
        troubles_.push_back(std::move(trouble));
    } else {
        if (known->reason == trouble.reason) return;
        known->reason = std::move(trouble.reason);
    }
    changed_(overall());
}

void HealthBoard::remove(const std::string& source) {
    const auto known = find(source);
    if (known == troubles_.end()) return;
    troubles_.erase(known);
    changed_(overall());
}

heartbeat::Health HealthBoard::overall() const {
    if (troubles_.empty()) return {};
    std::string reason;
    for (std::size_t i = 0; i < troubles_.size(); ++i) {
        std::string part = i == 0 ? "" : std::string(kBetween);
        part += troubles_[i].source;
        if (!troubles_[i].reason.empty()) part += ": " + troubles_[i].reason;
        const bool last = i + 1 == troubles_.size();
        const std::size_t room = wire::kMaxReason - reason.size() - (last ? 0 : kRoomForMore);
        if (part.size() <= room) {
            reason += part;
            continue;
        }
        if (i == 0) {
            reason = base::cut_utf8(part, room);
            continue;
        }
        reason += std::string(kBetween) + "and " + std::to_string(troubles_.size() - i) + " more";
        break;
    }
    return {false, base::cut_utf8(reason, wire::kMaxReason)};
}

std::vector<HealthBoard::Trouble>::iterator HealthBoard::find(const std::string& source) {
    return std::find_if(troubles_.begin(), troubles_.end(),
                        [&](const Trouble& trouble) { return trouble.source == source; });
}

}  // namespace vitalwire::guest
