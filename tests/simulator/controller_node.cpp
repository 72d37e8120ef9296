#include "controller_node.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "controller/core/core.hpp"
#include "controller/delivery/sink_worker.hpp"
#include "controller/state/alarm_store.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::simulator {

using base::HostId;

namespace {
/// Shorter stalls are not noticed for certain.
constexpr seconds kStall{2};
constexpr Millis kLooksFirst{150};
}  // namespace

/// The shell of a real core.
struct ControllerNode::Process : controller::Core::Output {
    explicit Process(ControllerNode& owner)
        : node(owner),
          store(node.world_, node.disk_),
          rows(store),
          core({{base::HostId(node.name_)}, {}, std::chrono::hours(24 * 7), owner.moment().wall},
               {problems, rows, inventory, *this}),
          timer(node.world_.io()) {
        for (Inspector* inspector : node.inspectors_) {
            auto sink = std::make_unique<InspectorSink>(
                node.world_, *inspector, node.inspectors_cut_off_,
                [this](const controller::AlarmEvent& event) { check_stall(event); },
                [this, inspector](const controller::AlarmEvent& event) { check_journal(*inspector, event); });
            controller::DeliveryOptions options;
            options.backlog = node.plan_.backlog;
            core.alarms().add_sink(std::make_unique<controller::SinkWorker>(
                inspector->name(), "webhook", std::move(sink), options, policies_for(*inspector),
                controller::SinkWorker::Shell{node.world_.io(), metrics, problems},
                core.alarms().context_of(inspector->name())));
        }
        core.load(now());
        inventory.replace(node.inventory_);
        core.inventory_changed({}, now());
        arm();
    }

    std::optional<std::vector<controller::Policy>> policies_for(const Inspector& inspector) const {
        const HoldingPolicy& holding = node.plan_.holding;
        if (holding.inspector == nullptr) return std::nullopt;
        controller::Policy policy;
        policy.name = "of " + inspector.name();
        policy.sinks = {inspector.name()};
        if (holding.inspector == &inspector)
            policy.hold_off = std::chrono::duration_cast<base::Millis>(holding.hold_off);
        return std::vector{policy};
    }

    /// What it reads when it goes on may be old, and another controller the primary by now.
    void check_stall(const controller::AlarmEvent& event) const {
        const Duration since = node.world_.now() - node.goes_on_at_;
        const bool is_raise = event.change == controller::AlarmChange::opened;
        if (is_raise && since >= Duration::zero() && since < kLooksFirst)
            node.world_.violated(node.name_ + " raises " + event.alarm.id.str() + " just after a stall");
    }

    /// A journal names each delivery that a receiver has confirmed.
    void check_journal(const Inspector& inspector, const controller::AlarmEvent& event) const {
        const controller::Journal::Record* record = core.alarms().journal().find(event.alarm.id);
        const auto names_it = [&](const controller::JournalEntry& entry) {
            return entry.what == "acknowledged" && entry.sink == inspector.name() &&
                   entry.detail.starts_with(to_string(event.change));
        };
        if (record == nullptr || std::none_of(record->entries.begin(), record->entries.end(), names_it))
            node.world_.violated(node.name_ + ": the journal of " + event.alarm.id.str() + " does not name what " +
                                 inspector.name() + " has confirmed");
    }

    void send(const controller::Session& session, const bus::ToAgent& message) override {
        Cable& cable = *node.cables_.at(session.port);
        // What one that stalled answers goes where the question came from, and that is gone.
        if (cable.connection() != node.greeted_[session.port]) return;
        if (const auto* rejected = std::get_if<bus::Rejected>(&message)) return cable.reject(*rejected);
        cable.send_to_agent(message);
    }
    void refresh_inventory() override {}
    void ask_peers() override {}
    controller::Evidence::Source inventory_source() const override { return {true, node.plan_.names_all}; }
    bool reachable() const override { return true; }
    void defer(std::function<void()> call) override {
        boost::asio::post(node.world_.io(), [call = std::move(call), alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) call();
        });
    }

    base::Moment now() const override { return node.moment(); }

    void arm() {
        const base::TimePoint due = core.next_due();
        if (std::exchange(armed_for, due) == due) return;
        if (due == base::kNever) return timer.cancel();
        timer.after(std::max(due - virtual_time::now(), base::Duration::zero()), [this] {
            node.inbox_.run([this] {
                armed_for = base::kNever;
                core.tick(now());
                arm();
            });
        });
    }

    ControllerNode& node;
    SimulatedStore store;
    controller::AlarmStore rows;
    runtime::Metrics metrics;
    runtime::Problems problems{[this] { return node.moment().wall; }};
    controller::Inventory inventory;
    controller::Core core;
    runtime::Timer timer;
    base::TimePoint armed_for = base::kNever;
    std::shared_ptr<int> alive_ = std::make_shared<int>();
};

ControllerNode::ControllerNode(World& world, std::string name, std::vector<Inspector*> inspectors, Plan plan,
                               Cloud cloud)
    : world_(world),
      name_(std::move(name)),
      inspectors_(std::move(inspectors)),
      plan_(plan),
      cloud_(std::move(cloud)),
      inbox_(world) {}

ControllerNode::~ControllerNode() = default;

void ControllerNode::start() {
    if (process_) return;
    world_.log(name_ + " starts");
    inbox_.renew();
    goes_on_at_ = TimePoint::max();
    undisturbed_since_ = world_.now();
    clock_set_before_start_ = clock_set_at_;
    if (!inventory_behind_) inventory_ = cloud_();
    process_ = std::make_unique<Process>(*this);
    for (Cable* cable : cables_) {
        cable->set_controllers_release(release_);
        cable->serve(this);
    }
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
    for (Cable* cable : cables_)
        cable->server_died();
}

void ControllerNode::stall(Duration time) {
    undisturbed_since_ = std::max(undisturbed_since_, world_.now() + time);
    inbox_.stall(time);
    if (time >= kStall) goes_on_at_ = undisturbed_since_;
}

void ControllerNode::update_inventory() {
    if (inventory_behind_) return;
    inventory_ = cloud_();
    if (!process_) return;
    const auto changes = process_->inventory.replace(inventory_);
    process_->core.inventory_changed(changes, moment());
    process_->arm();
}

void ControllerNode::set_inventory_behind(bool behind) {
    if (behind && !inventory_behind_) inventory_from_ = world_.now();
    inventory_behind_ = behind;
    update_inventory();
}

base::Moment ControllerNode::moment() const {
    return {virtual_time::now(),
            virtual_time::wall() + std::chrono::duration_cast<base::WallTime::duration>(plan_.wall_offset)};
}

const controller::FaultTable& ControllerNode::fault_table() const {
    return process_->core.alarms().table();
}

std::optional<model::Fault> ControllerNode::close_a_fault() {
    std::vector<model::Fault> open;
    if (process_) {
        for (const auto& [id, tracked] : fault_table().all()) {
            if (tracked.fault.open() && !tracked.withheld) open.push_back(tracked.fault);
        }
    }
    if (open.empty()) return std::nullopt;
    std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    const model::Fault closed = world_.pick(open);
    process([this, id = closed.id](Process& process) { process.core.clear_by_operator(id, "simulated", moment()); });
    return closed;
}

void ControllerNode::check_acknowledged() const {
    if (!process_) return;
    const controller::AlarmManager& alarms = process_->core.alarms();
    for (const auto& sink : alarms.sinks()) {
        const auto is_it = [&](const Inspector* inspector) { return inspector->name() == sink->name(); };
        const Inspector& inspector = **std::find_if(inspectors_.begin(), inspectors_.end(), is_it);
        for (const auto& [id, tracked] : alarms.table().all()) {
            const controller::DeliveryView view = alarms.view(*sink, tracked);
            const bool acknowledged = view.state == controller::DeliveryView::State::acknowledged && view.revision > 0;
            if (tracked.fault.open() && acknowledged && !inspector.received().contains(id))
                world_.violated(name_ + " shows " + id.str() + " as acknowledged by " + inspector.name() +
                                ", which never received it");
        }
    }
}

std::size_t ControllerNode::port_of(const Cable& cable) const {
    return static_cast<std::size_t>(std::find(cables_.begin(), cables_.end(), &cable) - cables_.begin());
}

void ControllerNode::agent_up(Cable& cable, const bus::Hello& hello) {
    process([this, &cable, port = port_of(cable), connection = cable.connection(), hello](Process& process) {
        greeted_[port] = connection;
        const auto rejected = process.core.admit(port, hello, "simulated", moment());
        if (rejected && cable.connection() == connection) cable.reject(*rejected);
        if (rejected) return;
        process.core.agent_up(port, hello, "simulated", moment());
    });
}

void ControllerNode::agent_down(Cable& cable, const HostId& host) {
    process([this, port = port_of(cable), host](Process& process) {
        process.core.agent_down(port, host, "simulated", moment());
    });
}

void ControllerNode::message(Cable& cable, const HostId& host, const bus::ToController& message) {
    process([this, port = port_of(cable), host, message](Process& process) {
        process.core.message(port, host, message, moment());
    });
}

void ControllerNode::agent_alive(Cable& cable, const HostId& host) {
    process([this, port = port_of(cable), host](Process& process) { process.core.agent_alive(port, host, moment()); });
}

void ControllerNode::process(std::function<void(Process&)> call) {
    inbox_.run([this, call = std::move(call)] {
        call(*process_);
        process_->arm();
    });
}

}  // namespace vitalwire::simulator
