#include "controller/controller.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/log.hpp"
#include "bus/transport.hpp"
#include "controller/http/api.hpp"
#include "controller/openstack/nova_inventory.hpp"
#include "controller/sources/file_inventory.hpp"

namespace vitalwire::controller {

using base::HostId;

namespace {

/// How often what nobody reports is looked at: the store's health, agents that are gone for good.
constexpr base::Millis kLookAround{1000};
/// An agent that restarts is back by then; longer is a problem for somebody to look at.
constexpr base::Millis kAgentPatience{5000};
/// A thousand agents come back one after the other, within this altogether.
constexpr base::Millis kBriefingPause{100};
constexpr base::Millis kLongestBriefingPause{3000};
constexpr std::size_t kFewAgents = 5;
/// Of one message: together well below bus::kMaxBusMessage.
constexpr std::size_t kPoliciesInMessage = 2000;

base::WallTime wall_now() {
    return std::chrono::system_clock::now();
}

// What the board of problems calls them.
std::string not_connected(const HostId& host) {
    return "agent " + host.str() + " is not connected";
}
std::string impossible(const HostId& host) {
    return "agent " + host.str() + " says what cannot be";
}

}  // namespace

/// One listening URL; tells its events apart from the others'.
class Controller::Port : public bus::ControllerPort::Handler {
public:
    Port(Controller& owner, std::unique_ptr<bus::ControllerPort> port) : owner_(owner), port_(std::move(port)) {}

    bus::ControllerPort& bus() { return *port_; }

    void on_agent_up(const HostId& host, const bus::Hello& hello, const std::string& peer) override {
        owner_.agent_up(*this, host, hello, peer);
    }
    void on_agent_down(const HostId& host, const std::string& why) override { owner_.agent_down(*this, host, why); }
    void on_message(const HostId& host, const bus::ToController& message) override {
        owner_.message(*this, host, message);
    }

private:
    Controller& owner_;
    std::unique_ptr<bus::ControllerPort> port_;
};

Controller::Controller(boost::asio::io_context& io, ControllerConfig config, std::string version,
                       std::unique_ptr<runtime::Store> store)
    : io_(io),
      config_(std::move(config)),
      version_(std::move(version)),
      started_at_(wall_now()),
      store_(std::move(store)),
      rows_(*store_),
      certificates_(io, config_.tls,
                    [this](const std::string& why) { problems_.set("the certificate needs renewal", why); }),
      http_client_(io),
      keystone_(config_.openstack ? std::make_unique<Keystone>(io, http_client_, *config_.openstack) : nullptr),
      groups_(inventory_, fleet_, metrics_, config_.host.str() + "@" + base::to_iso8601(started_at_),
              [this](const HostId& host, const bus::ToAgent& message) { send(host, message); }),
      source_(make_source()),
      alarms_(std::make_unique<AlarmManager>(
          AlarmManager::Options{config_.history, config_.resume_grace}, rows_,
          AlarmManager::Dependencies{
              io, metrics_, problems_, fleet_, [this](Alarm& alarm) { enrich(alarm); },
              [this](const HostId& host, const bus::FaultsDelivered& delivered) { send(host, delivered); },
              [this](std::function<void()> call) { boost::asio::post(io_, std::move(call)); },
              [this] { return inventory_loaded(); }})),
      self_monitoring_({config_.host, config_.agent_lost_after, config_.resume_grace, config_.sink_failing_after}),
      orphaned_(io, config_.resume_grace,
                {[this](const HostId& host) { return connected_.contains(host); },
                 [this] {
                     return std::any_of(ports_.begin(), ports_.end(),
                                        [](const auto& port) { return port->bus().problem().empty(); });
                 },
                 [this](const HostId& host, const OrphanedReports::Faults& faults) { adopt(host, faults); },
                 [this](std::function<void()> done) { store_->when_durable(std::move(done)); }}),
      http_server_(io, make_router(*this)),
      look_timer_(io),
      brief_timer_(io) {
    bus_messages_ = metrics_.counter("vitalwire_controller_bus_messages_total", "Messages from agents.");
    bus_refused_ = metrics_.counter("vitalwire_controller_bus_refused_total",
                                    "Messages, or faults and guests in them, that were refused.");
    add_metrics();
}

Controller::~Controller() = default;

std::unique_ptr<InventorySource> Controller::make_source() {
    if (config_.nova) return std::make_unique<NovaInventory>(io_, inventory_, *keystone_, metrics_, *config_.nova);
    return std::make_unique<FileInventory>(io_, inventory_, config_.inventory, config_.inventory_required);
}

base::Result<void> Controller::start() {
    add_sinks();
    restore_agents();
    alarms_->internal().on_finished = [this](const base::FaultId& alarm) { self_monitoring_.forget(alarm); };
    alarms_->load(base::Clock::now());
    for (const auto& [id, alarm] : alarms_->internal().all())
        self_monitoring_.restore(alarm);
    if (!store_->set_aside().empty())
        problems_.raise("the store was unreadable and was set aside", store_->set_aside());
    source_->start(*this);
    for (const auto& sink : alarms_->sinks()) {
        if (auto started = sink->start(); !started) return started;
    }
    if (auto bus = listen(); !bus) return bus;
    for (const std::string& address : config_.http_listen) {
        if (auto http = http_server_.listen(address); !http) return http;
    }
    housekeeping();
    return {};
}

base::Result<void> Controller::listen() {
    for (const std::string& url : config_.bus_listen) {
        auto made = bus::make_controller_port(io_, url, config_.tls, config_.transport);
        if (!made) return tl::make_unexpected(made.error());
        ports_.push_back(std::make_unique<Port>(*this, std::move(*made)));
    }
    if (!config_.brokers.empty()) {
        auto made = bus::make_broker_port(io_, config_.brokers, config_.broker_access, config_.tls, config_.transport);
        if (!made) return tl::make_unexpected(made.error());
        ports_.push_back(std::make_unique<Port>(*this, std::move(*made)));
        auto mailbox = bus::make_mailbox(io_, config_.brokers, config_.broker_access, config_.tls, config_.transport);
        if (!mailbox) return tl::make_unexpected(mailbox.error());
        mailbox_ = std::move(*mailbox);
    }
    for (const auto& port : ports_) {
        if (auto started = port->bus().start(*port); !started) return started;
        log::info("listening for agents", {{"url", port->bus().address()}});
    }
    if (mailbox_) {
        mailbox_->start([this](const HostId& host, const bus::Faults& faults, std::function<void()> done) {
            orphaned_.take(host, faults.faults, std::move(done));
        });
    }
    listening_ = true;
    return {};
}

void Controller::add_sinks() {
    for (const SinkConfig& sink : config_.sinks) {
        const SinkContext context{
            io_,
            http_client_,
            keystone_.get(),
            sink.name,
            store_.get(),
            &metrics_,
            &problems_,
            [this, name = sink.name](const base::GuestId& guest) { alarms_->resend(name, guest); },
            [this] {
                auto listeners = bus_addresses();
                listeners.push_back(http_address());
                return listeners;
            }};
        alarms_->add_sink(sink.name, sink.type, sink.make(context), sink.delivery, sink.policies);
    }
}

void Controller::restore_agents() {
    for (auto& [host, agent] : rows_.load_agents())
        fleet_.restore(host, std::move(agent));
}

void Controller::add_metrics() {
    metrics_.gauge("vitalwire_controller_agents_connected", "Agents connected now.",
                   [this] { return static_cast<double>(fleet_.connected()); });
    metrics_.gauge("vitalwire_controller_agents_known", "Agents known, connected or not.",
                   [this] { return static_cast<double>(fleet_.agents().size()); });
    metrics_.gauge("vitalwire_controller_bus_connections_refused",
                   "Connections that ended before they were an agent's.", [this] {
                       double refused = 0;
                       for (const auto& port : ports_)
                           refused += static_cast<double>(port->bus().refused());
                       return refused + static_cast<double>(mailbox_ ? mailbox_->refused() : 0);
                   });
    metrics_.gauge("vitalwire_controller_bus_messages_dropped",
                   "Messages to and from agents that full queues lost; the whole state was told after it.", [this] {
                       double dropped = 0;
                       for (const auto& port : ports_)
                           dropped += static_cast<double>(port->bus().dropped());
                       return dropped;
                   });
    metrics_.gauge("vitalwire_controller_deposits_waiting", "Messages of faults left by agents that are away.",
                   [this] { return static_cast<double>(orphaned_.waiting()); });
    metrics_.gauge("vitalwire_controller_inventory_guests", "Guests in the inventory.",
                   [this] { return static_cast<double>(inventory_.guests().size()); });
    metrics_.gauge("vitalwire_controller_store_pending", "Rows that wait to be written to disk.",
                   [this] { return static_cast<double>(store_->pending()); });
    metrics_.counter("vitalwire_controller_http_connections_refused_total",
                     "HTTP connections that sent nothing in time, or were closed for newer ones.",
                     [this] { return http_server_.refused(); });
    metrics_.gauge("vitalwire_controller_certificate_seconds_left", "Until our own certificate ends; 0 without one.",
                   [this] { return certificates_.seconds_left(); });
    for (const char* kind : {kAgentLost, kSinkFailing}) {
        metrics_.gauge("vitalwire_controller_own_alarms_open", "Alarms about the suite itself that are open.",
                       [this, kind] { return static_cast<double>(self_monitoring_.open_of_kind(kind)); },
                       {{"kind", kind}});
    }
    for (const char* state : kGuestStates) {
        metrics_.gauge("vitalwire_controller_guests", "Guests by state.",
                       [this, state] { return static_cast<double>(count_guests(*this, state)); }, {{"state", state}});
    }
}

void Controller::reload() {
    source_->reload();
}

void Controller::stop() {
    look_timer_.cancel();
    brief_timer_.cancel();
    alarms_->stop();
    source_->stop();
    http_server_.stop();
    orphaned_.stop();
    if (mailbox_) mailbox_->stop();
    for (const auto& port : ports_)
        port->bus().stop();
    if (keystone_) keystone_->stop();
    http_client_.stop();
    store_->close();
}

bool Controller::ready() const {
    return inventory_loaded() && listening();
}

/// Agents can come in by one of the ports at least: what a broker takes away, or an address that is not there, counts.
bool Controller::listening() const {
    return listening_ &&
           std::any_of(ports_.begin(), ports_.end(), [](const auto& port) { return port->bus().problem().empty(); });
}

std::vector<std::string> Controller::bus_addresses() const {
    std::vector<std::string> addresses;
    for (const auto& port : ports_)
        addresses.push_back(port->bus().address());
    return addresses;
}

void Controller::housekeeping() {
    alarms_->tick(base::Clock::now());
    problems_.set("the store cannot be written", store_->healthy() ? "" : store_->problem());
    for (const auto& port : ports_)
        problems_.set("no agent can come by " + port->bus().address(), port->bus().problem());
    problems_.set("the HTTP interface does not listen", http_server_.problem());
    problems_.set("faults left at the broker cannot be read", mailbox_ ? mailbox_->problem() : "");
    std::vector<HostId> gone;
    for (const auto& [host, agent] : fleet_.agents()) {
        const base::WallTime now = wall_now();
        const bool away = !agent.connected && now - std::max(agent.since, started_at_) > kAgentPatience;
        problems_.set(not_connected(host), away ? "last seen " + base::to_iso8601(agent.last_seen) : "");
        const bool expired = !agent.connected && now - agent.last_seen > config_.forget_agent_after;
        if (expired && alarms_->table().of_host(host).empty()) gone.push_back(host);
        if (away) end_faults_of(host);
    }
    for (const HostId& host : gone)
        forget_agent(host);
    monitor_itself();
    look_timer_.expires_after(kLookAround);
    look_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) housekeeping();
    });
}

void Controller::monitor_itself() {
    std::vector<SelfMonitoring::SinkState> sinks;
    for (const auto& sink : alarms_->sinks())
        sinks.push_back({sink->name(), sink->queue().away_since(), sink->queue().last_error()});
    for (const Alarm& alarm : self_monitoring_.look(fleet_, sinks, {base::Clock::now(), wall_now()}))
        alarms_->internal().tell(alarm);
    alarms_->internal().look();
}

/// No controller was there to hear of them.
void Controller::adopt(const HostId& host, const OrphanedReports::Faults& faults) {
    fleet_.adopt(host, wall_now());
    rows_.put_agent(host, *fleet_.find(host));
    note_refused(host, alarms_->report_orphaned(host, faults, wall_now()));
}

/// A host that never returns cannot end its faults: they end when the cloud says that their guests are not there.
void Controller::end_faults_of(const HostId& host) {
    if (!source_->loaded()) return;
    std::vector<std::pair<base::FaultId, std::string_view>> over;
    for (const TrackedFault* booked : alarms_->table().of_host(host)) {
        const auto why = why_over(inventory_, source_->names_all(), *booked);
        if (why) over.emplace_back(booked->fault.id, *why);
    }
    for (const auto& [fault, why] : over)
        alarms_->end(fault, why, wall_now());
}

void Controller::forget_agent(const HostId& host) {
    log::info("forgot an agent that is gone for long", {{"host", host}});
    problems_.clear(not_connected(host));
    accepted(host);
    fleet_.forget(host);
    rows_.erase_agent(host);
}

void Controller::agent_up(Port& port, const HostId& host, const bus::Hello& hello, const std::string& peer) {
    if (hello.version != bus::kBusVersion) {
        bus_refused_.add();
        port.bus().send(host, bus::Rejected{"this controller speaks version " + std::to_string(bus::kBusVersion)});
        return;
    }
    const auto earlier = connected_.find(host);
    if (earlier != connected_.end() && earlier->second != &port) {
        log::warning("an agent connected by another way, dropping the earlier one", {{"host", host}, {"peer", peer}});
        earlier->second->bus().send(host, bus::Rejected{"connected by another URL of the same controller"});
    }
    connected_[host] = &port;
    sent_policies_.erase(host);
    fleet_.up(host, hello, peer, wall_now());
    rows_.put_agent(host, *fleet_.find(host));
    log::info("agent connected",
              {{"host", host}, {"peer", peer}, {"version", hello.agent_version}, {"lead", hello.lead}});
    alarms_->agent_up(host);
    groups_.expect(host);
    orphaned_.agent_up(host);
    send(host, bus::Welcome{bus::kBusVersion, config_.host.str()});
    send_policies(host);
}

void Controller::agent_down(Port& port, const HostId& host, const std::string& why) {
    const auto at = connected_.find(host);
    if (at == connected_.end() || at->second != &port) return;
    connected_.erase(at);
    sent_policies_.erase(host);
    fleet_.down(host, wall_now());
    rows_.put_agent(host, *fleet_.find(host));
    alarms_->agent_down(host);
    groups_.agent_down(host);
    log::warning("agent disconnected", {{"host", host}, {"why", why}});
}

void Controller::message(Port& port, const HostId& host, const bus::ToController& message) {
    const auto at = connected_.find(host);
    if (at == connected_.end() || at->second != &port) return;
    bus_messages_.add();
    fleet_.seen(host, wall_now());
    std::visit([&](const auto& content) { on(host, content); }, message);
}

void Controller::on(const HostId& host, const bus::Hello& hello) {
    // Said again on a connection that is up: only who leads can have changed.
    on(host, bus::LeadChanged{hello.lead, hello.primary, hello.controllers});
}

void Controller::on(const HostId& host, const bus::LeadChanged& changed) {
    fleet_.set_lead(host, changed.lead);
    rows_.put_agent(host, *fleet_.find(host));
    alarms_->primary_changed(host);
    initial_sync(host);
    log::info(changed.lead ? "leads for an agent" : "leads no longer for an agent", {{"host", host}});
}

void Controller::on(const HostId& host, const bus::SnapshotBegin&) {
    fleet_.begin_snapshot(host);
    alarms_->begin_snapshot(host);
}

void Controller::on(const HostId& host, const bus::SnapshotEnd&) {
    fleet_.end_snapshot(host);
    alarms_->end_snapshot(host, wall_now());
    initial_sync(host);
}

void Controller::on(const HostId& host, const bus::Guests& guests) {
    std::vector<base::Error> errors = guests.skipped;
    for (const model::GuestReport& report : guests.guests) {
        const auto taken = fleet_.report(host, report);
        if (!taken) {
            errors.push_back(taken.error());
            continue;
        }
        groups_.heartbeat_changed(report.guest, wall_now());
    }
    note_refused(host, errors);
}

void Controller::on(const HostId& host, const bus::GuestGone& gone) {
    fleet_.gone(host, gone.guest);
    groups_.heartbeat_changed(gone.guest, wall_now());
}

void Controller::on(const HostId& host, const bus::Faults& faults) {
    auto errors = alarms_->report(host, faults.faults, wall_now());
    errors.insert(errors.end(), faults.skipped.begin(), faults.skipped.end());
    note_refused(host, errors);
}

void Controller::on(const HostId& host, const bus::AgentProblems& message) {
    const auto& problems = message.problems;
    problems_.set("agent " + host.str() + " is degraded",
                  problems.empty() ? "" : problems.front().what + ": " + problems.front().detail);
}

/// The problem lasts until a message of that agent is taken as a whole.
void Controller::note_refused(const HostId& host, const std::vector<base::Error>& errors) {
    if (errors.empty()) return accepted(host);
    bus_refused_.add(static_cast<double>(errors.size()));
    refusing_.insert(host);
    problems_.raise(impossible(host), errors.front().message);
}

void Controller::accepted(const HostId& host) {
    if (refusing_.erase(host) > 0) problems_.clear(impossible(host));
}

void Controller::send(const HostId& host, const bus::ToAgent& message) {
    const auto at = connected_.find(host);
    if (at != connected_.end()) at->second->bus().send(host, message);
}

void Controller::send_policies(const HostId& host) {
    // An inventory that is not known yet must not switch anything off.
    if (!source_->loaded() || !connected_.contains(host)) return;
    std::vector<model::GuestPolicy> wanted;
    for (const InventoryGuest* guest : inventory_.of_host(host))
        wanted.push_back(guest->policy);
    const auto sent = sent_policies_.find(host);
    if (sent != sent_policies_.end() && sent->second == wanted) return;

    bus::Policies message;
    message.complete = true;
    for (const model::GuestPolicy& policy : wanted) {
        message.policies.push_back(policy);
        if (message.policies.size() < kPoliciesInMessage) continue;
        send(host, std::exchange(message, {}));  // the next ones add to these
    }
    if (message.complete || !message.policies.empty()) send(host, message);
    sent_policies_[host] = std::move(wanted);
}

/// One in each turn of the loop: of a large cloud there is much to say. When many come, after the last of them.
void Controller::initial_sync(const HostId& host) {
    groups_.expect(host);
    const base::TimePoint now = base::Clock::now();
    if (to_brief_.empty()) brief_by_ = now + kLongestBriefingPause;
    to_brief_.insert(host);
    const base::Duration settle = to_brief_.size() > kFewAgents ? kBriefingPause : base::Millis::zero();
    brief_timer_.after(std::min(settle, brief_by_ - now), [this] { sync_next(); });
}

void Controller::sync_next() {
    const HostId host = to_brief_.extract(to_brief_.begin()).value();
    // Without an inventory nothing can be said; when it is there, all agents are briefed.
    if (connected_.contains(host) && source_->loaded()) {
        groups_.introduce(host, wall_now());
        send_policies(host);
    }
    if (!to_brief_.empty()) brief_timer_.after(base::Duration::zero(), [this] { sync_next(); });
}

void Controller::on_inventory_changed(const std::vector<GuestChange>& changes) {
    std::set<HostId> hosts;
    if (!std::exchange(inventory_seen_, true)) {
        alarms_->reconsider_all();
        for (const auto& [host, port] : connected_)
            initial_sync(host);
        return;
    }
    groups_.inventory_changed(changes, wall_now());
    alarms_->reconsider(changes);
    for (const GuestChange& change : changes) {
        if (change.before) hosts.insert(change.before->host);
        if (change.after) hosts.insert(change.after->host);
    }
    for (const HostId& host : hosts)
        send_policies(host);
}

void Controller::on_inventory_problem(const std::string& what, const std::string& detail) {
    problems_.set(what, detail);
}

void Controller::enrich(Alarm& alarm) const {
    const InventoryGuest* guest = inventory_.guest(alarm.guest);
    if (guest == nullptr) return;
    alarm.display_name = guest->display_name;
    alarm.group = guest->group;
    alarm.project = guest->project;
    alarm.flavor = guest->flavor;
    if (const InventoryGroup* group = inventory_.group(guest->group)) alarm.group_name = group->name;
}

}  // namespace vitalwire::controller
