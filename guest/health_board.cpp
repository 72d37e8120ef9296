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

/// As many of `parts` as a reason has room for, and how many there are besides.
std::string join(const std::vector<std::string>& parts) {
    std::string reason;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::string part = (i == 0 ? "" : std::string(kBetween)) + parts[i];
        const bool last = i + 1 == parts.size();
        const std::size_t room = wire::kMaxReason - reason.size() - (last ? 0 : kRoomForMore);
        if (part.size() <= room) {
            reason += part;
            continue;
        }
        if (i == 0) {
            reason = base::cut_utf8(part, room);
            continue;
        }
        reason += std::string(kBetween) + "and " + std::to_string(parts.size() - i) + " more";
        break;
    }
    return base::cut_utf8(reason, wire::kMaxReason);
}

}  // namespace

void HealthBoard::set_declared_action(model::CorrectiveAction action) {
    declared_action_ = action;
    changed_(overall());
}

void HealthBoard::set(const std::string& source, bool healthy, std::string_view reason,
                      std::optional<model::CorrectiveAction> action) {
    const bool was_healthy = find(troubles_, source) == troubles_.end();
    if (healthy) {
        if (!was_healthy && log_limit_.take(base::Clock::now(), source))
            log::info("healthy again", {{"source", source}});
        return remove(source);
    }
    Trouble trouble{source, tidy_reason(reason), action};
    if (was_healthy && log_limit_.take(base::Clock::now(), source))
        log::warning("unhealthy", {{"source", source}, {"reason", trouble.reason}});
    put(troubles_, std::move(trouble));
}

void HealthBoard::remove(const std::string& source) {
    erase(troubles_, source);
}

void HealthBoard::warn(const std::string& source, std::string_view warning, std::string_view topic) {
    put(warnings_, {source, tidy_reason(warning), {}, std::string(topic)});
}

void HealthBoard::withdraw_warning(const std::string& source, std::string_view topic) {
    erase(warnings_, source, topic);
}

void HealthBoard::put(Troubles& in, Trouble trouble) {
    const auto known = find(in, trouble.source, trouble.topic);
    if (known == in.end()) {
        in.push_back(std::move(trouble));
    } else {
        if (*known == trouble) return;
        *known = std::move(trouble);
    }
    changed_(overall());
}

void HealthBoard::erase(Troubles& in, const std::string& source, std::string_view topic) {
    const auto known = find(in, source, topic);
    if (known == in.end()) return;
    in.erase(known);
    changed_(overall());
}

/// What says what is to be done comes first: of many only the first have room.
heartbeat::Health HealthBoard::overall() const {
    std::vector<std::string> parts;
    for (const bool names_action : {true, false}) {
        for (const Trouble& each : troubles_) {
            if (each.action.has_value() == names_action)
                parts.push_back(each.source + (each.reason.empty() ? "" : ": " + each.reason));
        }
    }
    for (const Trouble& each : warnings_)
        parts.push_back("warning: " + each.source + " " + each.reason);
    return {troubles_.empty(), join(parts), worst_action()};
}

std::optional<model::CorrectiveAction> HealthBoard::worst_action() const {
    auto worst = model::CorrectiveAction::none;
    bool is_named = false;
    for (const Trouble& each : troubles_) {
        worst = std::max(worst, each.action.value_or(declared_action_));
        is_named = is_named || each.action;
    }
    // Where all is left to what was declared, the host knows it.
    return is_named ? std::optional(worst) : std::nullopt;
}

std::optional<std::string> HealthBoard::reason(const std::string& source) const {
    for (const Trouble& each : troubles_) {
        if (each.source == source) return each.reason;
    }
    return std::nullopt;
}

std::size_t HealthBoard::position(const std::string& source) const {
    const auto found =
        std::find_if(troubles_.begin(), troubles_.end(), [&](const Trouble& each) { return each.source == source; });
    return static_cast<std::size_t>(found - troubles_.begin());
}

std::optional<model::CorrectiveAction> HealthBoard::action(const std::string& source) const {
    for (const Trouble& each : troubles_) {
        if (each.source == source) return each.action;
    }
    return std::nullopt;
}

HealthBoard::Troubles::iterator HealthBoard::find(Troubles& in, const std::string& source, std::string_view topic) {
    return std::find_if(in.begin(), in.end(),
                        [&](const Trouble& trouble) { return trouble.source == source && trouble.topic == topic; });
}

}  // namespace vitalwire::guest
