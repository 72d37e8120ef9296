#pragma once

// controller/: lists what the agents report and notifies the systems that act on it. A folder a concern; those marked
// (pure) own no socket and read no clock.
//   model/      (pure) an alarm, the events sinks get, policies
//   fleet/      (pure) agents and their guests; guests, hosts and groups as the cloud has them
//   alarms/     faults by agent, their history, orphaned reports, self-monitoring and internal alarms
//   delivery/   what one sink gets and when: queue, back-off, pacing, filter; sink_worker does the I/O
//   groups/     server groups: routes broadcasts, answers queries, notifies peers
//   sinks/      log, Doctor, webhook, Vitrage, Nova, Masakari, Alertmanager, tacker/
//   sources/    the inventory from a watched file
//   openstack/  Keystone, Nova, its notifications, Vitrage
//   state/      rows on disk
//   http/       the HTTP interface
//   controller.hpp  the shell that connects them on one event loop

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bus/certificate_watch.hpp"
#include "bus/link.hpp"
#include "controller/alarms/alarm_manager.hpp"
#include "controller/alarms/orphaned_reports.hpp"
#include "controller/alarms/self_monitoring.hpp"
#include "controller/config.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/groups/group_service.hpp"
#include "controller/openstack/keystone.hpp"
#include "runtime/http/http_client.hpp"
#include "runtime/http/http_server.hpp"
#include "runtime/metrics.hpp"
#include "runtime/problems.hpp"
#include "runtime/store.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::controller {

/// A controller on an event loop. Everything happens on the loop's thread.
class Controller : private InventorySource::Handler {
public:
    Controller(boost::asio::io_context& io, ControllerConfig config, std::string version,
               std::unique_ptr<runtime::Store> store);
    ~Controller() override;

    /// Listens; fails when an address cannot be had or the bus cannot work as configured.
    base::Result<void> start();
    /// Looks at the inventory again.
    void reload();
    /// Ends all connections and writes what is pending.
    void stop();

    /// Inventory loaded, bus listening; the store is open since before. What /readyz says.
    bool ready() const;
    const std::string& http_address() const { return http_server_.address(); }
    std::vector<std::string> bus_addresses() const;

    // For the HTTP interface.
    const ControllerConfig& config() const { return config_; }
    const std::string& version() const { return version_; }
    base::WallTime started_at() const { return started_at_; }
    const Fleet& fleet() const { return fleet_; }
    const AlarmManager& alarms() const { return *alarms_; }
    const Inventory& inventory() const { return inventory_; }
    const GroupService& groups() const { return groups_; }
    /// A test message to a whole group, marked as the operator's.
    base::Result<std::size_t> send_to_group(const base::GroupId& group, const std::string& payload) {
        return groups_.send_as_operator(group, payload);
    }
    const runtime::Problems& problems() const { return problems_; }
    const runtime::Metrics& metrics() const { return metrics_; }
    bool inventory_loaded() const { return source_->loaded(); }
    bool listening() const;

private:
    class Port;

    std::unique_ptr<InventorySource> make_source();
    base::Result<void> listen();
    void add_sinks();
    void restore_agents();
    void add_metrics();
    void housekeeping();
    void monitor_itself();
    void adopt(const base::HostId& host, const OrphanedReports::Faults& faults);
    void end_faults_of(const base::HostId& host);

    void agent_up(Port& port, const base::HostId& host, const bus::Hello& hello, const std::string& peer);
    void agent_down(Port& port, const base::HostId& host, const std::string& why);
    void message(Port& port, const base::HostId& host, const bus::ToController& message);
    void on(const base::HostId& host, const bus::Hello& hello);
    void on(const base::HostId& host, const bus::LeadChanged& changed);
    void on(const base::HostId& host, const bus::SnapshotBegin&);
    void on(const base::HostId& host, const bus::SnapshotEnd&);
    void on(const base::HostId& host, const bus::Guests& guests);
    void on(const base::HostId& host, const bus::GuestGone& gone);
    void on(const base::HostId& host, const bus::Faults& faults);
    void on(const base::HostId& host, const bus::AgentProblems& message);
    void on(const base::HostId& host, const bus::GroupSend& message) { groups_.on(host, message); }
    void on(const base::HostId& host, const bus::GroupQuery& message) { groups_.on(host, message); }
    void note_refused(const base::HostId& host, const std::vector<base::Error>& errors);
    void accepted(const base::HostId& host);
    void forget_agent(const base::HostId& host);
    void send(const base::HostId& host, const bus::ToAgent& message);
    void send_policies(const base::HostId& host);
    void initial_sync(const base::HostId& host);
    void sync_next();

    void on_inventory_changed(const std::vector<GuestChange>& changes) override;
    void on_inventory_problem(const std::string& what, const std::string& detail) override;
    void enrich(Alarm& alarm) const;

    boost::asio::io_context& io_;
    ControllerConfig config_;
    std::string version_;
    base::WallTime started_at_;
    std::unique_ptr<runtime::Store> store_;
    AlarmStore rows_;
    runtime::Metrics metrics_;
    runtime::Problems problems_;
    bus::CertificateWatch certificates_;
    runtime::HttpClient http_client_;
    std::unique_ptr<Keystone> keystone_;  ///< null when nothing needs OpenStack
    Fleet fleet_;
    Inventory inventory_;
    bool inventory_seen_ = false;
    GroupService groups_;
    std::unique_ptr<InventorySource> source_;
    std::unique_ptr<AlarmManager> alarms_;
    SelfMonitoring self_monitoring_;
    std::vector<std::unique_ptr<Port>> ports_;
    OrphanedReports orphaned_;
    std::unique_ptr<bus::Mailbox> mailbox_;  ///< null without a broker
    std::map<base::HostId, Port*> connected_;
    std::map<base::HostId, std::vector<model::GuestPolicy>> sent_policies_;
    runtime::HttpServer http_server_;
    boost::asio::steady_timer look_timer_;
    std::set<base::HostId> to_brief_;
    base::TimePoint brief_by_{};
    runtime::Timer brief_timer_;
    std::set<base::HostId> refusing_;  ///< agents that said what cannot be
    bool listening_ = false;
    runtime::Counter bus_messages_;
    runtime::Counter bus_refused_;
};

}  // namespace vitalwire::controller
