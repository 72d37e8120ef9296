#include "controller/fleet/fleet.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

namespace {
const std::vector<base::HostId> kNobody;
}

bool continues(const bus::Hello& hello, const Agent& known) {
    if (!hello.instance.empty() && hello.instance == known.instance) return true;
    if (hello.state.empty() || hello.state != known.state) return false;
    if (hello.lives.empty())  // of a release that names none
        return hello.state_starts > known.state_starts && hello.state_changes >= known.state_changes;
    const auto life = std::find_if(hello.lives.begin(), hello.lives.end(),
                                   [&](const bus::Hello::Life& each) { return each.instance == known.instance; });
    return life != hello.lives.end() && life->state_changes >= known.state_changes;
}

bool may_be_restarted(const bus::Hello& hello, const Agent& known) {
    const bool other_run = !hello.boot.empty() && !known.boot.empty() && hello.boot != known.boot;
    return !other_run && continues(hello, known);
}

bool answers(const model::GuestReport& report) {
    return (report.state == "registered" || report.state == "unhealthy") && report.responses > 0;
}

void Fleet::restore(const base::HostId& host, Agent agent) {
    ++version_;
    agents_.insert_or_assign(host, std::move(agent));
}

void Fleet::up(const base::HostId& host, const bus::Hello& hello, const std::string& peer, base::WallTime now) {
    ++version_;
    Agent& agent = agents_[host];
    agent.continuous = continues(hello, agent);
    agent.state = hello.state;
    agent.state_starts = hello.state_starts;
    agent.state_changes = hello.state_changes;
    agent.primary = hello.primary;
    agent.controllers = hello.controllers;
    agent.reported_problems = false;
    agent.version = hello.agent_version;
    agent.instance = hello.instance;
    agent.boot = hello.boot;
    agent.yields = hello.yields;
    agent.peer = peer;
    agent.connected = true;
    agent.silent = false;
    agent.unreachable = false;
    agent.synced = false;
    agent.is_primary = hello.is_primary;
    agent.since = now;
    agent.last_seen = now;
    agent.seen_since_start = true;
}

void Fleet::down(const base::HostId& host, base::Moment moment) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    ++version_;
    at->second.connected = false;
    at->second.silent = false;
    at->second.since = moment.wall;
    at->second.away_since = moment.steady;
    at->second.mentioned.reset();
}

bool Fleet::changed(const base::HostId& host, std::uint64_t state_changes) {
    const auto at = agents_.find(host);
    if (at == agents_.end() || state_changes <= at->second.state_changes) return false;
    at->second.state_changes = state_changes;
    return true;
}

void Fleet::fell_silent(const base::HostId& host, bool alone, base::TimePoint now) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.silent = true;
    at->second.silent_since = now;
    at->second.unreachable = alone;
}

void Fleet::seen_again(const base::HostId& host) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.silent = false;
    at->second.unreachable = false;
}

void Fleet::set_primary(const base::HostId& host, const bus::PrimaryChanged& changed) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.is_primary = changed.is_primary;
    at->second.primary = changed.primary;
    at->second.controllers = changed.controllers;
}

void Fleet::set_problems(const base::HostId& host, std::vector<bus::AgentProblems::Item> problems) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.problems = std::move(problems);
    at->second.reported_problems = true;
}

void Fleet::adopt(const base::HostId& host, base::Moment moment) {
    const auto [at, is_new] = agents_.try_emplace(host);
    ++version_;
    if (is_new) {
        at->second.since = at->second.last_seen = moment.wall;
        at->second.away_since = moment.steady;
    }
    at->second.is_primary = true;
    at->second.seen_since_start = true;
}

void Fleet::seen(const base::HostId& host, base::Moment moment) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    at->second.last_seen = moment.wall;
    at->second.seen_at = moment.steady;
}

void Fleet::clock_was_set(base::WallTime::duration by) {
    for (auto& [host, agent] : agents_) {
        if (agent.since != base::WallTime{}) agent.since += by;
        if (agent.last_seen != base::WallTime{}) agent.last_seen += by;
    }
}

void Fleet::begin_snapshot(const base::HostId& host) {
    agents_[host].mentioned.emplace();
}

std::vector<base::GuestId> Fleet::end_snapshot(const base::HostId& host) {
    std::vector<base::GuestId> erased;
    Agent& agent = agents_[host];
    const auto mentioned = std::exchange(agent.mentioned, std::nullopt);
    if (!mentioned) return erased;
    agent.synced = true;
    std::erase_if(agent.guests, [&](const auto& item) {
        if (mentioned->contains(item.first)) return false;
        drop(host, item.second);
        erased.push_back(item.first);
        return true;
    });
    return erased;
}

base::Result<void> Fleet::report(const base::HostId& host, const model::GuestReport& report) {
    Agent& agent = agents_[host];
    const auto known = agent.guests.find(report.guest);
    const bool is_new = known == agent.guests.end();
    if (is_new && agent.guests.size() >= kMaxGuestsPerHost) {
        return base::fail(base::Errc::too_large, "more than " + std::to_string(kMaxGuestsPerHost) + " guests");
    }
    ++states_[report.state];
    if (is_new || known->second.state != report.state || known->second.hold != report.hold ||
        known->second.warning != report.warning) {
        ++guests_version_;
    }
    if (is_new) {
        auto& holders = holders_[report.guest];
        holders.push_back(host);
        if (holders.size() > 1) held_twice_.insert(report.guest);
        agent.guests.emplace(report.guest, report);
    } else {
        leave_state(known->second.state);
        known->second = report;
    }
    if (agent.mentioned) agent.mentioned->insert(report.guest);
    return {};
}

void Fleet::gone(const base::HostId& host, const base::GuestId& guest) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    if (const auto report = at->second.guests.extract(guest); !report.empty()) drop(host, report.mapped());
}

void Fleet::erase(const base::HostId& host) {
    const auto at = agents_.find(host);
    if (at == agents_.end()) return;
    for (const auto& [guest, report] : at->second.guests)
        drop(host, report);
    ++version_;
    agents_.erase(at);
}

void Fleet::drop(const base::HostId& host, const model::GuestReport& report) {
    ++guests_version_;
    leave_state(report.state);
    const auto at = holders_.find(report.guest);
    if (at == holders_.end()) return;
    std::erase(at->second, host);
    if (at->second.size() < 2) held_twice_.erase(report.guest);
    if (at->second.empty()) holders_.erase(at);
}

const std::vector<base::HostId>& Fleet::holders(const base::GuestId& guest) const {
    const auto at = holders_.find(guest);
    return at == holders_.end() ? kNobody : at->second;
}

const model::GuestReport* Fleet::report_of(const base::HostId& host, const base::GuestId& guest) const {
    const Agent* agent = find(host);
    if (agent == nullptr) return nullptr;
    const auto at = agent->guests.find(guest);
    return at == agent->guests.end() ? nullptr : &at->second;
}

std::optional<Fleet::Reported> Fleet::next(const base::HostId& host, const base::GuestId& guest) const {
    for (auto agent = agents_.lower_bound(host); agent != agents_.end(); ++agent) {
        const auto& guests = agent->second.guests;
        const auto at = agent->first == host ? guests.upper_bound(guest) : guests.begin();
        if (at != guests.end()) return Reported{agent->first, &at->second};
    }
    return std::nullopt;
}

void Fleet::leave_state(const std::string& state) {
    const auto at = states_.find(state);
    if (--at->second == 0) states_.erase(at);
}

const Agent* Fleet::find(const base::HostId& host) const {
    const auto at = agents_.find(host);
    return at == agents_.end() ? nullptr : &at->second;
}

std::size_t Fleet::connected() const {
    return static_cast<std::size_t>(
        std::count_if(agents_.begin(), agents_.end(), [](const auto& item) { return item.second.connected; }));
}

}  // namespace vitalwire::controller
