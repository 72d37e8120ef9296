#include "controller/alarms/self_monitoring.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "controller/delivery/journal.hpp"

namespace vitalwire::controller {

namespace {

/// Longer than an agent needs to come up, and than a source's report is behind its destination's in a migration.
constexpr base::Millis kDegradedPatience{2000};
constexpr base::Millis kTwicePatience{3000};
/// A cause that changes all the time updates its alarm no more often.
constexpr std::chrono::seconds kUpdateSpacing{10};

base::FaultId id_of(std::string_view kind, const std::string& about) {
    return base::FaultId(std::string(kind) + "." + about);
}

Alarm agent_lost(const base::HostId& host) {
    Alarm alarm;
    alarm.id = agent_lost_id(host);
    alarm.kind = kAgentLost;
    alarm.severity = "critical";
    alarm.host = host;
    return alarm;
}

Alarm host_unreachable(const base::HostId& host) {
    Alarm alarm = agent_lost(host);
    alarm.id = id_of(kHostUnreachable, host.str());
    alarm.kind = kHostUnreachable;
    return alarm;
}

/// It is rather we who are cut off: one alarm, of our own host.
Alarm all_agents_lost(const base::HostId& controller) {
    Alarm alarm = agent_lost(controller);
    alarm.id = id_of(kAgentLost, controller.str() + ".all");
    alarm.detail = "all agents";
    return alarm;
}

Alarm agent_degraded(const base::HostId& host, const std::vector<bus::AgentProblems::Item>& problems) {
    Alarm alarm;
    alarm.id = id_of(kAgentDegraded, host.str());
    alarm.kind = kAgentDegraded;
    alarm.severity = "major";
    alarm.host = host;
    if (problems.empty()) return alarm;
    alarm.detail = problems.front().what;
    alarm.reason = problems.front().detail;
    if (problems.size() > 1) alarm.reason += " (and " + std::to_string(problems.size() - 1) + " more)";
    return alarm;
}

/// `detail` names the hosts, separated by blanks.
Alarm running_twice(const Authority::Twice& found) {
    Alarm alarm;
    alarm.id = id_of(kRunningTwice, found.guest.str());
    alarm.kind = kRunningTwice;
    alarm.severity = "critical";
    alarm.guest = found.guest;
    alarm.host = found.hosts.front();
    for (const base::HostId& host : found.hosts)
        alarm.detail += (alarm.detail.empty() ? "" : " ") + host.str();
    return alarm;
}

/// As far as its agent reports: it answers, or is silent, or was stopped for a while.
bool may_run(const model::GuestReport& report) {
    return report.state != "unregistered" && report.state != "crashed";
}

Alarm sink_failing(const base::HostId& controller, const SelfMonitoring::SinkState& sink) {
    Alarm alarm;
    alarm.id = id_of(kSinkFailing, controller.str() + "." + sink.name);
    alarm.kind = kSinkFailing;
    alarm.severity = "major";
    alarm.host = controller;
    alarm.detail = sink.name;
    alarm.reason = sink.error;
    return alarm;
}

Alarm test_event(const base::HostId& controller) {
    Alarm alarm;
    alarm.id = id_of(kTestEvent, controller.str());
    alarm.kind = kTestEvent;
    alarm.severity = "warning";
    alarm.host = controller;
    return alarm;
}

}  // namespace

base::FaultId agent_lost_id(const base::HostId& host) {
    return id_of(kAgentLost, host.str());
}

bool is_of_lost_agent(const Alarm& alarm) {
    return alarm.id == agent_lost_id(alarm.host) || alarm.id == host_unreachable(alarm.host).id;
}

Alarm ended_alarm(Alarm alarm, std::string_view why, base::WallTime now) {
    ++alarm.revision;
    alarm.updated_at = now;
    alarm.cleared_at = now;
    alarm.clear_reason = why;
    return alarm;
}

std::vector<Alarm> SelfMonitoring::check(const View& view, base::Moment moment) {
    std::vector<Alarm> changed;
    seen_.clear();
    check_agents(view, moment, changed);
    check_agent_problems(view.fleet, moment, changed);
    check_copies(view, moment, changed);
    check_sinks(view.sinks, moment, changed);
    end_test_event(moment, changed);
    std::erase_if(changed_at_, [this](const auto& item) { return !alarms_.contains(item.first); });
    std::erase_if(seen_since_, [this](const auto& item) { return !seen_.contains(item.first); });
    return changed;
}

void SelfMonitoring::check_agents(const View& view, base::Moment moment, Changed& changed) {
    RollCall call;
    std::map<base::HostId, base::TimePoint> lost_since;
    for (const auto& [host, agent] : view.fleet.agents()) {
        if (agent.present()) {
            ++call.present;
            clear(id_of(kAgentLost, host.str()), "connected", moment, changed);
            clear(id_of(kHostUnreachable, host.str()), "connected", moment, changed);
        } else if (view.connected_elsewhere(host)) {
            ++call.watched;
            clear(id_of(kAgentLost, host.str()), "connected to another controller", moment, changed);
            clear(id_of(kHostUnreachable, host.str()), "connected to another controller", moment, changed);
        } else if (unreachable(host, agent)) {
            if (!view.watched_by_peer(host) && !view.asked_about(host)) raise(host_unreachable(host), moment, changed);
        } else if (!lasted_away(host, agent, lost_since, moment)) {
            ++call.awaited;
        } else if (view.watched_by_peer(host)) {
            ++call.watched;
        } else {
            call.lost.push_back(host);
        }
    }
    lost_since_ = std::move(lost_since);
    raise_lost(call, moment, changed);
    clear_removed(view.fleet, moment, changed);
}

/// Counted from when we first saw it away: when we ourselves were stopped, all are away at first.
bool SelfMonitoring::lasted_away(const base::HostId& host, const Agent& agent,
                                 std::map<base::HostId, base::TimePoint>& lost_since, base::Moment moment) const {
    const auto before = lost_since_.find(host);
    const base::TimePoint since = before == lost_since_.end() ? moment.steady : before->second;
    lost_since.emplace(host, since);
    const base::Millis patience =
        agent.seen_since_start ? options_.agent_lost_after : std::max(options_.agent_lost_after, options_.start_grace);
    return moment.steady - since >= patience;
}

/// Whether all are lost shows when the last of them has had its time.
void SelfMonitoring::raise_lost(const RollCall& call, base::Moment moment, Changed& changed) {
    const Alarm all = all_agents_lost(options_.controller);
    const bool several = call.lost.size() + call.awaited > 1;
    if (several && call.present == 0 && call.watched == 0) {
        if (call.awaited == 0) raise(all, moment, changed);
        return;
    }
    clear(all.id, "connected", moment, changed);
    for (const base::HostId& host : call.lost)
        raise(agent_lost(host), moment, changed);
}

/// The alarm outlives a restart of this controller, what it saw does not.
bool SelfMonitoring::unreachable(const base::HostId& host, const Agent& agent) const {
    return agent.unreachable || lasts(id_of(kHostUnreachable, host.str()));
}

void SelfMonitoring::clear_removed(const Fleet& fleet, base::Moment moment, Changed& changed) {
    const base::FaultId all = all_agents_lost(options_.controller).id;
    std::vector<base::FaultId> removed;
    for (const auto& [id, alarm] : alarms_) {
        const bool of_an_agent =
            alarm.kind == kAgentLost || alarm.kind == kAgentDegraded || alarm.kind == kHostUnreachable;
        if (of_an_agent && id != all && fleet.find(alarm.host) == nullptr) removed.push_back(id);
    }
    for (const base::FaultId& id : removed)
        clear(id, "forgotten", moment, changed);
}

/// As its agent reports it. While that is away, and until it has sent its list, nothing is known.
void SelfMonitoring::check_agent_problems(const Fleet& fleet, base::Moment moment, Changed& changed) {
    for (const auto& [host, agent] : fleet.agents()) {
        if (!agent.connected || !agent.reported_problems) continue;
        Alarm alarm = agent_degraded(host, agent.problems);
        if (agent.problems.empty()) {
            // An agent that has just started has not found them yet.
            const bool over = lasts(alarm.id) && lasted(id_of("over", alarm.id.str()), kDegradedPatience, moment);
            if (over) clear(alarm.id, "resolved", moment, changed);
        } else if (lasted(alarm.id, kDegradedPatience, moment)) {
            raise(std::move(alarm), moment, changed);
        }
    }
}

/// Cleared when the agents of all hosts that it names, but those removed, are there and one of the copies at most has
/// not ended: one that is only silent may go on at any moment.
void SelfMonitoring::check_copies(const View& view, base::Moment moment, Changed& changed) {
    std::set<base::FaultId> twice;
    for (const Authority::Twice& found : view.twice) {
        Alarm alarm = running_twice(found);
        twice.insert(alarm.id);
        if (lasted(alarm.id, kTwicePatience, moment)) raise(std::move(alarm), moment, changed);
    }
    const auto is_over = [&](const Alarm& alarm) {
        std::istringstream hosts(alarm.detail);
        std::size_t copies = 0;
        for (std::string name; hosts >> name;) {
            const base::HostId host(name);
            const Agent* agent = view.fleet.find(host);
            // A host that was removed has no copy.
            if (agent != nullptr && (!agent->connected || !agent->synced)) return false;
            const model::GuestReport* report = view.fleet.report_of(host, alarm.guest);
            if (report != nullptr && may_run(*report)) ++copies;
        }
        return copies < 2;
    };
    std::vector<base::FaultId> over;
    for (const auto& [id, alarm] : alarms_) {
        if (alarm.kind == kRunningTwice && !twice.contains(id) && is_over(alarm)) over.push_back(id);
    }
    for (const base::FaultId& id : over)
        clear(id, "one copy is left", moment, changed);
}

/// A condition that is seen now has been there for that long.
bool SelfMonitoring::lasted(const base::FaultId& id, base::Millis patience, base::Moment moment) {
    seen_.insert(id);
    const auto [at, is_new] = seen_since_.try_emplace(id, moment.steady);
    return moment.steady - at->second >= patience;
}

/// An alarm of before a restart lasts until its sink has answered: of a receiver that hangs that it is away is known
/// only after the first timeout.
void SelfMonitoring::check_sinks(const std::vector<SinkState>& sinks, base::Moment moment, Changed& changed) {
    std::set<base::FaultId> failing;
    for (const SinkState& sink : sinks) {
        if (!sink.away_since && sink.answers) continue;
        Alarm alarm = sink_failing(options_.controller, sink);
        if (is_unknown(sink, alarm.id, moment)) continue;
        failing.insert(alarm.id);
        if (sink.away_since && moment.steady - *sink.away_since >= options_.sink_failing_after)
            raise(std::move(alarm), moment, changed);
    }
    std::vector<base::FaultId> well;
    for (const auto& [id, alarm] : alarms_) {
        if (alarm.kind == kSinkFailing && !failing.contains(id)) well.push_back(id);
    }
    for (const base::FaultId& id : well) {
        const auto sink = std::find_if(sinks.begin(), sinks.end(), [&](const SinkState& state) {
            return sink_failing(options_.controller, state).id == id;
        });
        const char* why = sink == sinks.end() ? "it is no longer configured"
                          : sink->answers     ? "delivers"
                                              : "nothing is to be sent to it any more";
        clear(id, why, moment, changed);
    }
}

/// It failed, and nothing is to be sent to it any more, as when another controller delivers: nothing would show that it
/// is back.
bool SelfMonitoring::is_unknown(const SinkState& sink, const base::FaultId& alarm, base::Moment moment) {
    if (sink.away_since || !sink.idle) return false;
    return lasted(id_of("idle", alarm.str()), options_.sink_failing_after, moment);
}

std::optional<Alarm> SelfMonitoring::open_test_event(base::Moment moment) {
    Changed changed;
    raise(test_event(options_.controller), moment, changed);
    if (changed.empty()) return std::nullopt;
    test_event_until_ = moment.steady + kTestEventLasts;
    return changed.front();
}

void SelfMonitoring::end_test_event(base::Moment moment, Changed& changed) {
    if (moment.steady >= test_event_until_)
        clear(test_event(options_.controller).id, "the test has ended", moment, changed);
}

void SelfMonitoring::raise(Alarm alarm, base::Moment moment, Changed& changed) {
    if (closed_.contains(alarm.id)) {
        if (alarms_.at(alarm.id).detail == alarm.detail) return;
        release(alarm.id);  // another cause than the one that the operator knew
    }
    const auto known = alarms_.find(alarm.id);
    if (known != alarms_.end()) {
        if (known->second.open()) return update(known->second, alarm, moment, changed);
        alarm.revision = known->second.revision + 1;  // its clear is still on its way
    } else {
        alarm.revision = last_revision(alarm.id) + 1;
    }
    alarm.opened_at = moment.wall;
    alarm.updated_at = moment.wall;
    changed_at_[alarm.id] = moment.steady;
    changed.push_back(alarm);
    alarms_.insert_or_assign(alarm.id, std::move(alarm));
}

void SelfMonitoring::update(Alarm& known, const Alarm& found, base::Moment moment, Changed& changed) {
    // A sink that was lost before a restart has no error yet.
    const bool told = found.reason.empty() || known.reason == found.reason;
    if (known.detail == found.detail && told) return;
    // By the steady clock: the wall clock may be set back. One of before a restart may be updated at once.
    const auto before = changed_at_.find(known.id);
    if (before != changed_at_.end() && moment.steady - before->second < kUpdateSpacing) return;
    changed_at_[known.id] = moment.steady;
    ++known.revision;
    known.updated_at = moment.wall;
    known.detail = found.detail;
    known.reason = found.reason;
    changed.push_back(known);
}

void SelfMonitoring::clear(const base::FaultId& id, const char* why, base::Moment moment, Changed& changed) {
    if (closed_.contains(id)) return release(id);
    const auto known = alarms_.find(id);
    if (known == alarms_.end() || !known->second.open()) return;
    known->second = ended_alarm(known->second, why, moment.wall);
    changed.push_back(known->second);
}

void SelfMonitoring::clock_was_set(base::WallTime::duration by) {
    for (auto& [id, alarm] : alarms_)
        move_times(alarm, by);
}

/// What it was goes with its last delivery.
void SelfMonitoring::release(const base::FaultId& id) {
    closed_.erase(id);
    released_.push_back(id);
    if (finished_.erase(id) > 0) alarms_.erase(id);
}

bool SelfMonitoring::open(const base::FaultId& id) const {
    const auto known = alarms_.find(id);
    return known != alarms_.end() && known->second.open();
}

bool SelfMonitoring::decided(const base::HostId& host) const {
    return lasts(agent_lost_id(host)) || lasts(id_of(kHostUnreachable, host.str()));
}

std::optional<Alarm> SelfMonitoring::close(const base::FaultId& alarm, base::Moment moment) {
    Changed changed;
    if (open(alarm)) clear(alarm, kClosedEntry, moment, changed);
    if (changed.empty()) return std::nullopt;
    if (changed.front().kind != kTestEvent) closed_.insert(alarm);  // that has no cause which lasts
    return changed.front();
}

std::optional<Alarm> SelfMonitoring::hold_closed(const base::FaultId& id, const Fleet& fleet, base::WallTime closed_at,
                                                 base::Moment moment) {
    for (const auto& [host, agent] : fleet.agents()) {
        for (Alarm alarm : {agent_lost(host), host_unreachable(host)}) {
            if (alarm.id != id) continue;
            if (agent.present() || agent.since > closed_at || lasts(id)) return std::nullopt;
            if (const auto known = alarms_.find(id); known != alarms_.end()) {
                closed_.insert(id);  // its end is still on its way
                return known->second;
            }
            alarm.opened_at = alarm.updated_at = agent.since;
            alarm.cleared_at = moment.wall;
            alarm.clear_reason = kClosedEntry;
            restore_closed(alarm);
            return alarm;
        }
    }
    return std::nullopt;
}

void SelfMonitoring::restore_closed(const Alarm& alarm) {
    const bool is_delivered = alarms_.insert_or_assign(alarm.id, alarm).second;
    if (is_delivered) finished_.insert(alarm.id);
    closed_.insert(alarm.id);
}

/// One that was closed is still needed: of what it is about tells when its cause has ended.
void SelfMonitoring::erase(const base::FaultId& alarm) {
    if (closed_.contains(alarm)) {
        finished_.insert(alarm);
    } else if (!open(alarm)) {
        alarms_.erase(alarm);
    }
}

std::size_t SelfMonitoring::open_of_kind(std::string_view kind, const std::function<bool(const Alarm&)>& which) const {
    return static_cast<std::size_t>(std::count_if(alarms_.begin(), alarms_.end(), [&](const auto& item) {
        return item.second.kind == kind && item.second.open() && which(item.second);
    }));
}

}  // namespace vitalwire::controller
