#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bus/certificate_watch.hpp"
#include "host/bus/controller_links.hpp"
#include "host/channels/channel_set.hpp"
#include "host/config.hpp"
#include "host/core/agent_core.hpp"
#include "host/core/id_generator.hpp"
#include "host/http/agent_api.hpp"
#include "host/http/agent_metrics.hpp"
#include "host/sources/channel_source.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/store.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::host {

/// The agent's I/O: sources, channels, connections to controllers, store and HTTP on one event loop, and one timer for
/// the core, which decides everything.
class Agent final : private AgentCore::Output, private ChannelSource::Handler {
public:
    struct Parts {
        std::unique_ptr<runtime::Store> store;
        std::vector<std::unique_ptr<ChannelSource>> sources;
        ControllerLinks::Parts controllers;
        std::function<runtime::ReloadReport()> reload;
    };

    Agent(boost::asio::io_context& io, AgentConfig config, std::string version, Parts parts);
    ~Agent() override;
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    /// Fails when the local HTTP interface cannot be opened. `on_ready` is called once, when every source has listed
    /// what exists, or after a while without that.
    base::Result<void> start(std::function<void()> on_ready);
    void stop();
    /// New configuration: the level of the log, the controllers and the access to them, the rules of the heartbeat and
    /// the limits of channels found from now on.
    void reload(const AgentConfig& config);
    /// Why a file that the configuration names is not in force as it is; empty: all are.
    void named_files(const std::string& why) { core_.named_files_problem(why); }
    /// True if the last `reload` has taken this key of "[section]", or would have.
    bool applies(const std::string& section, const std::string& key) const;
    runtime::Metrics& metrics() { return metrics_.metrics(); }

private:
    static base::Moment now();
    void reload_bus(const AgentConfig& config);
    void reload_metrics(const AgentConfig& config);
    void probe();
    void notify_service_manager();
    void arm();
    void tick();
    void become_ready();
    AgentMetrics::Gauges gauges(const std::string& version) const;
    std::string metrics_text();

    // AgentCore::Output
    std::map<std::string, std::string> load(const std::string& table) override { return store_->load(table); }
    void put(const std::string& table, const std::string& key, std::string value) override {
        store_->put(table, key, std::move(value));
    }
    void erase(const std::string& table, const std::string& key) override { store_->erase(table, key); }
    void send(const GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) override {
        channels_.send(guest, dialect, pdu);
    }
    void final_drain(const GuestKey& guest, wire::Dialect dialect) override { channels_.final_drain(guest, dialect); }
    bool channel_idle(const base::GuestId& guest, wire::Dialect dialect) override {
        return channels_.is_idle(guest, dialect);
    }
    void write_group(const base::GuestId& guest, wire::Dialect dialect, std::string lines) override {
        channels_.write_group(guest, dialect, std::move(lines));
    }
    void group_not_read(const base::GuestId& guest, wire::Dialect dialect, std::uint64_t messages) override {
        channels_.group_not_read(guest, dialect, messages);
    }
    void allow(const base::GuestId& guest, const group::Limits& limits) override { channels_.allow(guest, limits); }
    void send(AgentCore::LinkId link, const bus::ToController& message) override { links_.send(link, message); }
    void retry_now(AgentCore::LinkId link) override { links_.retry_now(link); }
    void leave_at_broker(const bus::Faults& faults) override { links_.leave_at_broker(faults); }
    std::string discovery_problem() const override { return links_.discovery_problem(); }
    void await_durable() override;
    void ask_machine(const base::GuestId& guest) override;
    void want(const WantedChannels& wanted) override;
    void recall(const std::vector<KeptChannel>& channels) override { channels_.recall(channels); }
    void end_recall(const std::set<base::GuestId>& keep) override { channels_.end_recall(keep); }
    void call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) override;
    bool read_io(const base::GuestId& guest, std::int64_t number) override;

    // ChannelSource::Handler
    void on_channel(const base::GuestId& guest, wire::ChannelKind kind, const std::string& path,
                    base::Millis end_known_within) override;
    bool is_connected(const base::GuestId& guest, wire::ChannelKind kind) override;
    void on_channel_gone(const base::GuestId& guest, wire::ChannelKind kind) override;
    void on_machine(const base::GuestId& guest, const heartbeat::HostEvent& event) override;
    void on_gone(const base::GuestId& guest, heartbeat::StopReason why) override;
    void on_unreadable(const base::GuestId& guest, const std::string& problem) override;
    void on_listed(ChannelSource& source, const SourceListing& listing) override;
    void on_source_problem(ChannelSource& source, const std::string& problem) override;
    void on_unused_entries(ChannelSource& source, const std::string& entries) override;
    void on_attached(const base::GuestId& guest, wire::ChannelKind kind, const std::string& failure) override;
    void on_unattachable(const std::set<base::GuestId>& guests) override;
    void on_guest_agent(const base::GuestId& guest, std::optional<bool> open) override;
    void on_guest_agent_returned(const base::GuestId& guest, std::int64_t challenge, GuestAgentResult result) override;
    void on_io_returned(const base::GuestId& guest, std::int64_t number,
                        const std::optional<IoCounters>& counters) override;

    boost::asio::io_context& io_;
    AgentConfig config_;
    bool controllers_wait_ = false;  ///< for a restart
    SystemIdGenerator ids_;
    std::unique_ptr<runtime::Store> store_;
    AgentCore core_;
    ControllerLinks links_;
    ChannelSet channels_;
    bus::CertificateWatch certificates_;
    bus::CertificateWatch metrics_certificate_;
    AgentMetrics metrics_;
    std::vector<std::unique_ptr<ChannelSource>> sources_;

    runtime::Timer deadline_;
    base::TimePoint armed_for_ = base::kNever;
    base::TimePoint last_tick_{};
    runtime::Timer probe_;
    runtime::Timer listing_;
    std::function<void()> on_ready_;
    bool announced_ = false;
    runtime::Timer status_;
    ApiContext api_;
    std::unique_ptr<runtime::HttpServer> http_;
    std::shared_ptr<runtime::Router::Tokens> metrics_tokens_ = std::make_shared<runtime::Router::Tokens>();
    runtime::HttpServer metrics_http_;  ///< beside it over TCP, for those who only read the metrics
};

}  // namespace vitalwire::host
