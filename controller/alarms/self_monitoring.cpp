#include "controller/alarms/self_monitoring.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace vitalwire::controller {

namespace {

base::FaultId id_of(std::string_view kind, const std::string& about) {
    return base::FaultId(std::string(kind) + "." + about);
}

Alarm agent_lost(const base::HostId& host) {
    Alarm alarm;
    alarm.id = id_of(kAgentLost, host.str());
    alarm.kind = kAgentLost;
    alarm.severity = "critical";
    alarm.host = host;
    return alarm;
}

/// It is rather we who are cut off: one alarm, of our own host.
Alarm all_agents_lost(const base::HostId& controller) {
    Alarm alarm = agent_lost(controller);
    alarm.id = id_of(kAgentLost, controller.str() + ".all");
    alarm.detail = "all agents";
    return alarm;
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

}  // namespace

std::vector<Alarm> SelfMonitoring::look(const Fleet& fleet, const std::vector<SinkState>& sinks, Moment moment) {
    std::vector<Alarm> changed;
    look_at_agents(fleet, moment, changed);
    look_at_sinks(sinks, moment, changed);
    return changed;
}

/// Counted from when we first saw it away: when we ourselves were stopped, all are away at first.
void SelfMonitoring::look_at_agents(const Fleet& fleet, Moment moment, std::vector<Alarm>& changed) {
    std::map<base::HostId, base::TimePoint> lost_since;
    std::vector<base::HostId> lost;
    for (const auto& [host, agent] : fleet.agents()) {
        if (agent.connected) {
            clear(id_of(kAgentLost, host.str()), "connected", moment, changed);
            continue;
        }
        const auto before = lost_since_.find(host);
        const base::TimePoint since = before == lost_since_.end() ? moment.now : before->second;
        lost_since.emplace(host, since);
        const base::Millis patience = agent.heard_since_start
                                          ? options_.agent_lost_after
                                          : std::max(options_.agent_lost_after, options_.start_grace);
        if (moment.now - since >= patience) lost.push_back(host);
    }
    lost_since_ = std::move(lost_since);
    const Alarm all = all_agents_lost(options_.controller);
    const bool cut_off = lost.size() > 1 && lost.size() == fleet.agents().size();
    if (cut_off) {
        raise(all, moment, changed);
    } else {
        clear(all.id, "connected", moment, changed);
        for (const base::HostId& host : lost)
            raise(agent_lost(host), moment, changed);
    }
    std::vector<base::FaultId> forgotten;
    for (const auto& [id, alarm] : alarms_) {
        const bool of_an_agent = alarm.kind == kAgentLost && id != all.id;
        if (of_an_agent && fleet.find(alarm.host) == nullptr) forgotten.push_back(id);
    }
    for (const base::FaultId& id : forgotten)
        clear(id, "forgotten", moment, changed);
}

void SelfMonitoring::look_at_sinks(const std::vector<SinkState>& sinks, Moment moment, std::vector<Alarm>& changed) {
    std::set<base::FaultId> failing;
    for (const SinkState& sink : sinks) {
        if (!sink.away_since) continue;
        Alarm alarm = sink_failing(options_.controller, sink);
        failing.insert(alarm.id);
        if (moment.now - *sink.away_since >= options_.sink_failing_after) raise(std::move(alarm), moment, changed);
    }
    std::vector<base::FaultId> well;
    for (const auto& [id, alarm] : alarms_) {
        if (alarm.kind == kSinkFailing && !failing.contains(id)) well.push_back(id);
    }
    for (const base::FaultId& id : well)
        clear(id, "delivers", moment, changed);
}

void SelfMonitoring::raise(Alarm alarm, Moment moment, std::vector<Alarm>& changed) {
    const auto known = alarms_.find(alarm.id);
    if (known != alarms_.end()) {
        if (known->second.open()) return;
        alarm.revision = known->second.revision + 1;  // its clear is still on its way
    }
    alarm.opened_at = moment.wall;
    alarm.updated_at = moment.wall;
    changed.push_back(alarm);
    alarms_.insert_or_assign(alarm.id, std::move(alarm));
}

void SelfMonitoring::clear(const base::FaultId& id, const char* why, Moment moment, std::vector<Alarm>& changed) {
    const auto known = alarms_.find(id);
    if (known == alarms_.end() || !known->second.open()) return;
    Alarm& alarm = known->second;
    ++alarm.revision;
    alarm.updated_at = moment.wall;
    alarm.cleared_at = moment.wall;
    alarm.clear_reason = why;
    changed.push_back(alarm);
}

void SelfMonitoring::forget(const base::FaultId& alarm) {
    const auto known = alarms_.find(alarm);
    if (known != alarms_.end() && !known->second.open()) alarms_.erase(known);
}

std::size_t SelfMonitoring::open_of_kind(std::string_view kind) const {
    return static_cast<std::size_t>(std::count_if(alarms_.begin(), alarms_.end(), [&](const auto& item) {
        return item.second.kind == kind && item.second.open();
    }));
}

}  // namespace vitalwire::controller
