// AlarmManager: the faults of which agents are delivered from here.

#include "controller/alarms/alarm_manager.hpp"

namespace vitalwire::controller {

void AlarmManager::agent_up(const base::HostId& host) {
    in_doubt_.erase(host);
    if (!delivers(host)) hand_over(host);  // the snapshot that follows shows what else has ended
}

void AlarmManager::agent_down(const base::HostId& host, bool in_doubt) {
    list_.table().abandon_snapshot(host);
    if (!in_doubt || !delivers(host)) return;
    in_doubt_.insert(host);
    hand_over(host);
}

/// To another primary. What has ended is cleared from here where its raise has been sent from here, be it that this
/// arrives only now.
void AlarmManager::hand_over(const base::HostId& host) {
    for (const TrackedFault& tracked : list_.of_host(host))
        sinks_.withdraw(to_alarm(tracked));
    for (const TrackedFault& tracked : list_.of_host(host)) {
        if (!tracked.fault.open()) finish(tracked, false);
    }
    sinks_.pump();  // a sink that failed may have nothing left to send
}

bool AlarmManager::delivers(const base::HostId& host) const {
    const Agent* agent = context_.fleet.find(host);
    if (agent == nullptr) return grace_over_;
    if (agent->connected) return agent->is_primary;
    if (in_doubt_.contains(host)) return false;
    return agent->is_primary && (agent->seen_since_start || grace_over_);
}

}  // namespace vitalwire::controller
