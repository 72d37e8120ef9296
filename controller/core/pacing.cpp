#include "controller/core/pacing.hpp"

#include <algorithm>
#include <iterator>

#include "base/log.hpp"

namespace vitalwire::controller {

namespace {
/// A connection costs two of them, its state included. An agent whose network flaps has them.
constexpr double kRounds = 20;
constexpr double kRoundsPerSecond = 1;
constexpr base::Millis kFirstStayAway{2'000};
constexpr base::Millis kLongestStayAway{60'000};
/// All faults of a host open and end at once, and somewhat later again.
constexpr double kFaultChanges = 4;
/// Of so many faults one changes each second. The agent itself spares us a guest that flaps.
constexpr double kFaultsPerChange = 20;
/// Without a refusal: then it is as if there was none.
constexpr base::Millis kCalmAfter{90'000};
constexpr std::size_t kHostsNamed = 5;
}  // namespace

Pacing::Host& Pacing::find(const base::HostId& host) {
    return hosts_.try_emplace(host, Host{base::TokenBucket(kRoundsPerSecond, kRounds), {}}).first->second;
}

std::optional<base::Millis> Pacing::take_round(const base::HostId& host, base::TimePoint now) {
    Host& at = find(host);
    if (at.rounds.take(now)) return std::nullopt;
    if (at.pause == base::Millis::zero())
        log::warning("agent comes back or sends its state too often, it has to stay away for a while",
                     {{"host", host}});
    at.pause = std::clamp(at.pause * 2, kFirstStayAway, kLongestStayAway);
    at.until = now + at.pause;
    at.last = now;
    ++at.refused;
    return at.pause;
}

bool Pacing::take_fault(const base::HostId& host, std::size_t limit, base::TimePoint now) {
    Host& at = find(host);
    const auto faults = static_cast<double>(limit);
    if (!at.faults) at.faults.emplace(faults / kFaultsPerChange, faults * kFaultChanges);
    if (at.faults->take(now)) return true;
    at.last = now;
    ++at.faults_refused;
    return false;
}

std::optional<base::Millis> Pacing::connect(const base::HostId& host, base::TimePoint now) {
    Host& at = find(host);
    if (now < at.until) {
        at.last = now;
        ++at.refused;
        return std::chrono::ceil<base::Millis>(at.until - now);
    }
    return take_round(host, now);
}

bool Pacing::comes_too_often(const base::HostId& host) const {
    const auto at = hosts_.find(host);
    return at != hosts_.end() && at->second.pause > base::Millis::zero();
}

std::string Pacing::problem(base::TimePoint now) {
    for (auto at = hosts_.begin(); at != hosts_.end();) {
        Host& host = at->second;
        const bool refused = host.refused + host.faults_refused > 0;
        const bool quiet = refused ? now - host.last >= kCalmAfter : host.rounds.has(now, kRounds) && !host.faults;
        at = quiet ? hosts_.erase(at) : std::next(at);
    }
    std::string text;
    std::size_t count = 0;
    for (const auto& [name, host] : hosts_) {
        if (host.refused + host.faults_refused == 0 || ++count > kHostsNamed) continue;
        text += (text.empty() ? "" : "; ") + name.str() + " (";
        if (host.refused > 0) text += std::to_string(host.refused) + " connections or states refused";
        if (host.refused > 0 && host.faults_refused > 0) text += ", ";
        if (host.faults_refused > 0) text += std::to_string(host.faults_refused) + " changes of faults delayed";
        text += ")";
    }
    return count <= kHostsNamed ? text : text + " and " + std::to_string(count - kHostsNamed) + " more";
}

}  // namespace vitalwire::controller
