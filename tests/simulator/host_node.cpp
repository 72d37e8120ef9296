#include "host_node.hpp"

#include <algorithm>
#include <utility>

#include "host/core/agent_core.hpp"

namespace vitalwire::simulator {

using base::GuestId;
using heartbeat::HostEvent;

namespace {

constexpr const char* kSource = "hypervisor";
constexpr seconds kReportInterval{10};
constexpr Millis kNewsDelay{40};
constexpr Millis kEndKnownWithin{300};
constexpr Millis kConnectDelay{60};
constexpr Millis kCatchUp{100};

class DrawnIds final : public host::IdGenerator {
public:
    explicit DrawnIds(World& world) : world_(world) {}

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
            return heartbeat::Inhibited{heartbeat::Inhibit::paused};
        case GuestMachine::Power::crashed:
            return heartbeat::Crashed{heartbeat::CrashReason::panicked};
        case GuestMachine::Power::running:
            break;
    }
    return heartbeat::Started{};
}

}  // namespace

/// The agent's process: the real core, between this world's channels, cables and disk.
class HostNode::Process final : private host::AgentCore::Output, private bus::AgentLink::Handler {
public:
    explicit Process(HostNode& node)
        : node_(node),
          world_(node.world_),
          ids_(world_),
          store_(world_, node.disk_),
          core_({{node.id_, "simulated", ids_.number(), {}, 0}, kReportInterval, false, ids_.number(), "boot"}, {},
                ids_, *this),
          probed_at_(world_.now()) {
        core_.add_source(kSource);
        for (Cable* cable : node.cables_) {
            links_.push_back(std::make_unique<CableLink>(*cable));
            core_.add_link(links_.back()->name(), now());
        }
        core_.start(now());
        for (const auto& link : links_)
            link->start(*this);
    }
    ~Process() override {
        for (const auto& link : links_)
            link->stop();
    }

    const host::Monitor& monitor() const { return core_.monitor(); }

    void list() {
        for (const auto& [id, machine] : node_.machines_) {
            core_.channel_found(id, wire::ChannelKind::native, kEndKnownWithin, now());
            core_.machine(id, state_of(*machine), now());
        }
        core_.source_listed(kSource, now());
        arm();
    }

    void machine(const GuestId& guest, const HostEvent& event) {
        core_.machine(guest, event, now());
        arm();
    }

    void received(const GuestId& guest, const wire::HeartbeatPdu& pdu) {
        core_.heartbeat_received(host::GuestKey(guest), wire::Dialect::native, pdu, now());
        arm();
    }

    void gone(const GuestId& guest, heartbeat::StopReason why) {
        connected_.erase(guest);
        core_.machine_gone(guest, why, now());
        arm();
    }

    void connected(GuestMachine& machine) {
        connected_[machine.id()] = &machine;
        core_.channel_up(host::GuestKey(machine.id()), wire::ChannelKind::native, now());
        arm();
    }

    void closed(const GuestId& guest) {
        if (connected_.erase(guest) == 0) return;
        core_.channel_down(host::GuestKey(guest), wire::ChannelKind::native, now());
        arm();
    }

    bool is_connected(const GuestId& guest) const { return connected_.contains(guest); }
    void close_store() { store_.close(); }
    void stalls_now() {
        now();
        stalled_ = true;
    }

private:
    /// As if the agent's probe had run all the time, except while it stalled.
    base::Moment now() {
        constexpr Duration kProbe = heartbeat::StallClock::kProbe;
        while (!stalled_ && world_.now() - probed_at_ > kProbe) {
            probed_at_ += kProbe;
            core_.probe(probed_at_);
        }
        stalled_ = false;
        probed_at_ = world_.now();
        return {world_.now(), virtual_time::wall()};
    }

    void arm() {
        const TimePoint due = core_.next_due();
        if (due >= armed_for_) return;
        armed_for_ = due;
        world_.at(std::max(due, world_.now()), [&node = node_, start = node_.starts_, this, due] {
            if (node.starts_ != start || !node.process_) return;
            node.inbox_.run([this, due] {
                if (due != armed_for_) return;
                armed_for_ = base::kNever;
                core_.tick(now());
                arm();
            });
        });
    }

    host::AgentCore::LinkId id_of(const bus::AgentLink& link) const {
        const auto is_it = [&](const auto& each) { return each.get() == &link; };
        return static_cast<std::size_t>(std::find_if(links_.begin(), links_.end(), is_it) - links_.begin());
    }

    // bus::AgentLink::Handler
    void on_up(bus::AgentLink& link) override {
        core_.link_up(id_of(link), now());
        arm();
    }
    void on_down(bus::AgentLink& link, const std::string& why) override {
        core_.link_down(id_of(link), why, now());
        arm();
    }
    void on_message(bus::AgentLink& link, const bus::ToAgent& message) override {
        node_.inbox_.run([this, id = id_of(link), message] {
            core_.controller_sent(id, message, now());
            arm();
        });
    }

    // host::AgentCore::Output
    std::map<std::string, std::string> load(const std::string& table) override { return store_.load(table); }
    void put(const std::string& table, const std::string& key, std::string value) override {
        store_.put(table, key, std::move(value));
    }
    void erase(const std::string& table, const std::string& key) override { store_.erase(table, key); }
    void send(const host::GuestKey& guest, wire::Dialect, const wire::HeartbeatPdu& pdu) override {
        const auto channel = connected_.find(guest.id());
        if (channel != connected_.end()) channel->second->from_host(pdu);
    }
    void final_drain(const host::GuestKey&, wire::Dialect) override {}
    bool channel_idle(const GuestId&, wire::Dialect) override { return false; }
    void write_group(const GuestId&, wire::Dialect, std::string) override {}
    void group_not_read(const GuestId&, wire::Dialect, std::uint64_t) override {}
    void allow(const GuestId&, const group::Limits&) override {}
    void send(host::AgentCore::LinkId link, const bus::ToController& message) override { links_[link]->send(message); }
    void leave_at_broker(const bus::Faults&) override {}
    void await_durable() override {
        store_.when_durable([this] {
            core_.durable(now());
            arm();
        });
    }
    void ask_machine(const GuestId&) override {}
    void want(const host::WantedChannels&) override {}
    void fault_changed(const model::Fault& fault) override { node_.observer_.fault_changed(node_.id_, fault); }
    void fault_delivered(const model::Fault& fault, std::uint64_t revision) override {
        node_.observer_.fault_delivered(fault, revision);
    }

    HostNode& node_;
    World& world_;
    DrawnIds ids_;
    SimulatedStore store_;
    std::vector<std::unique_ptr<CableLink>> links_;  ///< by LinkId
    host::AgentCore core_;
    TimePoint probed_at_;
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
    soon(machine, [guest = machine.id(), event](Process& process) { process.machine(guest, event); });
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
        process_->received(machine.id(), pdu);
    });
}

}  // namespace vitalwire::simulator
