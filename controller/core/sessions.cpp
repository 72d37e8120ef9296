#include "controller/core/sessions.hpp"

#include <utility>

namespace vitalwire::controller {

namespace {
constexpr base::Millis kRetryAfter{10'000};
/// A rival that still waits comes back within that.
constexpr base::Millis kRivalGone{30'000};

/// The same process, or the same state started once more: its earlier life is over, whatever its connection looks like.
bool continues(const Session& earlier, const Session& newcomer) {
    if (newcomer.instance == earlier.instance) return newcomer.port == earlier.port;
    return !newcomer.state.empty() && newcomer.state == earlier.state && newcomer.state_starts > earlier.state_starts;
}
}  // namespace

std::optional<bus::Rejected> Sessions::admit(const base::HostId& host, const Session& newcomer, base::TimePoint now) {
    const auto at = open_.find(host);
    if (at == open_.end() || continues(at->second, newcomer)) return std::nullopt;
    if (newcomer.instance == at->second.instance)
        return bus::Rejected{"this agent is connected by another URL of the same controller", kRetryAfter};
    Rival& rival = rivals_[host];
    rival.peer = newcomer.peer;
    rival.last = now;
    ++rival.attempts;
    return bus::Rejected{"another agent named " + host.str() + " is connected, from " + at->second.peer, kRetryAfter};
}

const Session* Sessions::find(const base::HostId& host) const {
    const auto at = open_.find(host);
    return at == open_.end() ? nullptr : &at->second;
}

std::string Sessions::problem(base::TimePoint now) {
    std::erase_if(rivals_, [&](const auto& item) { return now - item.second.last >= kRivalGone; });
    std::string text;
    for (const auto& [host, rival] : rivals_) {
        const Session* holder = find(host);
        text += (text.empty() ? "" : "; ") + host.str() + ": " + (holder == nullptr ? "none" : holder->peer) +
                " is connected, " + rival.peer + " is rejected (" + std::to_string(rival.attempts) + " attempts)";
    }
    return text;
}

}  // namespace vitalwire::controller
