#include "controller/controller.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.hpp"
#include "bus/tls_context.hpp"
#include "bus/transport.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/http/controller_metrics.hpp"
#include "controller/sources/file_inventory.hpp"

namespace vitalwire::controller {

namespace {

/// How often the parts that report nothing by themselves are checked.
constexpr base::Millis kCheck{1000};

base::Moment moment() {
    return {base::Clock::now(), std::chrono::system_clock::now()};
}

}  // namespace

Controller::Controller(boost::asio::io_context& io, ControllerConfig config, std::string version,
                       std::unique_ptr<runtime::Store> store, std::function<runtime::ReloadReport()> reload)
    : io_(io),
      config_(std::move(config)),
      http_tokens_(std::make_shared<runtime::Router::Tokens>(config_.http_tokens)),
      store_(std::move(store)),
      rows_(*store_),
      certificates_(io, config_.access.tls,
                    [this](const std::string& why) { problems_.set("the certificate needs renewal", why); }),
      http_certificate_(io, config_.http_tls,
                        [this](const std::string& why) {
                            problems_.set("the certificate of the HTTP interface needs renewal", why);
                        }),
      http_client_(io),
      keystone_(config_.openstack ? std::make_unique<Keystone>(io, http_client_, *config_.openstack) : nullptr),
      source_(make_source()),
      core_(core_options(), {problems_, rows_, inventory_, *this}),
      peers_(io, http_client_, problems_, config_.peers, {config_.host.str(), started_at_}, *this),
      ports_(core_, moment, [this] { arm(); }),
      api_(api_context(std::move(version), std::move(reload))),
      http_server_(io, make_router(api_)),
      core_timer_(io),
      check_timer_(io) {
    add_metrics();
}

Controller::~Controller() = default;

Core::Options Controller::core_options() const {
    return {{config_.host, config_.agent_lost_after, config_.resume_grace, config_.sink_failing_after},
            {config_.history, config_.resume_grace},
            config_.remove_agent_after,
            started_at_,
            config_.host_unreachable_after};
}

ApiContext Controller::api_context(std::string version, std::function<runtime::ReloadReport()> reload) {
    return {config_.host.str(),
            std::move(version),
            started_at_,
            http_tokens_,
            core_,
            inventory_,
            problems_,
            metrics_,
            census_,
            [this] { return source_->loaded(); },
            [this] { return listening(); },
            [this] { return rows_.faults_version(); },
            [this](const ApiContext::Operation& operation) {
                run([&](base::Moment now) { operation(core_, now); });
                peers_.announce();
            },
            [this] { peers_.ask_now(); },
            [this](const base::GroupId& group, const std::string& payload) {
                return core_.groups().send_as_operator(group, payload);
            },
            [this](const std::string& controller) { return peers_.silent_since(controller); },
            std::move(reload)};
}

std::unique_ptr<InventorySource> Controller::make_source() {
    if (config_.nova) {
        auto nova = std::make_unique<NovaInventory>(io_, inventory_, *keystone_, metrics_, *config_.nova);
        nova_ = nova.get();
        return nova;
    }
    return std::make_unique<FileInventory>(io_, inventory_, config_.inventory, config_.inventory_required);
}

base::Result<void> Controller::start() {
    for (const SinkConfig& sink : config_.sinks)
        add_sink(sink);
    core_.load(moment());
    if (rows_.unreadable() > 0)
        problems_.raise(
            "rows of the state cannot be read",
            std::to_string(rows_.unreadable()) + " of them, kept in its section 'unreadable': " + config_.state);
    if (!store_->set_aside().empty())
        problems_.raise("the store was unreadable: quarantined, starting empty", store_->set_aside());
    source_->start(*this);
    for (const auto& sink : core_.alarms().sinks()) {
        if (auto started = sink->start(); !started) return started;
    }
    if (auto bus = listen(); !bus) return bus;
    if (auto tls = bus::use_tls(http_server_, config_.http_tls); !tls) return tls;
    for (const std::string& address : config_.http_listen) {
        if (auto http = http_server_.listen(address); !http) return http;
    }
    peers_.start();
    check();
    run([this](base::Moment now) { core_.tick(now); });
    return {};
}

base::Result<std::unique_ptr<bus::ControllerPort>> Controller::make_port(const std::string& url) {
    return bus::make_controller_port(io_, url, config_.access, config_.transport);
}

base::Result<AgentPorts::Parts> Controller::make_ports() {
    AgentPorts::Parts parts;
    for (const std::string& url : config_.bus_listen) {
        auto port = make_port(url);
        if (!port) return tl::make_unexpected(port.error());
        parts.ports.emplace_back(url, std::move(*port));
    }
    if (config_.access.brokers.empty()) return parts;
    auto broker = bus::make_broker_port(io_, config_.access, config_.transport);
    if (!broker) return tl::make_unexpected(broker.error());
    parts.broker = std::move(*broker);
    auto mailbox = bus::make_mailbox(io_, config_.access);
    if (!mailbox) return tl::make_unexpected(mailbox.error());
    parts.mailbox = std::move(*mailbox);
    return parts;
}

base::Result<void> Controller::listen() {
    auto parts = make_ports();
    if (!parts) return tl::make_unexpected(parts.error());
    if (auto started = ports_.start(std::move(*parts)); !started) return started;
    listening_ = true;
    return {};
}

SinkContext Controller::sink_context(const std::string& name) {
    return {io_,
            http_client_,
            keystone_.get(),
            name,
            store_.get(),
            [this](const std::string& table) -> runtime::StoredTable& {
                return tables_.try_emplace(table, *store_, table).first->second;
            },
            &metrics_,
            &problems_,
            [this, name](const base::GuestId& guest) { core_.alarms().resend(name, guest); },
            [this] {
                auto listeners = ports_.addresses();
                listeners.push_back(http_address());
                return listeners;
            }};
}

void Controller::add_sink(const SinkConfig& sink) {
    core_.alarms().add_sink(std::make_unique<SinkWorker>(
        sink.name, sink.type, sink.make(sink_context(sink.name)), sink.delivery, sink.policies,
        SinkWorker::Shell{io_, metrics_, problems_}, core_.alarms().context_of(sink.name, sink.receiver)));
}

void Controller::add_metrics() {
    controller::add_metrics(metrics_, api_,
                            {[this] { return store_->pending(); }, [this] { return ports_.refused(); },
                             [this] { return ports_.dropped(); }, [this] { return http_server_.refused(); },
                             [this] { return http_server_.denied(); }, [this] { return certificates_.seconds_left(); },
                             [this] { return certificates_.notice_seconds(); }, [this] { return rows_.unreadable(); },
                             [this] {
                                 const auto age = base::Clock::now() - source_->current_at();
                                 return std::chrono::duration<double>(age).count();
                             }});
}

void Controller::stop() {
    core_timer_.cancel();
    check_timer_.cancel();
    core_.stop();
    peers_.stop();
    source_->stop();
    http_server_.stop();
    ports_.stop();
    if (keystone_) keystone_->stop();
    http_client_.stop();
    store_->close();
}

bool Controller::listening() const {
    return listening_ && ports_.reachable();
}

template <class Event>
void Controller::run(Event event) {
    event(moment());
    arm();
}

void Controller::arm() {
    const base::TimePoint due = core_.next_due();
    if (std::exchange(armed_for_, due) == due) return;
    if (due == base::kNever) return core_timer_.cancel();
    core_timer_.after(std::max(due - base::Clock::now(), base::Duration::zero()), [this] {
        armed_for_ = base::kNever;
        run([this](base::Moment now) { core_.tick(now); });
    });
}

void Controller::check() {
    problems_.set("the store cannot be written", store_->healthy() ? "" : store_->problem());
    ports_.show_problems(problems_);
    const std::string at_broker = ports_.conflict();
    problems_.set("another controller has the same name", at_broker.empty() ? peers_.namesakes() : at_broker);
    problems_.set("the HTTP interface does not listen", http_server_.problem());
    check_timer_.after(kCheck, [this] { check(); });
}

Evidence::Source Controller::inventory_source() const {
    return {source_->loaded(), source_->names_all()};
}

void Controller::defer(std::function<void()> call) {
    boost::asio::post(io_, [call = std::move(call), alive = std::weak_ptr(alive_)] {
        if (!alive.expired()) call();
    });
}

base::Moment Controller::now() const {
    return moment();
}

void Controller::on_inventory_changed(const std::vector<GuestChange>& changes) {
    run([&](base::Moment now) { core_.inventory_changed(changes, now); });
}

void Controller::on_inventory_problem(const std::string& what, const std::string& detail) {
    problems_.set(what, detail);
}

std::size_t Controller::maintenance_of_peer(const std::vector<Maintenance>& windows) {
    std::size_t no_room = 0;
    run([&](base::Moment now) { no_room = core_.merge_maintenance(windows, now); });
    return no_room;
}

void Controller::agents_of_peer(PeerAnswer answer, base::TimePoint asked_at) {
    run([&](base::Moment now) { core_.peer_answered(std::move(answer), asked_at, now); });
}

void Controller::peer_silent(const std::string& controller) {
    run([&](base::Moment now) { core_.peer_silent(controller, now); });
}

void Controller::journal_of_peer(const base::FaultId& fault, const std::string& controller, Journal::Part journal,
                                 const std::optional<TrackedFault>& past) {
    run([&](base::Moment now) {
        if (past) core_.learn_past(*past);
        core_.merge_journal(fault, controller, std::move(journal), now);
    });
}

}  // namespace vitalwire::controller
