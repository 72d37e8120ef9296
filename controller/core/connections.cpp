// Core, as far as the connections of agents are concerned: who is admitted, who has come, and who has gone.
#include <algorithm>

#include "base/log.hpp"
#include "controller/core/core.hpp"

namespace vitalwire::controller {

using base::HostId;
using base::Moment;

namespace {

/// As long as an agent is connected by one URL of ours, another one is tried no more often.
constexpr base::Millis kSecondUrlRetry{10'000};
constexpr base::Millis kRetryWhileAwaited{1'000};
/// A machine that is known to use another one's name has to wait for longer until it is taken for that one.
constexpr base::Millis kClonePatience{600'000};
constexpr base::Millis kCloneRetry{10'000};
constexpr const char* kTooOften = "this agent comes back, sends its state or changes its primary too often";

}  // namespace

std::optional<bus::Rejected> Core::admit(std::size_t port, const bus::Hello& hello, const std::string& peer,
                                         Moment moment) {
    const Session newcomer{port, hello.host, peer, hello.instance, hello.state, hello.state_starts, hello.boot};
    const HostId host = canonical(hello.host);
    const auto names_us = [this](const std::vector<std::string>& controllers) {
        return std::find(controllers.begin(), controllers.end(), options_.monitoring.controller.str()) !=
               controllers.end();
    };
    const Agent* agent = fleet_.find(host);
    const bool given_up = agent != nullptr && names_us(agent->controllers) && !names_us(hello.controllers);
    const Sessions::Holder holder{silence_.watches(host) && !silence_.silent(host), given_up,
                                  agent == nullptr || may_be_restarted(hello, *agent)};
    auto rejected = sessions_.admit(host, newcomer, holder, moment.steady);
    if (!rejected && agent != nullptr) {
        const bool is_clone = sessions_.is_clone(host, newcomer, agent->boot, moment.steady);
        if (awaits_return(*agent, hello, is_clone ? kClonePatience : kAgentPatience, moment)) {
            rejected = bus::Rejected{"the agent named " + host.str() + " is expected back, and this is another one",
                                     is_clone ? kCloneRetry : kRetryWhileAwaited};
            if (is_clone) sessions_.note_rival(host, newcomer, false, moment.steady);
        }
    }
    if (!rejected) {
        if (const auto pause = pacing_.connect(host, moment.steady)) rejected = bus::Rejected{kTooOften, *pause};
    }
    if (rejected) ++counters_.refused;
    return rejected;
}

/// The agent that is known may only be restarting, or is this controller: one that is not its continuation has lost its
/// state, or is a clone, which must not speak for the guests of another host in that moment.
bool Core::awaits_return(const Agent& known, const bus::Hello& hello, base::Millis patience, Moment moment) {
    if (known.connected || hello.state.empty() || known.state.empty()) return false;
    return moment.steady - known.away_since < patience && !may_be_restarted(hello, known);
}

/// Before anything that is read after a stall is taken for what holds now.
void Core::notice_stall(Moment moment) {
    const auto stood_still = stall_guard_.event(moment, probe_due());
    if (!stood_still) return;
    log::warning("this controller stood still, nothing is sent until its agents are seen",
                 {{"ms", stood_still->count()}, {"agents", sessions_.all().size()}});
    std::vector<HostId> agents;
    for (const auto& [host, session] : sessions_.all())
        agents.push_back(host);
    stall_guard_.begin(agents, moment.steady);
    context_.output.ask_peers();
}

void Core::agent_up(std::size_t port, const bus::Hello& hello, const std::string& peer, Moment moment) {
    enter(moment);
    const HostId host = canonical(hello.host);
    const Session session{port, hello.host, peer, hello.instance, hello.state, hello.state_starts, hello.boot};
    if (hello.version != bus::kBusVersion) {
        ++counters_.refused;
        const std::string version = std::to_string(bus::kBusVersion);
        return context_.output.send(session, bus::Rejected{"this controller speaks version " + version, {}});
    }
    if (const Session* found = sessions_.find(host); found != nullptr && found->port != port) {
        const Session earlier = *found;
        context_.output.send(earlier, bus::Rejected{"this agent has connected by another URL", kSecondUrlRetry, true});
        agent_down(earlier.port, earlier.name, "replaced by a new connection", moment);
    }
    remember_for_hand_back(host, hello);
    sessions_.open(host, session);
    stall_guard_.connected(host, moment.steady);
    policies_.erase(host);
    maintenance_sync_.erase(host);
    const bool is_new = fleet_.find(host) == nullptr;
    fleet_.up(host, hello, peer, moment.wall);
    fleet_.seen(host, moment);
    succession_.connected(host, is_new);
    put_agent(host);
    if (!pacing_.comes_too_often(host))
        log::info("agent connected",
                  {{"host", host}, {"peer", peer}, {"version", hello.agent_version}, {"primary", hello.is_primary}});
    alarms_.agent_up(host);
    groups_.drop_kept_of(host);
    groups_.expect(host);
    orphans_.agent_up(host);
    welcome(host, moment);
    sync_policies(host);
}

bool Core::take_round(const HostId& host, Moment moment) {
    const auto pause = pacing_.take_round(host, moment.steady);
    if (!pause) return true;
    ++counters_.refused;
    const Session session = *sessions_.find(host);
    context_.output.send(session, bus::Rejected{kTooOften, *pause});
    agent_down(session.port, session.name, kTooOften, moment);
    return false;
}

void Core::agent_down(std::size_t port, const HostId& name, const std::string& why, Moment moment) {
    const HostId host = canonical(name);
    if (!known_session(port, host)) return;
    enter(moment);
    sessions_.close(host);
    silence_.forget(host);
    policies_.erase(host);
    maintenance_sync_.erase(host);
    to_hand_back_.erase(host);
    fleet_.down(host, moment);
    put_agent(host);
    alarms_.agent_down(host, stall_guard_.gone(host, moment.steady));
    groups_.agent_down(host);
    if (!pacing_.comes_too_often(host)) log::warning("agent disconnected", {{"host", host}, {"why", why}});
}

void Core::port_closed(std::size_t port, Moment moment) {
    std::vector<HostId> names;
    for (const auto& [host, session] : sessions_.all()) {
        if (session.port == port) names.push_back(session.name);
    }
    for (const HostId& name : names)
        agent_down(port, name, "its port is no longer configured", moment);
}

void Core::agent_alive(std::size_t port, const HostId& name, Moment moment) {
    const HostId host = canonical(name);
    if (!known_session(port, host)) return;
    enter(moment);
    stall_guard_.heard(host, moment.steady);
    succession_.heard(host);
    sessions_.heard(host, moment.steady);
    fleet_.seen(host, moment);
    if (silence_due_ == base::kNever) silence_due_ = moment.steady;
    if (!silence_.alive(host, moment.steady)) return;
    fleet_.seen_again(host);
    groups_.reachability_changed(host, moment.wall);
    log::info("agent seen again", {{"host", host}});
    monitor(moment);
}

}  // namespace vitalwire::controller
