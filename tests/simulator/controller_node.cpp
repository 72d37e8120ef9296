#include "controller_node.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "runtime/timer.hpp"

namespace vitalwire::simulator {

using base::HostId;

struct ControllerNode::Process {
    explicit Process(ControllerNode& owner)
        : node(owner),
          store(node.world_, node.disk_),
          rows(store),
          alarms({}, rows,
                 {node.world_.io(), metrics, problems, fleet, [](controller::Alarm&) {},
                  [this](const HostId& host, const bus::FaultsDelivered& delivered) { send(host, delivered); },
                  [this](std::function<void()> call) { boost::asio::post(node.world_.io(), std::move(call)); }}),
          grace(node.world_.io()) {
        for (Inspector* inspector : node.inspectors_) {
            auto sink = std::make_unique<InspectorSink>(node.world_, *inspector, node.inspectors_cut_off_);
            controller::DeliveryOptions options;
            options.backlog = node.backlog_;
            alarms.add_sink(inspector->name(), "webhook", std::move(sink), options);
        }
        for (auto& [host, agent] : rows.load_agents())
            fleet.restore(host, std::move(agent));
        alarms.load(virtual_time::now());
        grace.after(alarms.next_due() - virtual_time::now(), [this] { alarms.tick(virtual_time::now()); });
    }

    void send(const HostId& host, const bus::ToAgent& message) { node.cables_.at(host)->send_to_agent(message); }

    void up(const HostId& host, const bus::Hello& hello) {
        fleet.up(host, hello, "simulated", virtual_time::wall());
        rows.put_agent(host, *fleet.find(host));
        alarms.agent_up(host);
        send(host, bus::Welcome{bus::kBusVersion, node.name_});
        node.send_policies(host);
    }

    void down(const HostId& host) {
        fleet.down(host, virtual_time::wall());
        rows.put_agent(host, *fleet.find(host));
        alarms.agent_down(host);
    }

    void on(const HostId& host, const bus::Hello& hello) { on(host, bus::LeadChanged{hello.lead, {}, {}}); }
    void on(const HostId& host, const bus::LeadChanged& changed) {
        fleet.set_lead(host, changed.lead);
        rows.put_agent(host, *fleet.find(host));
        alarms.primary_changed(host);
    }
    void on(const HostId& host, const bus::SnapshotBegin&) {
        fleet.begin_snapshot(host);
        alarms.begin_snapshot(host);
    }
    void on(const HostId& host, const bus::SnapshotEnd&) {
        fleet.end_snapshot(host);
        alarms.end_snapshot(host, virtual_time::wall());
    }
    void on(const HostId& host, const bus::Guests& guests) {
        for (const model::GuestReport& report : guests.guests)
            require(fleet.report(host, report));
    }
    void on(const HostId& host, const bus::GuestGone& gone) { fleet.gone(host, gone.guest); }
    void on(const HostId& host, const bus::Faults& faults) {
        for (const base::Error& error : alarms.report(host, faults.faults, virtual_time::wall()))
            node.world_.violated(node.name_ + " refuses what an agent says: " + error.message);
    }

    /// Server groups and problems of agents are not simulated.
    template <class Other>
    void on(const HostId&, const Other&) {}

    void require(const base::Result<void>& done) const {
        if (!done) node.world_.violated(node.name_ + " refuses what an agent says: " + done.error().message);
    }

    ControllerNode& node;
    SimulatedStore store;
    controller::AlarmStore rows;
    runtime::Metrics metrics;
    runtime::Problems problems;
    controller::Fleet fleet;
    controller::AlarmManager alarms;
    runtime::Timer grace;
};

ControllerNode::ControllerNode(World& world, std::string name, std::vector<Inspector*> inspectors, int backlog,
                               PoliciesOf policies_of)
    : world_(world),
      name_(std::move(name)),
      inspectors_(std::move(inspectors)),
      backlog_(backlog),
      policies_of_(std::move(policies_of)),
      inbox_(world) {}

ControllerNode::~ControllerNode() = default;

void ControllerNode::start() {
    if (process_) return;
    world_.tell(name_ + " starts");
    inbox_.renew();
    process_ = std::make_unique<Process>(*this);
    for (const auto& [host, cable] : cables_)
        cable->serve(this);
}

void ControllerNode::stop(bool killed) {
    if (!process_) return;
    world_.tell(name_ + (killed ? " is killed" : " stops"));
    process_->alarms.stop();
    if (!killed) process_->store.close();
    process_.reset();
    inbox_.renew();
    for (const auto& [host, cable] : cables_)
        cable->server_died();
}

void ControllerNode::send_policies(const HostId& host) {
    if (process_) cables_.at(host)->send_to_agent(bus::Policies{true, policies_of_(host)});
}

const controller::FaultTable& ControllerNode::book() const {
    return process_->alarms.table();
}

void ControllerNode::agent_up(const HostId& host, const bus::Hello& hello) {
    run([host, hello](Process& process) { process.up(host, hello); });
}

void ControllerNode::agent_down(const HostId& host) {
    run([host](Process& process) { process.down(host); });
}

void ControllerNode::message(const HostId& host, const bus::ToController& message) {
    run([host, message](Process& process) {
        process.fleet.seen(host, virtual_time::wall());
        std::visit([&](const auto& content) { process.on(host, content); }, message);
    });
}

void ControllerNode::run(std::function<void(Process&)> call) {
    inbox_.run([this, call = std::move(call)] { call(*process_); });
}

}  // namespace vitalwire::simulator
