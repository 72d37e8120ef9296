#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// What the suite suffers from itself, as alarms on hosts: an agent that is lost, a sink that fails. No I/O, no clock;
/// `look` is called about once a second.
///
/// An alarm's id says what it is about, so two controllers that lose the same agent raise the same alarm. An agent that
/// was stopped in order is lost like any other: nobody watches the guests of its host. When all are lost it is rather
/// the controller that is cut off (from the brokers, from the network): that is one alarm, on its own host.
class SelfMonitoring {
public:
    struct Options {
        base::HostId controller;              ///< on whose host a failing sink is an alarm
        base::Millis agent_lost_after{3000};  ///< longer than a restart of the agent takes
        base::Millis start_grace{10'000};     ///< for agents to return after our own start
        base::Millis sink_failing_after{30'000};
    };
    struct Moment {
        base::TimePoint now{};
        base::WallTime wall{};
    };
    struct SinkState {
        std::string name;
        std::optional<base::TimePoint> away_since;
        std::string error;
    };

    explicit SelfMonitoring(Options options) : options_(std::move(options)) {}

    /// It was raised before a restart, and is not told to the end.
    void restore(const Alarm& alarm) { alarms_.insert_or_assign(alarm.id, alarm); }
    /// The alarms that opened or cleared.
    std::vector<Alarm> look(const Fleet& fleet, const std::vector<SinkState>& sinks, Moment moment);
    /// It is over and told everywhere.
    void forget(const base::FaultId& alarm);

    std::size_t open_of_kind(std::string_view kind) const;

private:
    void look_at_agents(const Fleet& fleet, Moment moment, std::vector<Alarm>& changed);
    void look_at_sinks(const std::vector<SinkState>& sinks, Moment moment, std::vector<Alarm>& changed);
    void raise(Alarm alarm, Moment moment, std::vector<Alarm>& changed);
    void clear(const base::FaultId& id, const char* why, Moment moment, std::vector<Alarm>& changed);

    Options options_;
    std::map<base::FaultId, Alarm> alarms_;
    std::map<base::HostId, base::TimePoint> lost_since_;
};

}  // namespace vitalwire::controller
