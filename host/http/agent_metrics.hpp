#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "heartbeat/host_session.hpp"
#include "host/channels/channel.hpp"
#include "host/core/monitor.hpp"
#include "host/groups/group_relay.hpp"
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
        std::function<double()> faults_unconfirmed;
    };

    explicit AgentMetrics(const Gauges& gauges);

    void dropped(Drop reason, std::uint64_t count) const;
    void nack_sent(base::Errc code);
    void channel_connected() const { channels_connected_.add(); }
    void channel_closed() const { channels_closed_.add(); }
    void registered() const { registrations_.add(); }
    void fault_opened(model::FaultKind kind) const;
    void fault_dropped() const { faults_dropped_.add(); }
    void rows_unreadable(std::uint64_t rows) const { rows_unreadable_.add(static_cast<double>(rows)); }
    void source_problem() const { source_problems_.add(); }
    void channel_attached(bool done) const { (done ? attached_ : not_attached_).add(); }
    void machine_without_controller() const { without_controller_.add(); }

    /// Counts that others keep are brought up to date when they are read.
    void update(const heartbeat::HostSessionCounters& sessions, std::uint64_t stalls, std::uint64_t bus_messages,
                std::uint64_t links_lost, std::uint64_t messages_dropped);
    void update(const group::RateLimiterCounters& gate, const GroupRelay::Counters& hub);
    std::string text() const { return metrics_.text(); }

private:
    runtime::Counter counter(const std::string& what, const std::string& help, const runtime::Labels& labels = {});

    runtime::Metrics metrics_;
    std::array<runtime::Counter, kDrops> drops_;
    std::array<runtime::Counter, model::kFaultKinds> faults_opened_;
    std::map<base::Errc, runtime::Counter> nacks_;
    runtime::Counter channels_connected_, channels_closed_, registrations_, faults_dropped_, rows_unreadable_,
        source_problems_, attached_, not_attached_, without_controller_, challenges_, responses_, late_, stale_,
        misses_, stalls_, bus_messages_, links_lost_, bus_dropped_;
    // Of the server group.
    runtime::Counter broadcasts_, queries_, group_not_enabled_, group_rate_limited_, group_unavailable_, group_refused_,
        group_delivered_, group_not_connected_, group_undeliverable_, group_duplicates_;
};

}  // namespace vitalwire::host
