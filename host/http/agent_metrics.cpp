#include "host/http/agent_metrics.hpp"

namespace vitalwire::host {

using model::FaultKind;
using runtime::Counter;

namespace {

void bring_to(const Counter& counter, std::uint64_t value) {
    counter.add(static_cast<double>(value) - counter.value());
}

runtime::Metrics::Counts counts_of(const heartbeat::RoundTrips& trips) {
    const auto seconds = [](base::Duration time) { return std::chrono::duration<double>(time).count(); };
    return {seconds(heartbeat::RoundTrips::kFirstBound),
            {trips.counts().begin(), trips.counts().end()},
            seconds(trips.sum())};
}

}  // namespace

Counter AgentMetrics::counter(const std::string& what, const std::string& help, const runtime::Labels& labels) {
    return metrics_.counter("vitalwire_agent_" + what + "_total", help, labels);
}

AgentMetrics::AgentMetrics(const Gauges& gauges) {
    for (int i = 0; i < kDrops; ++i) {
        drops_.at(static_cast<std::size_t>(i)) =
            counter("messages_dropped", "Messages of guests, or for them, that were not taken, by reason",
                    {{"reason", std::string(to_string(static_cast<Drop>(i)))}});
    }
    for (const FaultKind kind : model::all_fault_kinds()) {
        faults_opened_.at(static_cast<std::size_t>(kind)) =
            counter("faults_opened", "Faults opened, by kind", {{"kind", std::string(model::to_string(kind))}});
    }
    channels_connected_ = counter("channel_connects", "Connections made to channels of guests");
    channels_closed_ = counter("channel_closes", "Connections to channels that ended");
    registrations_ = counter("registrations", "Sessions begun by guests");
    registrations_limited_ =
        counter("registrations_limited", "Registrations refused because a guest sent more than one a second");
    faults_dropped_ = counter("faults_dropped", "Cleared faults given up before a controller confirmed them");
    rows_unreadable_ =
        counter("state_rows_unreadable", "Rows of the state on disk that could not be read and are kept aside");
    source_problems_ = counter("source_problems", "Times a source of channels could not see");
    const char* attachments = "Attachments of wanted channels to running machines, by outcome";
    attached_ = counter("channel_attachments", attachments, {{"outcome", "done"}});
    not_attached_ = counter("channel_attachments", attachments, {{"outcome", "failed"}});
    without_controller_ =
        counter("machines_without_port_controller",
                "Running machines found without the virtio-serial controller that a wanted channel needs");
    challenges_ = counter("challenges", "Challenges sent");
    responses_ = counter("responses", "Valid answers in time");
    late_ = counter("responses_late", "Valid answers after their deadline");
    stale_ = counter("responses_stale", "Answers of another session or to an older challenge");
    misses_ = counter("misses", "Deadlines without a valid answer");
    stalls_ = counter("stalls", "Times this agent itself did not run; not held against any guest");
    action_votes_ = counter("action_votes", "Guests asked whether the cloud may act on them");
    action_notices_ = counter("action_notices", "Notices to guests before and after actions of the cloud");
    actions_rejected_ = counter("actions_rejected", "Actions of the cloud that their guest rejected");
    actions_forced_ = counter("action_votes_forced", "Votes left out because an operator forces actions on the guest");
    actions_silent_ = counter("actions_silent", "Votes and notices without an answer in time, which is consent");
    notices_expired_ = counter("action_notices_expired", "Notices of actions whose guests were not reached in time");
    actions_stale_ = counter("action_responses_stale", "Answers to votes and notices that nobody waited for");
    bus_messages_ = counter("bus_messages", "Messages sent to controllers");
    links_lost_ = counter("bus_links_lost", "Connections to controllers that ended");
    bus_dropped_ = counter("bus_messages_dropped",
                           "Messages to and from controllers that full queues lost; a full resync followed");
    broadcasts_ = counter("group_broadcasts", "Broadcasts of guests handed to a controller");
    queries_ = counter("group_queries", "Status queries of guests handed to a controller");
    const auto refused = [&](const char* code) {
        return counter("group_refusals", "Server-group messages of guests that were refused, by code",
                       {{"code", code}});
    };
    group_not_enabled_ = refused("not_enabled");
    group_rate_limited_ = refused("rate_limited");
    group_unavailable_ = refused("unavailable");
    group_refused_ = refused("by_controller");
    group_delivered_ = counter("group_deliveries", "Server-group messages put into guests' queues");
    group_not_connected_ = counter("group_not_connected", "Server-group messages for guests without a channel");
    group_undeliverable_ = counter("group_undeliverable", "Server-group messages that cgcs guests cannot be told");
    group_duplicates_ =
        counter("group_duplicates", "Broadcasts and states that came a second time and were not sent again");
    group_late_ = counter("group_late",
                          "Broadcasts that a connection held up until newer ones of their sender had come otherwise");
    group_resent_ = counter("group_resent", "States of members sent again because the guest's channel had been away");

    const auto gauge = [this](const std::string& what, const std::string& help, std::function<double()> read,
                              const runtime::Labels& labels = {}) {
        metrics_.gauge("vitalwire_agent_" + what, help, std::move(read), labels);
    };
    const auto count = [&](const std::string& what, const std::string& help, const char* key, const char* label,
                           std::size_t Monitor::Totals::*member) {
        gauge(what, help, [totals = gauges.totals, member] { return static_cast<double>(totals().*member); },
              {{key, label}});
    };
    using Totals = Monitor::Totals;
    count("guests", "Guests by state", "state", "registered", &Totals::registered);
    count("guests", "Guests by state", "state", "lost", &Totals::lost);
    count("guests", "Guests by state", "state", "unhealthy", &Totals::unhealthy);
    count("guests", "Guests by state", "state", "held", &Totals::held);
    count("guests", "Guests by state", "state", "crashed", &Totals::crashed);
    count("guests", "Guests by state", "state", "unregistered", &Totals::unregistered);
    count("guests", "Guests by state", "state", "unwatched", &Totals::unwatched);
    count("faults_open", "Open faults by severity", "severity", "critical", &Totals::critical);
    count("faults_open", "Open faults by severity", "severity", "major", &Totals::major);
    count("faults_open", "Open faults by severity", "severity", "warning", &Totals::warning);
    gauge("build_info", "1; what runs is in the labels", [] { return 1.0; }, {{"version", gauges.version}});
    gauge("problems", "Problems that the status shows now", gauges.problems);
    gauge("channels_up", "Channels connected now", gauges.channels_up);
    gauge("sources_blind", "Sources of channels that cannot see now", gauges.sources_blind);
    gauge("stalled_seconds", "Time in which this agent itself did not run", gauges.stalled_seconds);
    gauge("state_pending_writes", "Changes not on disk yet", gauges.store_pending);
    gauge("state_healthy", "1 when the state can be written", gauges.store_healthy);
    gauge("certificate_seconds_left", "Until our own certificate ends; 0 without one", gauges.certificate_seconds_left);
    gauge("certificate_notice_seconds", "Before its end, from when on it needs renewal; 0 without one",
          gauges.certificate_notice_seconds);
    gauge("controllers_up", "Controllers connected now", gauges.controllers_up);
    gauge("faults_unconfirmed", "Faults with a change that no controller has confirmed delivered",
          gauges.faults_unconfirmed);
    metrics_.histogram("vitalwire_agent_round_trip_seconds", "Time from a challenge to its answer, of all guests",
                       [read = gauges.round_trips] { return counts_of(read()); });
}

void AgentMetrics::update(const AgentCore& core, const ChannelSet::Counters& channels,
                          std::uint64_t bus_messages_dropped) {
    const heartbeat::HostSessionCounters sessions = core.monitor().counters();
    bring_to(challenges_, sessions.challenges);
    bring_to(responses_, sessions.responses);
    bring_to(late_, sessions.late);
    bring_to(stale_, sessions.stale);
    bring_to(misses_, sessions.misses);
    bring_to(stalls_, core.clock().stalls());
    bring_to(bus_messages_, core.controllers().messages_sent());
    bring_to(links_lost_, core.controllers().links_lost());
    bring_to(bus_dropped_, bus_messages_dropped);
    bring_to(channels_connected_, channels.connects);
    bring_to(channels_closed_, channels.closes);
    for (std::size_t i = 0; i < drops_.size(); ++i)
        bring_to(drops_.at(i), channels.dropped.at(i));
    update(core.counters());
    update(core.actions().counters());
    update(core.groups().rate_limiter_counters(), core.groups().counters());
}

void AgentMetrics::update(const GuestActions::Counters& actions) {
    bring_to(action_votes_, actions.votes);
    bring_to(action_notices_, actions.notices);
    bring_to(actions_rejected_, actions.rejected);
    bring_to(actions_forced_, actions.forced);
    bring_to(actions_silent_, actions.silent);
    bring_to(notices_expired_, actions.expired);
    bring_to(actions_stale_, actions.stale);
}

void AgentMetrics::update(const AgentCore::Counters& core) {
    bring_to(registrations_, core.registrations);
    bring_to(registrations_limited_, core.registrations_limited);
    bring_to(faults_dropped_, core.faults_dropped);
    bring_to(rows_unreadable_, core.rows_unreadable);
    bring_to(source_problems_, core.source_problems);
    bring_to(attached_, core.attached);
    bring_to(not_attached_, core.not_attached);
    bring_to(without_controller_, core.without_controller);
    for (std::size_t i = 0; i < faults_opened_.size(); ++i)
        bring_to(faults_opened_.at(i), core.faults_opened.at(i));
    for (const auto& [code, count] : core.nacks) {
        auto known = nacks_.find(code);
        if (known == nacks_.end()) {
            const runtime::Labels labels{{"code", std::string(base::to_string(code))}};
            const char* help = "Requests of guests refused by their session, by code";
            known = nacks_.emplace(code, counter("session_nacks", help, labels)).first;
        }
        bring_to(known->second, count);
    }
}

void AgentMetrics::update(const group::RateLimiterCounters& limiter, const GroupRelay::Counters& relay) {
    bring_to(broadcasts_, limiter.broadcasts);
    bring_to(queries_, limiter.queries);
    bring_to(group_not_enabled_, limiter.not_enabled);
    bring_to(group_rate_limited_, limiter.rate_limited);
    bring_to(group_unavailable_, limiter.unavailable);
    bring_to(group_refused_, limiter.refused);
    bring_to(group_delivered_, relay.delivered);
    bring_to(group_not_connected_, relay.not_connected);
    bring_to(group_undeliverable_, relay.undeliverable);
    bring_to(group_duplicates_, relay.duplicates);
    bring_to(group_late_, relay.late);
    bring_to(group_resent_, relay.resent);
}

}  // namespace vitalwire::host
