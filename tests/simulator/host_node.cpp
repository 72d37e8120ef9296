#include "host_node.hpp"

#include <algorithm>
#include <utility>

#include "host/bus/controllers.hpp"
#include "host/state/agent_state.hpp"

namespace vitalwire::simulator {

using base::GuestId;
using heartbeat::HostEvent;

namespace {

constexpr seconds kReportInterval{10};
constexpr Millis kNewsDelay{40};
constexpr Millis kConnectDelay{60};
constexpr Millis kCatchUp{100};

class DrawnEntropy final : public host::IdGenerator {
public:
    explicit DrawnEntropy(World& world) : world_(world) {}

    std::int64_t challenge() override { return static_cast<std::int64_t>(world_.below(1U << 31U)); }
    base::SessionId session_id() override { return base::SessionId("s" + number()); }
    base::FaultId fault_id() override { return base::FaultId("f" + number()); }
    std::string number() { return std::to_string(world_.below(std::size_t{1} << 62U)); }

private:
    World& world_;
};

HostEvent state_of(const GuestMachine& machine) {
    switch (machine.power()) {
        case GuestMachine::Power::off:
            return heartbeat::Stopped{heartbeat::StopReason::domain_stopped};
        case GuestMachine::Power::paused:
            return heartbeat::Held{heartbeat::Hold::paused};
        case GuestMachine::Power::crashed:
            return heartbeat::Crashed{heartbeat::CrashReason::panicked};
        case GuestMachine::Power::running:
            break;
    }
    return heartbeat::Started{};
}

}  // namespace

class HostNode::Process final : private host::Monitor::Output {
public:
    explicit Process(HostNode& node)
        : node_(node),
          world_(node.world_),
          ids_(world_),
          store_(world_, node.disk_),
          state_(store_),
          monitor_({}, ids_, *this),
          controllers_(world_.io(), {node.id_, "simulated", ids_.number()}, monitor_, kReportInterval,
                       {[this](const bus::Policies& policies) { on_policies(policies); },
                        [this](const bus::FaultsDelivered& delivered) { on_delivered(delivered); }, [](bool) {},
                        [](const bus::ToAgent&) {}, [](bool) {}}) {
        state_.load_into(monitor_);
        for (Cable* cable : node.cables_)
            controllers_.add(std::make_unique<CableLink>(*cable));
        clock_seen_ = world_.now();
        clock_.observe(clock_seen_);
        controllers_.start();
    }
    ~Process() override { controllers_.stop(); }

    host::Monitor& monitor() { return monitor_; }

    void list() {
        for (const auto& [id, machine] : node_.machines_) {
            monitor_.found(id, judged_now());
            step(id, state_of(*machine));
        }
        monitor_.listed(judged_now(), virtual_time::wall());
        arm();
    }

    void step(const GuestId& guest, const HostEvent& event) {
        monitor_.step(guest, event, judged_now(), virtual_time::wall());
        arm();
    }

    void gone(const GuestId& guest, heartbeat::StopReason why) {
        connected_.erase(guest);
        monitor_.gone(guest, why, judged_now(), virtual_time::wall());
        arm();
    }

    void connected(GuestMachine& machine) {
        connected_[machine.id()] = &machine;
        step(machine.id(), heartbeat::Connected{wire::Dialect::native});
    }

    void closed(const GuestId& guest) {
        if (connected_.erase(guest) > 0) step(guest, heartbeat::Closed{wire::Dialect::native});
    }

    bool is_connected(const GuestId& guest) const { return connected_.contains(guest); }
    void close_store() { store_.close(); }
    void stalls_now() {
        judged_now();
        stalled_ = true;
    }

private:
    /// As if the agent's probe had run all the time, except while it stalled.
    TimePoint judged_now() {
        constexpr Duration kProbe = heartbeat::StallClock::kProbe;
        while (!stalled_ && world_.now() - clock_seen_ > kProbe) {
            clock_seen_ += kProbe;
            clock_.observe(clock_seen_);
        }
        stalled_ = false;
        clock_seen_ = world_.now();
        return clock_.observe(clock_seen_);
    }

    void arm() {
        const TimePoint due = clock_.to_steady(monitor_.next_deadline());
        if (due >= armed_for_) return;
        armed_for_ = due;
        world_.at(std::max(due, world_.now()), [&node = node_, start = node_.starts_, this, due] {
            if (node.starts_ != start || !node.process_) return;
            node.inbox_.run([this, due] {
                if (due != armed_for_) return;
                armed_for_ = base::kNever;
                monitor_.tick(judged_now(), virtual_time::wall());
                arm();
            });
        });
    }

    void on_policies(const bus::Policies& policies) {
        node_.inbox_.run([this, policies] {
            state_.keep(policies, monitor_);
            monitor_.set_policies(policies, judged_now(), virtual_time::wall());
            arm();
        });
    }

    void on_delivered(const bus::FaultsDelivered& delivered) {
        node_.inbox_.run([this, delivered] {
            for (const bus::FaultsDelivered::Item& item : delivered.items) {
                if (const model::Fault* fault = monitor_.faults().find(item.fault))
                    node_.observer_.fault_delivered(*fault, item.revision);
                monitor_.delivered(item.fault, item.revision);
            }
        });
    }

    void send(const host::GuestKey& guest, wire::Dialect, const wire::HeartbeatPdu& pdu) override {
        const auto way = connected_.find(guest.id());
        if (way != connected_.end()) way->second->from_host(pdu);
    }
    void final_drain(const host::GuestKey&, wire::Dialect) override {}
    void fault_changed(const model::Fault& fault) override {
        state_.keep(fault);
        controllers_.fault_changed(fault);
        node_.observer_.fault_changed(node_.id_, fault);
    }
    void fault_delivered(const model::Fault& fault) override { state_.keep(fault); }
    void fault_forgotten(const base::FaultId& fault, bool) override { state_.forget(fault); }
    void guest_changed(const GuestId& guest) override { controllers_.guest_changed(guest); }
    void guest_gone(const GuestId& guest) override { controllers_.guest_gone(guest); }
    void save(const GuestId& guest, const heartbeat::SaveRegistration& saved) override { state_.keep(guest, saved); }

    HostNode& node_;
    World& world_;
    DrawnEntropy ids_;
    SimulatedStore store_;
    host::AgentState state_;
    host::Monitor monitor_;
    host::Controllers controllers_;
    heartbeat::StallClock clock_;
    TimePoint clock_seen_{};
    bool stalled_ = false;
    TimePoint armed_for_ = base::kNever;
    std::map<GuestId, GuestMachine*> connected_;
};

HostNode::HostNode(World& world, std::string name, FaultObserver& observer)
    : world_(world), id_(std::move(name)), observer_(observer), inbox_(world) {}

HostNode::~HostNode() = default;

void HostNode::start_agent() {
    if (process_) return;
    world_.tell(id_.str() + ": agent starts");
    ++starts_;
    inbox_.renew();
    disturbed(world_.now());
    process_ = std::make_unique<Process>(*this);
    process_->list();
    for (const auto& [id, machine] : machines_)
        connect(*machine);
}

void HostNode::stop_agent(bool killed) {
    if (!process_) return;
    world_.tell(id_.str() + (killed ? ": agent is killed" : ": agent stops"));
    disturbed(world_.now());
    if (!killed) process_->close_store();
    std::vector<GuestMachine*> connected;
    for (const auto& [id, machine] : machines_) {
        if (process_->is_connected(id)) connected.push_back(machine);
    }
    process_.reset();
    inbox_.renew();
    for (GuestMachine* machine : connected)
        machine->host_disconnected();
}

void HostNode::stall_agent(Duration time) {
    if (!process_) return;
    world_.tell(id_.str() + ": agent stalls");
    process_->stalls_now();
    disturbed(world_.now() + time);
    inbox_.stall(time);
}

void HostNode::disturbed(TimePoint until) {
    if (process_ && world_.now() > disturbed_until_) disturbed_from_ = world_.now();
    disturbed_until_ = std::max(disturbed_until_, until);
}

TimePoint HostNode::agent_undisturbed_since() const {
    return process_ ? std::min(disturbed_until_, world_.now()) : world_.now();
}

TimePoint HostNode::agent_knew_until() const {
    const bool caught_up = process_ && world_.now() > disturbed_until_ + kCatchUp;
    return caught_up ? world_.now() : disturbed_from_;
}

const host::Monitor& HostNode::monitor() const {
    return process_->monitor();
}

void HostNode::add(GuestMachine& machine) {
    machines_[machine.id()] = &machine;
    machine.move_to(this);
}

void HostNode::remove(GuestMachine& machine) {
    machines_.erase(machine.id());
}

/// News of one machine stay in order.
template <class Call>
void HostNode::soon(GuestMachine& machine, Call call) {
    TimePoint& last = last_news_[machine.id()];
    last = std::max(last, world_.now() + world_.between({}, kNewsDelay));
    world_.at(last, [this, start = starts_, call] {
        if (!process_ || starts_ != start) return;
        inbox_.run([this, call] { call(*process_); });
    });
}

void HostNode::tell_machine(GuestMachine& machine, const HostEvent& event) {
    soon(machine, [guest = machine.id(), event](Process& process) { process.step(guest, event); });
}

void HostNode::tell_gone(GuestMachine& machine, heartbeat::StopReason why) {
    soon(machine, [guest = machine.id(), why](Process& process) { process.gone(guest, why); });
}

void HostNode::channel_appeared(GuestMachine& machine) {
    if (process_) connect(machine);
}

void HostNode::channel_closed(GuestMachine& machine) {
    soon(machine, [this, &machine](Process& process) {
        process.closed(machine.id());
        // It may have started again before we heard that it was off.
        if (machine.listens()) connect(machine);
    });
}

void HostNode::flap_channel(GuestMachine& machine) {
    if (!process_ || !process_->is_connected(machine.id())) return;
    machine.host_disconnected();
    inbox_.run([this, &machine] { process_->closed(machine.id()); });
    connect(machine);
}

void HostNode::connect(GuestMachine& machine) {
    world_.after(world_.between({}, kConnectDelay), [this, start = starts_, &machine] {
        if (!process_ || starts_ != start) return;
        inbox_.run([this, &machine] {
            const bool here = machines_.contains(machine.id());
            if (!here || !machine.listens() || process_->is_connected(machine.id())) return;
            machine.host_connected();
            process_->connected(machine);
        });
    });
}

void HostNode::from_guest(GuestMachine& machine, const wire::HeartbeatPdu& pdu) {
    if (!process_) return;
    inbox_.run([this, &machine, pdu] {
        if (!process_->is_connected(machine.id())) return;
        process_->step(machine.id(), heartbeat::Received{wire::Dialect::native, pdu});
    });
}

}  // namespace vitalwire::simulator
