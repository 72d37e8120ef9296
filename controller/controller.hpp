#pragma once

// controller/: lists what the agents report and notifies the systems that act on it. A folder a concern; those marked
// (pure) own no socket and read no clock.
//   model/      (pure) an alarm, the events sinks get, policies
//   fleet/      (pure) agents and their guests; guests, hosts and groups as the cloud has them; who may report what
//   delivery/   (pure) what one sink gets and when: queue, back-off, pacing, filter. Its sink_worker does the I/O
//   alarms/     (pure) faults by agent, what ends them, history, orphaned reports, self-monitoring, internal alarms
//   groups/     (pure) server groups: routes broadcasts, answers queries, notifies peers
//   core/       (pure) what a controller decides: core.hpp
//   bus/        where agents connect, and the durable fault queue
//   sinks/      log, Doctor, webhook, Vitrage, Nova, Masakari, Alertmanager, tacker/
//   sources/    the inventory from a watched file
//   openstack/  Keystone, Nova, its notifications, Vitrage
//   state/      rows on disk
//   http/       the HTTP interface, and the metrics
//   controller.hpp  the shell that connects them on one event loop

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bus/certificate_watch.hpp"
#include "controller/bus/agent_ports.hpp"
#include "controller/config.hpp"
#include "controller/core/core.hpp"
#include "controller/http/api.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/openstack/nova_inventory.hpp"
#include "controller/sources/peers.hpp"
#include "controller/state/alarm_store.hpp"
#include "runtime/http/http_client.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"
#include "runtime/stored_table.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

/// The shell of a core (core/core.hpp): its sockets, store, inventory, sinks and one timer, on the thread of one event
/// loop.
class Controller : private InventorySource::Handler, private Peers::Handler, private Core::Output {
public:
    Controller(boost::asio::io_context& io, ControllerConfig config, std::string version,
               std::unique_ptr<runtime::Store> store, std::function<runtime::ReloadReport()> reload = {});
    ~Controller() override;

    /// Listens; fails when an address cannot be had or the bus cannot work as configured.
    base::Result<void> start();
    /// Takes of a changed configuration what it can while it runs; what waits in sinks' queues stays there. Reads the
    /// inventory again.
    void reload(const ControllerConfig& changed);
    /// Why a file that the configuration names is not in force as it is; empty: all are.
    void named_files(const std::string& why);
    /// True if the last `reload` has taken this key of "[section]", or would have.
    bool applies(const std::string& section, const std::string& key) const;
    /// Ends all connections and writes what is pending.
    void stop();

    const std::string& http_address() const { return http_server_.address(); }
    std::vector<std::string> bus_addresses() const { return ports_.addresses(); }

    const ApiContext& api() const { return api_; }
    const Fleet& fleet() const { return core_.fleet(); }
    const runtime::Problems& problems() const { return problems_; }
    runtime::Metrics& metrics() { return metrics_; }

private:
    std::unique_ptr<InventorySource> make_source();
    ApiContext api_context(std::string version, std::function<runtime::ReloadReport()> reload);
    base::Result<std::unique_ptr<bus::ControllerPort>> make_port(const std::string& url);
    base::Result<AgentPorts::Parts> make_ports();
    base::Result<void> listen();
    bool listening() const;
    SinkContext sink_context(const std::string& name);
    void add_sink(const SinkConfig& sink);
    void add_metrics();
    void reload_bus(const ControllerConfig& changed);
    void reload_http_tls(const bus::TlsFiles& files);
    void reload_openstack(const ControllerConfig& changed);
    void reload_sinks(const std::vector<SinkConfig>& changed);
    void remove_sink(const std::string& name);
    bool add_sink_while_running(const SinkConfig& sink);
    bool change_sink(const SinkConfig& before, const SinkConfig& sink);
    Core::Options core_options() const;
    /// Hands the core an event, and arms the timer for what it has due.
    template <class Event>
    void run(Event event);
    void arm();
    void check();

    // Core::Output
    void send(const Session& session, const bus::ToAgent& message) override { ports_.send(session, message); }
    void refresh_inventory() override { source_->reload(); }
    Evidence::Source inventory_source() const override;
    bool reachable() const override { return ports_.reachable(); }
    void ask_peers() override { peers_.ask_now(); }
    void defer(std::function<void()> call) override;
    base::Moment now() const override;
    // InventorySource::Handler
    void on_inventory_changed(const std::vector<GuestChange>& changes) override;
    void on_inventory_problem(const std::string& what, const std::string& detail) override;
    // Peers::Handler
    std::size_t maintenance_of_peer(const std::vector<Maintenance>& windows) override;
    void journal_of_peer(const base::FaultId& fault, const std::string& controller, Journal::Part journal,
                         const std::optional<TrackedFault>& past) override;
    std::vector<std::string> sink_names() const override { return core_.alarms().sink_names(); }
    void agents_of_peer(PeerAnswer answer, base::TimePoint asked_at) override;
    void peer_silent(const std::string& controller) override;
    void peer_removed(const std::string& controller) override { core_.forget_peer(controller); }

    boost::asio::io_context& io_;
    base::WallTime started_at_ = std::chrono::system_clock::now();
    ControllerConfig config_;
    std::shared_ptr<runtime::Router::Tokens> http_tokens_;
    std::unique_ptr<runtime::Store> store_;
    std::map<std::string, runtime::StoredTable> tables_;  ///< of sinks
    AlarmStore rows_;
    runtime::Metrics metrics_;
    runtime::Problems problems_;
    bus::CertificateWatch certificates_;
    bus::CertificateWatch http_certificate_;
    runtime::HttpClient http_client_;
    std::unique_ptr<Keystone> keystone_;  ///< null when nothing needs OpenStack
    Inventory inventory_;
    NovaInventory* nova_ = nullptr;  ///< `source_` when it is one
    std::unique_ptr<InventorySource> source_;
    Core core_;
    Peers peers_;
    AgentPorts ports_;
    Coverage::Census census_;
    ApiContext api_;
    runtime::HttpServer http_server_;
    runtime::Timer core_timer_;
    base::TimePoint armed_for_ = base::kNever;
    runtime::Timer check_timer_;
    bool listening_ = false;
    bool openstack_waits_ = false;                          ///< another cloud, or another user of it
    bool ports_wait_ = false;                               ///< what the bus listens on needs a restart
    std::set<std::string> waiting_sinks_;                   ///< whose configuration needs a restart
    std::vector<std::unique_ptr<Notifier>> removed_sinks_;  ///< their requests may still be answered
    std::shared_ptr<int> alive_ = std::make_shared<int>();  ///< a deferred call that finds it gone does nothing
};

}  // namespace vitalwire::controller
