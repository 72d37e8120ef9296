#include "controller/core/sessions.hpp"

#include <utility>

namespace vitalwire::controller {

namespace {
constexpr base::Millis kRetryAfter{10'000};
/// By then the agent's earlier life has fallen silent, if that is over.
constexpr base::Millis kRetryAfterRestart{1'000};
/// What an agent that is over had sent has been read by then.
constexpr base::Millis kLastWords{1'000};
constexpr base::Duration kCloneRemembered = std::chrono::hours(1);
/// A rival that still waits comes back within that.
constexpr base::Millis kRivalGone{30'000};

/// The same state started once more: the earlier life is over, whatever its connection looks like, or this is a clone.
bool restarted(const Session& earlier, const Session& newcomer) {
    return !newcomer.state.empty() && newcomer.state == earlier.state && newcomer.state_starts > earlier.state_starts;
}
}  // namespace

std::optional<bus::Rejected> Sessions::admit(const base::HostId& host, const Session& newcomer, Holder holder,
                                             base::TimePoint now) {
    const auto at = open_.find(host);
    if (at == open_.end()) return std::nullopt;
    if (newcomer.instance == at->second.instance) {
        if (newcomer.port == at->second.port || holder.given_up) return std::nullopt;
        return bus::Rejected{"this agent is connected by another URL of the same controller", kRetryAfter, true};
    }
    const bool may_be_restarted = holder.continued && restarted(at->second, newcomer);
    if (may_be_restarted && !holder.lives) return std::nullopt;
    note_rival(host, newcomer, may_be_restarted, now);
    return bus::Rejected{"another agent named " + host.str() + " is connected, from " + at->second.peer,
                         may_be_restarted ? kRetryAfterRestart : kRetryAfter};
}

void Sessions::note_rival(const base::HostId& host, const Session& newcomer, bool may_be_restarted,
                          base::TimePoint now) {
    Rival& rival = rivals_[host];
    rival.may_be_restarted = may_be_restarted;
    rival.peer = newcomer.peer;
    rival.instance = newcomer.instance;
    rival.boot = newcomer.boot;
    if (++rival.attempts == 1) rival.first = now;
    rival.last = now;
}

void Sessions::heard(const base::HostId& host, base::TimePoint now) {
    if (rivals_.empty()) return;
    const auto rival = rivals_.find(host);
    if (rival != rivals_.end() && now - rival->second.first > kLastWords) clones_[host] = rival->second;
}

/// The agent's own machine in the same boot is none, though it may have lost its state.
bool Sessions::is_clone(const base::HostId& host, const Session& newcomer, const std::string& known_boot,
                        base::TimePoint now) const {
    const auto clone = clones_.find(host);
    if (clone == clones_.end() || now - clone->second.last >= kCloneRemembered) return false;
    const bool same_machine =
        !newcomer.boot.empty() && newcomer.boot == clone->second.boot && newcomer.boot != known_boot;
    return newcomer.instance == clone->second.instance || same_machine;
}

const Session* Sessions::find(const base::HostId& host) const {
    const auto at = open_.find(host);
    return at == open_.end() ? nullptr : &at->second;
}

std::string Sessions::problem(base::TimePoint now) {
    std::erase_if(rivals_, [&](const auto& item) { return now - item.second.last >= kRivalGone; });
    std::string text;
    for (const auto& [host, rival] : rivals_) {
        if (rival.may_be_restarted && rival.attempts == 1) continue;  // the end of its earlier life is still to be read
        const Session* holder = find(host);
        text += (text.empty() ? "" : "; ") + host.str() + ": " + (holder == nullptr ? "none" : holder->peer) +
                " is connected, " + rival.peer + " is rejected (" + std::to_string(rival.attempts) + " attempts)";
    }
    return text;
}

}  // namespace vitalwire::controller
