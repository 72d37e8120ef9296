// Core: alarms about the suite itself that another controller has raised, and cannot tell of or end itself.
#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "controller/core/core.hpp"

namespace vitalwire::controller {

using base::Moment;

namespace {

/// A controller needs no longer to have its alarm acknowledged, or to end one that an operator has closed elsewhere.
constexpr base::Millis kPeerPatience{10'000};
/// A controller that has not answered for that long is not just being restarted.
constexpr base::Millis kPeerLost{180'000};
constexpr const char* kCannotDeliver = "another controller cannot deliver";

bool is_acknowledged(const Journal::Record& record, base::WallTime since) {
    const auto has = [since](const Journal::Part& part) {
        return std::any_of(part.entries.begin(), part.entries.end(), [since](const JournalEntry& entry) {
            return entry.what == kAcknowledgedEntry && entry.at >= since;
        });
    };
    return has(record) ||
           std::any_of(record.others.begin(), record.others.end(), [&](const auto& item) { return has(item.second); });
}

std::string failing(const Alarm& alarm) {
    return alarm.host.str() + ": sink " + alarm.detail + (alarm.reason.empty() ? "" : " (" + alarm.reason + ")");
}

}  // namespace

void Core::check_peer_alarms(Moment moment) {
    std::map<base::FaultId, base::TimePoint> since;
    relay_failures(since, moment);
    end_refuted(since, moment);
    peer_alarms_since_ = std::move(since);
    end_closed_for_peers(moment);
}

/// The controllers that answer take turns by name, so that one of them does it.
bool Core::peer_alarm_lasts(const base::FaultId& id, base::Millis patience, PeerAlarmsSince& since,
                            Moment moment) const {
    const auto before = peer_alarms_since_.find(id);
    since[id] = before == peer_alarms_since_.end() ? moment.steady : before->second;
    const auto turn = static_cast<int>(peer_agents_.before(options_.monitoring.controller.str()));
    return moment.steady - since[id] >= patience + turn * kPeerPatience;
}

bool Core::is_of_peers_sink(const Alarm& alarm) const {
    return alarm.kind == kSinkFailing && alarm.host != options_.monitoring.controller;
}

/// Of a controller that reaches no receiver at all nobody would learn that.
void Core::relay_failures(PeerAlarmsSince& since, Moment moment) {
    std::vector<Alarm> relayed;
    std::string problem;
    for (const base::FaultId& id : alarms_.journal().alarms()) {
        const Journal::Record& record = *alarms_.journal().find(id);
        const Alarm* theirs = alarm_elsewhere(record).second;
        if (theirs == nullptr || !is_of_peers_sink(*theirs)) continue;
        const auto own = alarms_.internal().all().find(id);
        if (own != alarms_.internal().all().end()) {
            if (theirs->revision > own->second.revision) relayed.push_back(*theirs);
            if (own->second.open()) problem += (problem.empty() ? "" : "; ") + failing(*theirs);
            continue;
        }
        const Notifier* sink = alarms_.find_sink(theirs->detail);
        const bool fails_here = sink != nullptr && sink->queue().away_since();
        if (!theirs->open() || fails_here || is_acknowledged(record, theirs->opened_at)) continue;
        if (peer_alarm_lasts(id, kPeerPatience, since, moment)) relayed.push_back(*theirs);
    }
    for (const Alarm& alarm : relayed) {
        log::warning("alarm of another controller is delivered from here",
                     {{"alarm", alarm.id}, {"raised_by", alarm.host}, {"open", alarm.open()}});
        alarms_.internal().deliver(alarm);
    }
    context_.problems.set(kCannotDeliver, problem);
}

/// The agent is connected here, and who had lost it is gone itself.
void Core::end_refuted(PeerAlarmsSince& since, Moment moment) {
    std::vector<Alarm> ended;
    for (const base::FaultId& id : alarms_.journal().alarms()) {
        const Journal::Record& record = *alarms_.journal().find(id);
        const auto [raiser, theirs] = alarm_elsewhere(record);
        if (theirs == nullptr || !theirs->open() || alarms_.internal().contains(id)) continue;
        if (alarm_of(record).second != theirs || peer_agents_.answers(raiser)) continue;
        const Agent* agent = is_of_lost_agent(*theirs) ? fleet_.find(canonical(theirs->host)) : nullptr;
        if (agent == nullptr || !agent->present()) continue;
        if (peer_alarm_lasts(id, kPeerLost, since, moment))
            ended.push_back(ended_alarm(*theirs, "connected", moment.wall));
    }
    for (const Alarm& alarm : ended) {
        log::info("alarm of a controller that is gone has ended, the agent is connected here", {{"alarm", alarm.id}});
        alarms_.internal().end_for_another(alarm);
    }
}

/// Who raised it ends it itself, if it is there and knows of it.
void Core::close_for_peer(const base::FaultId& id, const std::string& raiser, Moment moment) {
    closed_for_peers_[id] = moment.steady + (peer_agents_.answers(raiser) ? kPeerPatience : base::Millis::zero());
    end_closed_for_peers(moment);
}

void Core::end_closed_for_peers(Moment moment) {
    std::vector<Alarm> ended;
    std::erase_if(closed_for_peers_, [&](const auto& item) {
        const Journal::Record* record = alarms_.journal().find(item.first);
        const Alarm* theirs = record == nullptr ? nullptr : alarm_elsewhere(*record).second;
        if (theirs == nullptr || !theirs->open() || !record->alarm || record->alarm->open()) return true;
        if (moment.steady < item.second) return false;
        ended.push_back(*record->alarm);
        return true;
    });
    for (const Alarm& alarm : ended)
        alarms_.internal().end_for_another(alarm);
}

}  // namespace vitalwire::controller
