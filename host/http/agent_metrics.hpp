#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "heartbeat/host_session.hpp"
#include "host/channels/channel_set.hpp"
#include "host/core/agent_core.hpp"
#include "runtime/metrics.hpp"

namespace vitalwire::host {

/// What the agent counts. Labels are words of ours, never a guest's.
class AgentMetrics {
public:
    /// Values that are read when somebody asks.
    struct Gauges {
        std::function<Monitor::Totals()> totals;
        std::function<double()> channels_up;
        std::function<double()> sources_blind;
        std::function<double()> stalled_seconds;
        std::function<double()> store_pending;
        std::function<double()> store_healthy;
        std::function<double()> controllers_up;
        std::function<double()> certificate_seconds_left;
        std::function<double()> certificate_notice_seconds;
        std::function<double()> faults_unconfirmed;
        std::function<heartbeat::RoundTrips()> round_trips;
        std::function<double()> problems;
        std::string version;
    };

    explicit AgentMetrics(const Gauges& gauges);

    /// Counts that others keep are brought up to date when they are read.
    void update(const AgentCore& core, const ChannelSet::Counters& channels, std::uint64_t bus_messages_dropped);
    std::string text() const { return metrics_.text(); }
    runtime::Metrics& metrics() { return metrics_; }

private:
    void update(const AgentCore::Counters& core);
    void update(const GuestActions::Counters& actions);
    void update(const group::RateLimiterCounters& limiter, const GroupRelay::Counters& relay);
    runtime::Counter counter(const std::string& what, const std::string& help, const runtime::Labels& labels = {});

    runtime::Metrics metrics_;
    std::array<runtime::Counter, kDrops> drops_;
    std::array<runtime::Counter, model::kFaultKinds> faults_opened_;
    std::map<base::Errc, runtime::Counter> nacks_;
    runtime::Counter channels_connected_, channels_closed_, registrations_, registrations_limited_, faults_dropped_,
        rows_unreadable_, source_problems_, attached_, not_attached_, without_controller_, challenges_, responses_,
        late_, stale_, misses_, stalls_, bus_messages_, links_lost_, bus_dropped_;
    runtime::Counter action_votes_, action_notices_, actions_rejected_, actions_forced_, actions_silent_,
        actions_stale_, notices_expired_;
    // Of the server group.
    runtime::Counter broadcasts_, queries_, group_not_enabled_, group_rate_limited_, group_unavailable_, group_refused_,
        group_delivered_, group_not_connected_, group_undeliverable_, group_duplicates_, group_late_, group_resent_;
};

}  // namespace vitalwire::host
