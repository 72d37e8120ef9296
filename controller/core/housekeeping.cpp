// What a core does about once a second: what no message reports.
#include <algorithm>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "controller/core/core.hpp"

namespace vitalwire::controller {

using base::HostId;
using base::Moment;

namespace {

constexpr base::Millis kHousekeeping{1000};
/// An agent whose primary is gone with it: nobody else delivers its faults any more.
constexpr base::Millis kAdoptAfter{10'000};
/// The same while no agent at all is connected: then it is rather this controller that is cut off.
constexpr base::Millis kAdoptAlone{60'000};
/// Of several controllers that could, the first by name adopts: so long each of the others waits for the one before it.
constexpr base::Millis kAdoptTurn{10'000};
/// Peers that have not told yet of an agent which fell silent are asked again.
constexpr base::Millis kAskAgain{100};
constexpr std::size_t kNamed = 5;
constexpr base::Duration kTimeSent = std::chrono::minutes(10);

// What the board of problems calls them.
constexpr const char* kRivals = "several agents have the same name";
constexpr const char* kHeldBack = "agents are held back, because they make too much work";
constexpr const char* kCopies = "several hosts have one agent state";
constexpr const char* kWithheld = "hosts report faults of guests that the inventory has elsewhere";
constexpr const char* kClaims = "agents claim guests that are being moved to another host";
constexpr const char* kCopiesOfNowhere = "agents claim that guests answer which were never on their hosts";
constexpr const char* kContradicted = "the inventory has guests elsewhere whose agent reports an open fault";
constexpr const char* kNoAgent = "hosts of the inventory have no agent of that name";
constexpr const char* kElsewhere = "agents are connected to other controllers only";
constexpr const char* kNoHost = "agents have guests, and no host of that name in the inventory";

std::string not_connected(const HostId& host) {
    return "agent " + host.str() + " is not connected";
}
std::string reports_rejected(const HostId& host) {
    return "reports of agent " + host.str() + " are rejected";
}

/// "a; b; c and 4 more".
class Listing {
public:
    void add(const std::string& item) {
        if (++count_ <= kNamed) text_ += (text_.empty() ? "" : "; ") + item;
    }
    std::string text() const {
        return count_ <= kNamed ? text_ : text_ + " and " + std::to_string(count_ - kNamed) + " more";
    }

private:
    std::string text_;
    std::size_t count_ = 0;
};

}  // namespace

void Core::housekeeping(Moment moment) {
    check_agents(moment);
    groups_.set_missing(missing_agents(moment), moment.wall);
    send_time(moment);
    retry_rejected(moment);
    end_by_evidence(moment);
    expire_maintenance(moment);
    groups_.deliver_kept(moment.steady);
    alarms_.release_withheld();
    adopt_orphaned_hosts(moment);
    if (asks_peers()) context_.output.ask_peers();
    monitor(moment);
    check_peer_alarms(moment);
    show_problems(moment);
    housekeeping_due_ = moment.steady + kHousekeeping;
}

void Core::enter(Moment moment) {
    now_ = moment.steady;
    notice_stall(moment);
    follow_clock(moment);
}

/// What was noted by the clock as it was, and is compared with times to come, goes with it. Agents have the new time
/// before they get times by it.
void Core::follow_clock(Moment moment) {
    const auto step = clock_.follow(moment);
    if (step == base::WallTime::duration::zero()) return;
    log::warning("the clock of this host was set; what lasts for a time lasts as long as before",
                 {{"by_s", std::chrono::round<std::chrono::seconds>(step).count()}});
    send_time(moment);
    fleet_.clock_was_set(step);
    for (const auto& [host, agent] : fleet_.agents()) {
        if (!agent.connected) put_agent(host);
    }
    for (auto& [guest, at] : removed_)
        at += step;
    alarms_.clock_was_set(step);
    self_monitoring_.clock_was_set(step);
    maintenance_.clock_was_set(step);
    for (const auto& [id, window] : maintenance_.all())
        context_.rows.put_maintenance(window);
    maintenance_sync_.check(moment.wall);
    maintenance_sync_.mark_all();
}

void Core::welcome(const HostId& host, Moment moment) {
    send(host, bus::Welcome{bus::kBusVersion, options_.monitoring.controller.str(), moment.wall});
}

/// Each agent compares its clock with what it was sent last, and goes on from there by its steady clock.
void Core::send_time(Moment moment) {
    const bool stepped = std::chrono::abs(moment.beyond_steady() - sent_time_) > FollowedClock::kStep;
    if (!stepped && moment.steady < send_time_at_) return;
    send_time_at_ = moment.steady + kTimeSent;
    sent_time_ = moment.beyond_steady();
    for (const auto& [host, agent] : fleet_.agents()) {
        if (agent.connected) welcome(host, moment);
    }
}

void Core::check_agents(Moment moment) {
    std::vector<HostId> gone;
    for (const auto& [host, agent] : fleet_.agents()) {
        const bool away = !agent.connected && moment.steady - agent.away_since > kAgentPatience;
        const bool elsewhere = away && !connected_elsewhere(host, agent).empty();
        context_.problems.set(not_connected(host),
                              away && !elsewhere ? "last seen " + base::to_iso8601(agent.last_seen) : "");
        // By the steady clock: the wall clock may step by days.
        const bool expired = !agent.connected && moment.steady - agent.away_since > options_.remove_agent_after;
        const bool renamed = away && succession_.successor(host);
        if ((expired || renamed) && alarms_.table().of_host(host).empty()) gone.push_back(host);
    }
    for (const HostId& host : gone)
        remove_agent(host);
}

/// Those that are away for longer than a restart takes, and hosts that have had time to get an agent and have none.
std::set<HostId> Core::missing_agents(Moment moment) const {
    std::set<HostId> missing;
    for (const auto& [host, agent] : fleet_.agents()) {
        if (!agent.connected && moment.steady - agent.away_since > kAgentPatience) missing.insert(host);
    }
    if (moment.steady < names_from_) return missing;
    for (const HostId& host : context_.inventory.hosts()) {
        if (!names_.has_agent(host)) missing.insert(names_.agent_of(host));
    }
    return missing;
}

/// An agent that ends closes its connection; one that falls silent with it open is notified at once.
void Core::check_silence(Moment moment) {
    const auto fallen = silence_.observe(moment.steady);
    silence_due_ =
        silence_.empty() ? base::kNever : std::min(moment.steady + heartbeat::StallClock::kProbe, silence_.next_due());
    for (const auto& [host, alone] : fallen) {
        log::warning("agent fell silent", {{"host", host}, {"others_seen", alone}});
        fleet_.fell_silent(host, alone, moment.steady);
        groups_.reachability_changed(host, moment.wall);
    }
    if (!fallen.empty()) monitor(moment);
}

/// The fault's host is gone, and this one is it under another name, or has the guest now. That it knows the fault's id
/// proves nothing: every receiver does.
bool Core::takes_over(const HostId& host, const HostId& left, const base::GuestId& guest) const {
    if (succession_.successor(left) == host) return true;
    const Agent* agent = fleet_.find(left);
    const bool departed = agent == nullptr || (!agent->connected && now_ - agent->away_since >= kAgentPatience);
    return departed && authority_.may_report(host, guest);
}

void Core::remove_agent(const HostId& host) {
    log::info("agent removed", {{"host", host}});
    context_.problems.clear(not_connected(host));
    context_.problems.clear(reports_rejected(host));
    rejected_.erase(host);
    pacing_.erase(host);
    succession_.forget(host);
    if (const Agent* agent = fleet_.find(host)) known_guests_.agent_removed(host, *agent);
    fleet_.erase(host);
    context_.rows.erase_agent(host);
}

void Core::retry_rejected(Moment moment) {
    for (const HostId& host : rejected_.hosts()) {
        if (const auto faults = rejected_.take(host); !faults.empty())
            rejected_.keep(host, report(host, faults, moment));
        context_.problems.set(reports_rejected(host), rejected_.problem(host, moment.steady));
        if (rejected_.quiet(host, moment.steady)) rejected_.erase(host);
    }
}

void Core::end_by_evidence(Moment moment) {
    const Evidence::Source source = context_.output.inventory_source();
    std::vector<std::pair<base::FaultId, std::string_view>> ended;
    for (const auto& [id, tracked] : alarms_.table().all()) {
        if (const auto why = evidence_.ends(tracked, source, was_removed(tracked), moment.steady))
            ended.emplace_back(id, *why);
    }
    for (const auto& [fault, why] : ended) {
        const TrackedFault* tracked = alarms_.table().find(fault);
        log::info("fault ended by evidence", {{"fault", fault}, {"guest", tracked->fault.guest}, {"why", why}});
        end(*tracked, why, moment);
    }
}

/// Their primary was lost with them: what it has not delivered is delivered from here.
void Core::adopt_orphaned_hosts(Moment moment) {
    std::map<HostId, base::TimePoint> since;
    std::vector<HostId> adopted;
    const base::Millis turn = kAdoptTurn * static_cast<int>(peer_agents_.before(options_.monitoring.controller.str()));
    for (const auto& [host, agent] : fleet_.agents()) {
        if (!is_orphaned(host, agent, moment)) continue;
        const auto before = orphaned_since_.find(host);
        since[host] = before == orphaned_since_.end() ? moment.steady : before->second;
        if (moment.steady - since[host] >= turn) adopted.push_back(host);
    }
    orphaned_since_ = std::move(since);
    for (const HostId& host : adopted) {
        log::warning("host adopted: its agent and its primary are gone", {{"host", host}});
        fleet_.adopt(host, moment);
        put_agent(host);
        alarms_.adopt(host);
    }
}

bool Core::is_orphaned(const HostId& host, const Agent& agent, Moment moment) const {
    const base::Millis patience = fleet_.connected() > 0 ? kAdoptAfter : kAdoptAlone;
    const bool ours = agent.is_primary && !alarms_.left_in_doubt(host);
    if (agent.connected || ours || moment.steady - agent.away_since < patience) return false;
    if (alarms_.table().open_of_host(host) == 0 || peer_agents_.delivered(host) || peer_is_primary(host, agent))
        return false;
    // A primary that has just ceased to answer may be restarted.
    const auto silent = peer_agents_.silent_for(agent.primary, moment.steady);
    return !silent || *silent >= kAdoptAfter;
}

/// Another controller delivers the faults of this agent and is alive. A peer tells that itself: one that answers and
/// does not have the agent has lost its state. Of others the agents that are connected here tell, most of them: one
/// alone could be wrong, or lie.
bool Core::peer_is_primary(const HostId& host, const Agent& agent) const {
    if (agent.is_primary) return false;
    if (peer_agents_.delivered(host)) return true;
    // Another one of this name: who sees this one says nothing of that.
    if (agent.primary == options_.monitoring.controller.str()) return false;
    if (const auto has = peer_agents_.has(agent.primary, host)) return *has;
    std::size_t seen = 0;
    std::size_t missed = 0;
    for (const auto& [name, witness] : fleet_.agents()) {
        if (!witness.present()) continue;
        const auto& controllers = witness.controllers;
        const bool sees = agent.primary.empty() || controllers.empty()
                              ? !witness.is_primary
                              : std::find(controllers.begin(), controllers.end(), agent.primary) != controllers.end();
        ++(sees ? seen : missed);
    }
    const bool silent = peer_agents_.silent_for(agent.primary, now_).has_value();
    return seen > missed || (seen > 0 && seen == missed && !silent);
}

void Core::monitor(Moment moment) {
    SelfMonitoring::View view{fleet_, {}, authority_.running_twice(), {}};
    for (const auto& sink : alarms_.sinks())
        view.sinks.push_back({sink->name(), sink->queue().away_since(), sink->queue().last_error(),
                              sink->queue().answers(), sink->queue().queued() == 0});
    const bool alone = std::none_of(fleet_.agents().begin(), fleet_.agents().end(),
                                    [](const auto& item) { return item.second.present(); });
    view.watched_by_peer = [&](const HostId& host) {
        const Agent* agent = fleet_.find(host);
        return !agent->is_primary && (alone || peer_is_primary(host, *agent));
    };
    view.connected_elsewhere = [&](const HostId& host) {
        return !connected_elsewhere(host, *fleet_.find(host)).empty();
    };
    bool asks = false;
    view.asked_about = [&](const HostId& host) {
        const bool awaited = peer_agents_.awaited(host, fleet_.find(host)->missed_since(), moment.steady);
        asks = asks || awaited;
        return awaited;
    };
    for (const Alarm& alarm : self_monitoring_.check(view, moment))
        alarms_.internal().deliver(alarm);
    for (const base::FaultId& released : self_monitoring_.take_released())
        context_.rows.erase_closed_alarm(released);
    alarms_.internal().tick();
    peers_due_ = asks ? moment.steady + kAskAgain : base::kNever;
    if (asks) context_.output.ask_peers();
}

/// It is to be decided soon whether an agent is lost whose faults are delivered from here, or it is connected to
/// another controller and would be missed by this one alone.
bool Core::asks_peers() const {
    const auto& agents = fleet_.agents();
    return std::any_of(agents.begin(), agents.end(), [this](const auto& item) {
        const auto& [host, agent] = item;
        if (agent.present() || !agent.is_primary) return false;
        return !self_monitoring_.decided(host) || !connected_elsewhere(host, agent).empty();
    });
}

std::vector<PeerAgent> Core::agents_for_peers(base::TimePoint now) const {
    std::vector<PeerAgent> agents;
    for (const auto& [host, agent] : fleet_.agents()) {
        if (!agent.present() && !agent.is_primary) continue;
        PeerAgent told{host, agent.present(), agent.is_primary, std::nullopt};
        if (told.connected && silence_.watches(host))
            told.seen = std::chrono::duration_cast<base::Millis>(now - agent.seen_at);
        agents.push_back(std::move(told));
    }
    return agents;
}

void Core::peer_answered(PeerAnswer answer, base::TimePoint asked_at, Moment moment) {
    enter(moment);
    for (PeerAgent& agent : answer.agents)
        agent.host = canonical(agent.host);
    const std::string controller = answer.controller;
    const std::vector<PeerAgent> agents = answer.agents;
    peer_agents_.answered(std::move(answer), asked_at);
    for (const PeerAgent& agent : agents) {
        const Agent* known = fleet_.find(agent.host);
        if (!agent.is_primary || known == nullptr || known->present()) continue;
        // Of an agent that is lost two may deliver: the other has adopted it, or this one did.
        if (!known->is_primary || connected_elsewhere(agent.host, *known) == controller)
            follow_primary(agent.host, controller);
    }
    monitor(moment);
}

void Core::peer_silent(const std::string& controller, Moment moment) {
    enter(moment);
    peer_agents_.silent(controller, moment.steady);
    monitor(moment);
}

/// An agent that is not connected here any more has another primary now, as that says: only one delivers its faults.
void Core::follow_primary(const HostId& host, const std::string& controller) {
    const Agent& agent = *fleet_.find(host);
    if (agent.primary == controller) return;
    const bool was_primary = agent.is_primary;
    fleet_.set_primary(host, {false, controller, {controller}});
    if (!was_primary) return;
    log::warning("agent has another primary, which tells of it", {{"host", host}, {"primary", controller}});
    put_agent(host);
    alarms_.primary_changed(host);
    groups_.drop_kept_of(host);
    ++counters_.primary_changes;
}

void Core::show_problems(Moment moment) {
    context_.problems.set(kRivals, sessions_.problem(moment.steady));
    context_.problems.set(kHeldBack, pacing_.problem(moment.steady));
    Listing copies;
    for (const std::string& pair : succession_.copies())
        copies.add(pair);
    context_.problems.set(kCopies, copies.text());
    context_.problems.set(kWithheld, withheld_problem());
    context_.problems.set(kClaims, claims_problem(authority_.claims()));
    context_.problems.set(kCopiesOfNowhere, claims_problem(authority_.copies_of_nowhere()));
    context_.problems.set(kContradicted, contradicted_problem());
    const bool settled = moment.steady >= names_from_ && context_.output.inventory_source().loaded;
    context_.problems.set(kNoAgent, settled ? hosts_without_agent() : "");
    context_.problems.set(kElsewhere, elsewhere_problem(moment));
    context_.problems.set(kNoHost, settled ? agents_without_host() : "");
}

/// The controller that the agent is connected to while it is not present here; empty: none, as far as is known.
std::string Core::connected_elsewhere(const HostId& host, const Agent& agent) const {
    return agent.present() ? "" : peer_agents_.connected_to(host, agent.missed_since());
}

std::string Core::elsewhere_problem(Moment moment) const {
    Listing listing;
    for (const auto& [host, agent] : fleet_.agents()) {
        const std::string controller = connected_elsewhere(host, agent);
        if (!controller.empty() && moment.steady - agent.missed_since() > kAgentPatience)
            listing.add(host.str() + " (" + controller + ")");
    }
    return listing.text();
}

std::string Core::withheld_problem() const {
    Listing listing;
    for (const auto& [id, tracked] : alarms_.table().all()) {
        if (!tracked.withheld || !tracked.fault.open()) continue;
        const base::HostId owner = authority_.owner(tracked.fault.guest);
        const bool read = context_.inventory.guest(tracked.fault.guest) != nullptr;
        const std::string where = owner == tracked.host ? ", which is deleted"
                                  : read                ? " on " + owner.str()
                                                        : " on " + owner.str() +
                                               " before the restart, and the inventory "
                                               "has not been read since";
        listing.add(tracked.host.str() + " reports " + std::string(model::to_string(tracked.fault.kind)) +
                    " of guest " + tracked.fault.guest.str() + where);
    }
    return listing.text();
}

std::string Core::claims_problem(const std::vector<Authority::Claim>& claims) const {
    Listing listing;
    for (const Authority::Claim& claim : claims) {
        std::string hosts;
        for (const HostId& host : claim.hosts)
            hosts += (hosts.empty() ? "" : ", ") + host.str();
        listing.add("guest " + claim.guest.str() + " of " + authority_.owner(claim.guest).str() + ": " + hosts);
    }
    return listing.text();
}

/// The operator's word is about what was known then: a fault that came later says that the guest is there.
bool Core::was_removed(const TrackedFault& tracked) const {
    if (context_.inventory.guest(tracked.fault.guest) != nullptr) return false;
    // It has a host of the inventory's when that had the guest there: known also after a restart. A cloud deletes a
    // guest by its word alone.
    if (!tracked.names.host.empty() && !context_.output.inventory_source().names_all) return true;
    const auto at = removed_.find(tracked.fault.guest);
    return at != removed_.end() && tracked.received_at <= at->second;
}

std::string Core::contradicted_problem() const {
    Listing listing;
    for (const auto& [id, tracked] : alarms_.table().all()) {
        if (evidence_.contradicted(tracked, context_.output.inventory_source(), was_removed(tracked)))
            listing.add(tracked.host.str() + " reports " + std::string(model::to_string(tracked.fault.kind)) +
                        " of guest " + tracked.fault.guest.str());
    }
    return listing.text();
}

std::string Core::hosts_without_agent() const {
    Listing listing;
    for (const HostId& host : context_.inventory.hosts()) {
        if (names_.has_agent(host)) continue;
        listing.add(host.str() + " (guests: " + std::to_string(context_.inventory.of_host(host).size()) + ")");
    }
    return listing.text();
}

std::string Core::agents_without_host() const {
    Listing listing;
    if (context_.inventory.hosts().empty()) return {};
    for (const auto& [host, agent] : fleet_.agents()) {
        if (agent.connected && !agent.guests.empty() && names_.guests_of(host).empty())
            listing.add(host.str() + " (guests: " + std::to_string(agent.guests.size()) + ")");
    }
    return listing.text();
}

}  // namespace vitalwire::controller
