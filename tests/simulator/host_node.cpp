#include "host_node.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "drawn_ids.hpp"
#include "host/core/agent_core.hpp"
#include "wire/guest_agent_codec.hpp"
#include "wire/heartbeat_codec.hpp"
#include "wire/response_cache.hpp"

namespace vitalwire::simulator {

using base::GuestId;
using base::HostId;
using heartbeat::HostEvent;

namespace {

constexpr const char* kSource = "hypervisor";
constexpr seconds kReportInterval{10};
constexpr Millis kNewsDelay{40};
constexpr Millis kEndKnownWithin{300};
constexpr Millis kConnectDelay{60};
constexpr Millis kCatchUp{100};

host::AgentCore::Settings settings() {
    host::AgentCore::Settings settings;
    settings.heartbeat.defaults.guest_agent_interval = kGuestAgentInterval;
    return settings;
}

HostEvent state_of(const Vm& vm) {
    switch (vm.power()) {
        case Vm::Power::off:
            return heartbeat::Stopped{heartbeat::StopReason::domain_stopped};
        case Vm::Power::paused:
            return heartbeat::Inhibited{heartbeat::Inhibit::paused};
        case Vm::Power::crashed:
            return heartbeat::Crashed{heartbeat::CrashReason::panicked};
        case Vm::Power::running:
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
          core_({{node.id_, "simulated", ids_.number(), node.boot_}, {kReportInterval}, false, ids_.number()},
                settings(), ids_, *this),
          probed_at_(world_.now()) {
        core_.add_source(kSource);
        for (Cable* cable : node.cables_) {
            links_.push_back(std::make_unique<CableLink>(
                *cable, [&node = node_](std::function<void()> call) { node.inbox_.run(std::move(call)); }));
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
        for (const auto& [id, vm] : node_.vms_) {
            if (vm->plan().by_call) {
                guest_agent_port(*vm);
            } else {
                core_.channel_found(id, vm->channel(), kEndKnownWithin, now());
            }
            const bool forgotten = vm->power() == Vm::Power::off && world_.chance(0.5);
            core_.machine(id, forgotten ? HostEvent(heartbeat::FoundOff{}) : state_of(*vm), now());
        }
        core_.source_listed(kSource, {kSource}, now());
        arm();
    }

    void vm(const GuestId& guest, const HostEvent& event) {
        core_.machine(guest, event, now());
        arm();
    }

    void received(const GuestId& guest, const std::string& line) {
        std::string_view text = line;
        if (text.starts_with('\n')) text.remove_prefix(1);
        text.remove_suffix(1);
        Channel& channel = connected_.at(guest);
        std::visit([&](auto&& inbound) { handle(channel, inbound); }, channel.reader.read(text));
        arm();
    }

    void guest_agent_port(const Vm& vm) {
        core_.guest_agent_port(vm.id(), vm.runs_daemon(), now());
        arm();
    }

    void group_read(const GuestId& guest) {
        unread_.erase(guest);
        core_.channel_drained(guest, connected_.at(guest).dialect());
        arm();
    }

    void gone(const GuestId& guest, heartbeat::StopReason why) {
        connected_.erase(guest);
        core_.machine_gone(guest, why, now());
        arm();
    }

    void connected(Vm& vm) {
        const auto [channel, is_new] = connected_.try_emplace(vm.id(), vm);
        unread_.erase(vm.id());
        if (vm.plan().by_call) return guest_agent_port(vm);
        core_.channel_up(channel->second.key, vm.channel(), now());
        arm();
    }

    void closed(const GuestId& guest) {
        const auto channel = connected_.extract(guest);
        if (channel.empty()) return;
        const Vm& vm = *channel.mapped().vm;
        if (vm.plan().by_call) {
            core_.guest_agent_port(guest, false, now());
        } else {
            core_.channel_down(channel.mapped().key, vm.channel(), now());
        }
        arm();
    }

    bool is_connected(const GuestId& guest) const { return connected_.contains(guest); }
    void close_store() { store_.close(); }
    void stalls_now() {
        now();
        stalled_ = true;
    }

private:
    /// What host::Channel keeps of one.
    struct Channel {
        explicit Channel(Vm& of) : vm(&of), key(of.id()), reader(of.channel()) {}
        wire::Dialect dialect() const { return wire::dialect_of(vm->channel()); }

        Vm* vm;
        host::GuestKey key;
        wire::ResponseCache reader;
        std::uint32_t sequence = 0;
        bool reset_first = true;  ///< a QEMU guest agent: nothing was answered since
    };

    void handle(Channel& channel, wire::HeartbeatMessage& message) {
        channel.reset_first = false;
        const auto call = channel.vm->plan().by_call ? calls_.find(channel.vm->id()) : calls_.end();
        if (!channel.vm->plan().by_call) {
            core_.spoke(channel.vm->id(), channel.dialect(), message.base_version);
            return core_.heartbeat_received(channel.key, channel.dialect(), std::move(message.pdu), now());
        }
        const auto* echo = std::get_if<wire::ChallengeResponse>(&message.pdu);
        if (call != calls_.end() && echo != nullptr && echo->value == call->second)
            call_returned(channel.vm->id(), echo->value, host::GuestAgentResult::answered);
    }
    void handle(Channel& channel, const wire::GroupMessage& message) {
        core_.spoke(channel.vm->id(), channel.dialect(), message.base_version);
        core_.group_received(channel.vm->id(), channel.dialect(), message.pdu, message.base_version, now());
    }
    void handle(Channel& channel, const wire::Refused& refused) {
        world_.violated(channel.vm->id().str() + " is refused: " + refused.nack.message);
    }
    void handle(Channel& channel, const wire::Malformed& malformed) {
        world_.violated(channel.vm->id().str() + " sends what is malformed: " + malformed.why);
    }
    void handle(Channel& channel, const wire::Ignored&) { core_.refused(channel.vm->id(), 1); }

    void call_returned(const GuestId& guest, std::int64_t challenge, host::GuestAgentResult result) {
        const auto call = calls_.find(guest);
        if (call == calls_.end() || call->second != challenge) return;
        calls_.erase(call);
        core_.guest_agent_returned(guest, challenge, result, now());
        arm();
    }

    void call_returns(const GuestId& guest, std::int64_t challenge, host::GuestAgentResult result, Duration after) {
        world_.after(after, [&node = node_, start = node_.starts_, guest, challenge, result] {
            if (!node.process_ || node.starts_ != start) return;
            node.inbox_.run(
                [&node, guest, challenge, result] { node.process_->call_returned(guest, challenge, result); });
        });
    }

    /// As if the agent's probe had run all the time, except while it stalled.
    base::Moment now() {
        constexpr Duration kProbe = heartbeat::StallClock::kProbe;
        while (!stalled_ && world_.now() - probed_at_ > kProbe) {
            probed_at_ += kProbe;
            core_.probe(probed_at_);
        }
        if (std::exchange(stalled_, false)) probed_at_ = world_.now();
        return {world_.now(),
                virtual_time::wall() + std::chrono::duration_cast<base::WallTime::duration>(node_.wall_offset_)};
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
        node_.inbox_.run([this, id = id_of(link)] {
            core_.link_up(id, now());
            arm();
        });
    }
    void on_down(bus::AgentLink& link, const std::string& why) override {
        node_.inbox_.run([this, id = id_of(link), why] {
            core_.link_down(id, why, now());
            arm();
        });
    }
    void on_alive(bus::AgentLink& link) override {
        node_.inbox_.run([this, id = id_of(link)] {
            core_.link_alive(id, world_.now());
            arm();
        });
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
    void send(const host::GuestKey& guest, wire::Dialect dialect, const wire::HeartbeatPdu& pdu) override {
        const auto at = connected_.find(guest.id());
        if (at == connected_.end() || at->second.dialect() != dialect) return;
        Channel& channel = at->second;
        std::string line = wire::encode_heartbeat(pdu, dialect, ++channel.sequence);
        if (dialect == wire::Dialect::guest_agent && std::exchange(channel.reset_first, true))
            line.insert(line.begin(), wire::kGuestAgentReset);
        channel.vm->from_host(std::move(line));
    }
    /// As libvirt: it fails at once where the machine does not run or its guest agent has closed the port, and gives up
    /// after a while.
    void call_guest_agent(const host::GuestAgentCall& call, std::int64_t challenge) override {
        const GuestId& guest = call.guest;
        calls_[guest] = challenge;
        const auto at = connected_.find(guest);
        const Vm* vm = at == connected_.end() ? nullptr : at->second.vm;
        if (vm == nullptr || vm->power() != Vm::Power::running)
            return call_returns(guest, challenge, host::GuestAgentResult::unknown, kNewsDelay);
        if (!vm->runs_daemon()) return call_returns(guest, challenge, host::GuestAgentResult::silent, kNewsDelay);
        at->second.vm->from_host(wire::encode_heartbeat(wire::Challenge{{}, challenge}, wire::Dialect::guest_agent, 0));
        call_returns(guest, challenge, host::GuestAgentResult::silent, call.patience);
    }
    /// What arrived while the agent stood still waits in its inbox, before what made it look at the time.
    void final_drain(const host::GuestKey&, wire::Dialect) override {}
    bool channel_idle(const GuestId& guest, wire::Dialect) override {
        return connected_.contains(guest) && !unread_.contains(guest);
    }
    void write_group(const GuestId& guest, wire::Dialect, std::string lines) override {
        unread_.insert(guest);
        connected_.at(guest).vm->group_from_host(std::move(lines));
    }
    void group_not_read(const GuestId&, wire::Dialect, std::uint64_t) override {}
    void allow(const GuestId&, const group::Limits&) override {}
    void send(host::AgentCore::LinkId link, const bus::ToController& message) override { links_[link]->send(message); }
    void leave_at_broker(const bus::Faults&) override {}
    void await_durable() override {
        store_.when_durable([this] {
            node_.inbox_.run([this] {
                core_.durable(now());
                arm();
            });
        });
    }
    void ask_machine(const GuestId& guest) override {
        world_.after(kNewsDelay, [&node = node_, start = node_.starts_, guest] {
            if (!node.process_ || node.starts_ != start) return;
            node.inbox_.run([&node, guest] {
                const auto vm = node.vms_.find(guest);
                if (vm == node.vms_.end()) return node.process_->gone(guest, heartbeat::StopReason::removed);
                node.process_->vm(guest, state_of(*vm->second));
            });
        });
    }
    void want(const host::WantedChannels&) override {}
    void fault_changed(const model::Fault& fault) override { node_.observer_.fault_changed(node_, fault); }
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
    std::map<GuestId, Channel> connected_;
    std::map<GuestId, std::int64_t> calls_;  ///< of the hypervisor to QEMU guest agents, by what was asked
    std::set<GuestId> unread_;               ///< have not read all that was written for their group
};

HostNode::HostNode(World& world, std::string name, FaultObserver& observer)
    : world_(world),
      name_(std::move(name)),
      id_(name_),
      boot_("boot of " + name_),
      observer_(observer),
      inbox_(world) {}

HostNode::~HostNode() = default;

void HostNode::start_agent() {
    if (process_) return;
    world_.log(id_.str() + ": agent starts");
    ++starts_;
    inbox_.renew();
    disturbed(world_.now());
    for (Cable* cable : cables_)
        cable->set_agents_release(release_);
    process_ = std::make_unique<Process>(*this);
    process_->list();
    for (const auto& [id, vm] : vms_)
        connect(*vm);
}

void HostNode::stop_agent(bool killed) {
    if (!process_) return;
    world_.log(id_.str() + (killed ? ": agent is killed" : ": agent stops"));
    disturbed(world_.now());
    if (!killed) process_->close_store();
    if (killed) state_in_doubt_ = world_.now();
    std::vector<Vm*> connected;
    for (const auto& [id, vm] : vms_) {
        if (process_->is_connected(id)) connected.push_back(vm);
    }
    process_.reset();
    inbox_.renew();
    for (Vm* vm : connected)
        vm->host_disconnected();
}

void HostNode::stall_agent(Duration time) {
    if (!process_) return;
    world_.log(id_.str() + ": agent stalls");
    process_->stalls_now();
    disturbed(world_.now() + time);
    inbox_.stall(time);
}

void HostNode::lose_state() {
    world_.log(id_.str() + " lost its agent's state");
    state_in_doubt_ = world_.now();
    disk_.clear();
}

void HostNode::restore_state() {
    if (copy_.empty()) return;
    world_.log(id_.str() + " has an old copy of its agent's state");
    state_in_doubt_ = world_.now();
    disk_ = copy_;
}

void HostNode::rename(const std::string& name) {
    world_.log(id_.str() + " is named " + name);
    id_ = HostId(name);
    for (Cable* cable : cables_)
        cable->rename(id_);
}

void HostNode::clone(const HostNode& original) {
    rename(original.id_.str());
    disk_ = original.disk_;
}

TimePoint HostNode::connected_since() const {
    TimePoint since = agent_undisturbed_since();
    for (const Cable* cable : cables_)
        since = std::max(since, cable->whole_since());
    return since;
}

bool HostNode::known_everywhere(Duration time) const {
    return std::all_of(cables_.begin(), cables_.end(),
                       [&](const Cable* cable) { return cable->connected_since() + time < world_.now(); });
}

TimePoint HostNode::cut_off_since() const {
    return is_cut_off_ ? cut_off_since_ : world_.now();
}

void HostNode::cut_off() {
    is_cut_off_ = true;
    connected_before_cut_ = connected_since();
    cut_off_since_ = world_.now();
    for (Cable* cable : cables_)
        cable->cut();
}

void HostNode::heal() {
    is_cut_off_ = false;
    for (Cable* cable : cables_)
        cable->heal();
}

void HostNode::heal_all() {
    is_cut_off_ = false;
    for (Cable* cable : cables_)
        cable->heal_all();
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

void HostNode::add(Vm& vm) {
    vms_[vm.id()] = &vm;
    vm.move_to(this);
}

void HostNode::remove(Vm& vm) {
    vms_.erase(vm.id());
}

/// News of one VM stay in order.
template <class Call>
void HostNode::soon(Vm& vm, Call call) {
    TimePoint& last = last_news_[vm.id()];
    last = std::max(last, world_.now() + world_.between({}, kNewsDelay));
    world_.at(last, [this, start = starts_, call] {
        if (!process_ || starts_ != start) return;
        inbox_.run([this, call] { call(*process_); });
    });
}

void HostNode::hypervisor_event(Vm& vm, const HostEvent& event) {
    soon(vm, [guest = vm.id(), event](Process& process) { process.vm(guest, event); });
}

void HostNode::hypervisor_gone(Vm& vm, heartbeat::StopReason why) {
    soon(vm, [guest = vm.id(), why](Process& process) { process.gone(guest, why); });
}

void HostNode::channel_appeared(Vm& vm) {
    if (process_) connect(vm);
}

void HostNode::channel_closed(Vm& vm) {
    soon(vm, [this, &vm](Process& process) {
        process.closed(vm.id());
        // It may have started again before we were notified that it was off.
        if (vm.listens()) connect(vm);
    });
}

void HostNode::flap_channel(Vm& vm) {
    if (!process_ || !process_->is_connected(vm.id())) return;
    vm.host_disconnected();
    inbox_.run([this, &vm] { process_->closed(vm.id()); });
    connect(vm);
}

void HostNode::connect(Vm& vm) {
    world_.after(world_.between({}, kConnectDelay), [this, start = starts_, &vm] {
        if (!process_ || starts_ != start) return;
        inbox_.run([this, &vm] {
            const bool here = vms_.contains(vm.id());
            if (!here || !vm.listens() || process_->is_connected(vm.id())) return;
            vm.host_connected();
            process_->connected(vm);
        });
    });
}

void HostNode::guest_agent_port_changed(Vm& vm) {
    soon(vm, [this, &vm](Process& process) {
        if (vms_.contains(vm.id()) && process.is_connected(vm.id())) process.guest_agent_port(vm);
    });
}

void HostNode::from_guest(Vm& vm, const std::string& line) {
    if (!process_) return;
    inbox_.run([this, &vm, line] {
        if (process_->is_connected(vm.id())) process_->received(vm.id(), line);
    });
}

void HostNode::group_read(Vm& vm) {
    if (!process_) return;
    inbox_.run([this, &vm] {
        if (process_->is_connected(vm.id())) process_->group_read(vm.id());
    });
}

}  // namespace vitalwire::simulator
