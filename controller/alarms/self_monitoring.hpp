#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/moment.hpp"
#include "controller/fleet/authority.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

/// The id of the alarm that the host's agent is lost.
base::FaultId agent_lost_id(const base::HostId& host);

/// Its agent is lost, or its host unreachable; not that a controller has lost all of them.
bool is_of_lost_agent(const Alarm& alarm);
/// The alarm as it ends.
Alarm ended_alarm(Alarm alarm, std::string_view why, base::WallTime now);

inline constexpr std::chrono::seconds kTestEventLasts{60};

/// Conditions of the suite itself, as alarms on hosts: an agent that is lost, a sink that fails. No I/O, no clock;
/// `check` is called about once a second.
///
/// An alarm's id names what it is about, so two controllers that lose the same agent raise the same alarm. An agent
/// that was stopped in order is lost like any other: nobody watches the guests of its host. When all are lost it is
/// rather the controller that is cut off (from the brokers, from the network): that is one alarm, on its own host. An
/// agent that closes its connection has a kernel that lives; one that falls silent perhaps has none, and is notified at
/// once.
class SelfMonitoring {
public:
    struct Options {
        base::HostId controller;              ///< on whose host a failing sink is an alarm
        base::Millis agent_lost_after{3000};  ///< longer than a restart of the agent takes
        base::Millis start_grace{10'000};     ///< for agents to return after our own start
        base::Millis sink_failing_after{30'000};
    };
    struct SinkState {
        std::string name;
        std::optional<base::TimePoint> away_since;
        std::string error;
        /// As SinkQueue's: false after a start, when it may be away for long without our knowing it yet.
        bool answers = true;
        bool idle = false;  ///< nothing is to be sent to it
    };

    struct View {
        const Fleet& fleet;
        std::vector<SinkState> sinks;
        std::vector<Authority::Twice> twice;
        /// Another controller is the primary of this lost agent and is alive, or may be: it raises the alarm.
        std::function<bool(const base::HostId&)> watched_by_peer = [](const auto&) { return false; };
        /// The agent is not lost: it is connected to another controller, and this one has lost its own path to it.
        std::function<bool(const base::HostId&)> connected_elsewhere = [](const auto&) { return false; };
        /// Another controller is being asked whether the agent is connected there.
        std::function<bool(const base::HostId&)> asked_about = [](const auto&) { return false; };
    };

    explicit SelfMonitoring(Options options) : options_(std::move(options)) {}

    /// The last revision of an alarm that was open before, as far as that is known: receivers tell one time from the
    /// next by it.
    std::function<std::uint64_t(const base::FaultId&)> last_revision = [](const base::FaultId&) { return 0; };

    void set_patience(base::Millis agent_lost_after, base::Millis sink_failing_after) {
        options_.agent_lost_after = agent_lost_after;
        options_.sink_failing_after = sink_failing_after;
    }

    /// It was raised before a restart, and not all of it is delivered.
    void restore(const Alarm& alarm) { alarms_.insert_or_assign(alarm.id, alarm); }
    /// An operator had closed it before a restart, and its cause was there still.
    void restore_closed(const Alarm& alarm);
    /// The alarms that opened, changed or cleared.
    std::vector<Alarm> check(const View& view, base::Moment moment);
    /// The clock was set by that much.
    void clock_was_set(base::WallTime::duration by);
    /// It is over and delivered everywhere.
    void erase(const base::FaultId& alarm);

    /// Ends an open alarm by the operator's word; it is raised again when its cause has ended and is back. Absent when
    /// none is open.
    std::optional<Alarm> close(const base::FaultId& alarm, base::Moment moment);
    /// The same of an alarm of a host that another controller has raised, and would be raised here if that were lost;
    /// absent when its cause is not there, or began after that.
    std::optional<Alarm> hold_closed(const base::FaultId& alarm, const Fleet& fleet, base::WallTime closed_at,
                                     base::Moment moment);
    /// Closed alarms whose cause has ended since the last call.
    std::vector<base::FaultId> take_released() { return std::exchange(released_, {}); }

    /// Opens an alarm that nothing is the cause of, so that an operator sees which receivers get it. It ends by
    /// `close`, or by itself after kTestEventLasts. Absent while one is open.
    std::optional<Alarm> open_test_event(base::Moment moment);

    bool open(const base::FaultId& alarm) const;
    /// It is an alarm, or was one that an operator has closed, that the agent of the host is away.
    bool decided(const base::HostId& host) const;
    std::size_t open_of_kind(
        std::string_view kind, const std::function<bool(const Alarm&)>& which = [](const auto&) { return true; }) const;

private:
    using Changed = std::vector<Alarm>;
    /// The agents that are not unreachable.
    struct RollCall {
        std::size_t present = 0;
        std::size_t awaited = 0;  ///< away, and not for long enough
        std::size_t watched = 0;  ///< lost, and a peer's, or connected to one
        std::vector<base::HostId> lost;
    };

    void check_agents(const View& view, base::Moment moment, Changed& changed);
    bool lasted_away(const base::HostId& host, const Agent& agent, std::map<base::HostId, base::TimePoint>& lost_since,
                     base::Moment moment) const;
    void raise_lost(const RollCall& call, base::Moment moment, Changed& changed);
    void clear_removed(const Fleet& fleet, base::Moment moment, Changed& changed);
    bool unreachable(const base::HostId& host, const Agent& agent) const;
    /// Open, or closed by an operator while its cause lasts.
    bool lasts(const base::FaultId& id) const { return open(id) || closed_.contains(id); }
    void check_agent_problems(const Fleet& fleet, base::Moment moment, Changed& changed);
    void check_copies(const View& view, base::Moment moment, Changed& changed);
    void check_sinks(const std::vector<SinkState>& sinks, base::Moment moment, Changed& changed);
    bool lasted(const base::FaultId& id, base::Millis patience, base::Moment moment);
    bool is_unknown(const SinkState& sink, const base::FaultId& alarm, base::Moment moment);
    void end_test_event(base::Moment moment, Changed& changed);
    void raise(Alarm alarm, base::Moment moment, Changed& changed);
    /// Its cause is another one now.
    void update(Alarm& known, const Alarm& found, base::Moment moment, Changed& changed);
    void release(const base::FaultId& id);
    void clear(const base::FaultId& id, const char* why, base::Moment moment, Changed& changed);

    Options options_;
    std::map<base::FaultId, Alarm> alarms_;
    std::set<base::FaultId> closed_;    ///< by an operator; the cause of each lasts
    std::set<base::FaultId> finished_;  ///< of them, those that are delivered everywhere
    std::vector<base::FaultId> released_;
    std::map<base::HostId, base::TimePoint> lost_since_;
    std::map<base::FaultId, base::TimePoint> changed_at_;  ///< raised, or its cause changed
    std::map<base::FaultId, base::TimePoint> seen_since_;  ///< conditions that must last
    std::set<base::FaultId> seen_;                         ///< by this check
    base::TimePoint test_event_until_{};                   ///< one of before a restart has had its time
};

}  // namespace vitalwire::controller
