#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/token_bucket.hpp"
#include "bus/certificate_watch.hpp"
#include "heartbeat/stall_clock.hpp"
#include "host/bus/controllers.hpp"
#include "host/channels/channel.hpp"
#include "host/config.hpp"
#include "host/core/guest_map.hpp"
#include "host/core/id_generator.hpp"
#include "host/core/monitor.hpp"
#include "host/groups/group_relay.hpp"
#include "host/http/agent_metrics.hpp"
#include "host/sources/channel_source.hpp"
#include "host/state/agent_state.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"

namespace vitalwire::host {

/// The agent: sources, channels, monitor, state and controllers on one event loop. It decides nothing itself.
class Agent final : private Monitor::Output, private Channel::Handler, private ChannelSource::Handler {
public:
    struct Parts {
        std::unique_ptr<runtime::Store> store;
        std::vector<std::unique_ptr<ChannelSource>> sources;
        std::vector<std::unique_ptr<bus::AgentLink>> links;
        std::unique_ptr<bus::ControllerFinder> finder;  ///< may be null
    };

    Agent(boost::asio::io_context& io, AgentConfig config, std::string version, Parts parts);
    ~Agent() override;
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    /// Fails when the local HTTP interface cannot be opened. `on_ready` is called once, when every source has told what
    /// exists, or after a while without that.
    base::Result<void> start(std::function<void()> on_ready);
    void stop();
    /// New configuration: the rules of the heartbeat and the limits of channels found from now on.
    void reload(const AgentConfig& config);

    // What the local interface shows.
    const AgentConfig& config() const { return config_; }
    const std::string& version() const { return version_; }
    base::WallTime started_at() const { return started_at_; }
    const Monitor& monitor() const { return monitor_; }
    const GroupRelay& groups() const { return groups_; }
    const Controllers& controllers() const { return *controllers_; }
    const runtime::Problems& problems() const { return problems_; }
    /// Every source has told what exists, and the state can be written.
    bool ready() const { return unlisted_.empty() && store_->healthy(); }
    std::string metrics_text();

private:
    struct Now {
        base::TimePoint judged;
        base::WallTime wall;
    };
    struct Guest {
        std::array<std::unique_ptr<Channel>, wire::kChannelKinds> channels;
        base::TokenBucket fault_log;
    };

    Now now();
    void probe();
    void tell_service_manager();
    template <class GuestRef>
    void step(const GuestRef& guest, const heartbeat::HostEvent& event);
    void arm();
    void tick();
    void await_listing();
    void become_ready();
    template <class GuestRef>
    Channel* channel(const GuestRef& guest, wire::ChannelKind kind);
    void log_fault(const model::Fault& fault);
    void on_policies(const bus::Policies& policies);
    std::string why_unreachable() const;
    void on_delivered(const bus::FaultsDelivered& delivered);
    void on_group_message(const bus::ToAgent& message);
    Channel* group_channel(const base::GuestId& guest);
    void allow(const model::GuestPolicy& policy);
    void want_channels();
    void show_attachments();
    AgentMetrics::Gauges gauges() const;

    // Monitor::Output
    void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) override;
    void final_drain(const GuestKey& guest, wire::Dialect dialect) override;
    void fault_changed(const model::Fault& fault) override;
    void fault_delivered(const model::Fault& fault) override;
    void fault_forgotten(const base::FaultId& fault, bool dropped) override;
    void guest_changed(const base::GuestId& guest) override;
    void guest_gone(const base::GuestId& guest) override;
    void save(const base::GuestId& guest, const heartbeat::SaveRegistration& saved) override;

    // Channel::Handler
    void on_connected(Channel& channel) override;
    void on_closed(Channel& channel, const std::string& why) override;
    void on_heartbeat(Channel& channel, wire::HeartbeatPdu pdu) override;
    void on_garbled_response(Channel& channel) override;
    void on_group(Channel& channel, const wire::GroupPdu& pdu, int base_version) override;
    void on_dropped(Channel& channel, Drop reason, std::uint64_t count) override;

    // ChannelSource::Handler
    void on_channel(const base::GuestId& guest, wire::ChannelKind kind, const std::string& path) override;
    void on_channel_gone(const base::GuestId& guest, wire::ChannelKind kind) override;
    void on_machine(const base::GuestId& guest, const heartbeat::HostEvent& event) override;
    void on_gone(const base::GuestId& guest, heartbeat::StopReason why) override;
    void on_listed(ChannelSource& source) override;
    void on_source_problem(ChannelSource& source, const std::string& problem) override;
    void on_attached(const base::GuestId& guest, wire::ChannelKind kind, const std::string& failure) override;
    void on_unattachable(const std::set<base::GuestId>& guests) override;

    boost::asio::io_context& io_;
    AgentConfig config_;
    std::string version_;
    base::WallTime started_at_;
    SystemIdGenerator ids_;
    heartbeat::StallClock clock_;
    std::unique_ptr<runtime::Store> store_;
    AgentState state_;
    Monitor monitor_;
    runtime::Problems problems_;
    bus::CertificateWatch certificates_;
    std::unique_ptr<Controllers> controllers_;
    GroupRelay groups_;
    AgentMetrics metrics_;
    std::vector<std::unique_ptr<ChannelSource>> sources_;
    GuestMap<Guest> guests_;
    std::set<const ChannelSource*> unlisted_;
    std::set<const ChannelSource*> blind_;               ///< cannot see now
    std::set<base::GuestId> unattachable_;               ///< lack a channel and cannot be given it
    std::map<base::GuestId, std::string> not_attached_;  ///< lack a channel, and why the last attempt failed
    std::size_t channels_up_ = 0;

    boost::asio::steady_timer deadline_;
    base::TimePoint armed_for_ = base::kNever;
    base::TimePoint last_tick_{};
    boost::asio::steady_timer probe_;
    boost::asio::steady_timer listing_;
    std::function<void()> on_ready_;
    bool announced_ = false;
    boost::asio::steady_timer status_;
    std::unique_ptr<runtime::HttpServer> http_;
};

}  // namespace vitalwire::host
