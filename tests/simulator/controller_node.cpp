#include "controller_node.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "controller/core/core.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/state/alarm_store.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::simulator {

using base::HostId;

namespace {
base::Moment moment() {
    return {virtual_time::now(), virtual_time::wall()};
}
}  // namespace

/// The shell of a real core.
struct ControllerNode::Process : controller::Core::Output {
    explicit Process(ControllerNode& owner)
        : node(owner),
          store(node.world_, node.disk_),
          rows(store),
          core({{base::HostId(node.name_)}, {}, std::chrono::hours(24 * 7), virtual_time::wall()},
               {problems, rows, inventory, *this}),
          timer(node.world_.io()) {
        for (Inspector* inspector : node.inspectors_) {
            auto sink = std::make_unique<InspectorSink>(node.world_, *inspector, node.inspectors_cut_off_);
            controller::DeliveryOptions options;
            options.backlog = node.backlog_;
            core.alarms().add_sink(std::make_unique<controller::SinkWorker>(
                inspector->name(), "webhook", std::move(sink), options, std::nullopt,
                controller::SinkWorker::Shell{node.world_.io(), metrics, problems},
                core.alarms().context_of(inspector->name())));
        }
        core.load(moment());
        inventory.replace(node.inventory());
        core.inventory_changed({}, moment());
        arm();
    }

    void send(const controller::Session& session, const bus::ToAgent& message) override {
        node.cables_.at(session.name)->send_to_agent(message);
    }
    void refresh_inventory() override {}
    controller::Evidence::Source inventory_source() const override { return {true, true}; }
    bool reachable() const override { return true; }
    void defer(std::function<void()> call) override {
        boost::asio::post(node.world_.io(), [call = std::move(call), alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) call();
        });
    }

    base::Moment now() const override { return moment(); }

    void arm() {
        const base::TimePoint due = core.next_due();
        if (std::exchange(armed_for, due) == due) return;
        if (due == base::kNever) return timer.cancel();
        timer.after(std::max(due - virtual_time::now(), base::Duration::zero()), [this] {
            armed_for = base::kNever;
            core.tick(moment());
            arm();
        });
    }

    ControllerNode& node;
    SimulatedStore store;
    controller::AlarmStore rows;
    runtime::Metrics metrics;
    runtime::Problems problems{virtual_time::wall};
    controller::Inventory inventory;
    controller::Core core;
    runtime::Timer timer;
    base::TimePoint armed_for = base::kNever;
    std::shared_ptr<int> alive_ = std::make_shared<int>();
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
    world_.log(name_ + " starts");
    inbox_.renew();
    process_ = std::make_unique<Process>(*this);
    for (const auto& [host, cable] : cables_)
        cable->serve(this);
}

void ControllerNode::stop(bool killed) {
    if (!process_) return;
    world_.log(name_ + (killed ? " is killed" : " stops"));
    process_->core.stop();
    if (!killed) process_->store.close();
    process_.reset();
    inbox_.renew();
    for (Inspector* inspector : inspectors_)
        inspector->controller_ended();
    for (const auto& [host, cable] : cables_)
        cable->server_died();
}

controller::InventorySnapshot ControllerNode::inventory() const {
    controller::InventorySnapshot snapshot;
    for (const auto& [host, cable] : cables_) {
        for (const model::GuestPolicy& policy : policies_of_(host)) {
            controller::InventoryGuest guest;
            guest.id = policy.guest;
            guest.host = host;
            guest.policy = policy;
            snapshot.guests.push_back(std::move(guest));
        }
    }
    return snapshot;
}

void ControllerNode::update_inventory() {
    if (!process_) return;
    const auto changes = process_->inventory.replace(inventory());
    process_->core.inventory_changed(changes, moment());
    process_->arm();
}

const controller::FaultTable& ControllerNode::fault_table() const {
    return process_->core.alarms().table();
}

void ControllerNode::agent_up(const HostId& host, const bus::Hello& hello) {
    run([host, hello](Process& process) {
        if (const auto rejected = process.core.admit(0, hello, "simulated", moment()))
            process.node.world_.violated(host.str() + " is rejected: " + rejected->reason);
        process.core.agent_up(0, hello, "simulated", moment());
    });
}

void ControllerNode::agent_down(const HostId& host) {
    run([host](Process& process) { process.core.agent_down(0, host, "simulated", moment()); });
}

void ControllerNode::message(const HostId& host, const bus::ToController& message) {
    run([host, message](Process& process) { process.core.message(0, host, message, moment()); });
}

void ControllerNode::run(std::function<void(Process&)> call) {
    inbox_.run([this, call = std::move(call)] {
        call(*process_);
        process_->arm();
    });
}

}  // namespace vitalwire::simulator
