#include "controller/bus/agent_ports.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::controller {

using base::HostId;

/// Its number distinguishes its events from the others'.
class AgentPorts::Port : public bus::ControllerPort::Handler {
public:
    Port(AgentPorts& owner, std::size_t number, std::unique_ptr<bus::ControllerPort> port)
        : owner_(owner), number_(number), port_(std::move(port)) {}

    bus::ControllerPort& bus() { return *port_; }

    std::optional<bus::Rejected> admit(const bus::Hello& hello, const std::string& peer) override {
        return owner_.core_.admit(number_, hello, peer, owner_.now_());
    }
    void on_agent_up(const HostId&, const bus::Hello& hello, const std::string& peer) override {
        owner_.core_.agent_up(number_, hello, peer, owner_.now_());
        owner_.handled_();
    }
    void on_agent_down(const HostId& host, const std::string& why) override {
        owner_.core_.agent_down(number_, host, why, owner_.now_());
        owner_.handled_();
    }
    void on_message(const HostId& host, const bus::ToController& message) override {
        owner_.core_.message(number_, host, message, owner_.now_());
        owner_.handled_();
    }
    void on_agent_alive(const HostId& host) override {
        owner_.core_.agent_alive(number_, host, owner_.now_());
        owner_.handled_();
    }

private:
    AgentPorts& owner_;
    std::size_t number_;
    std::unique_ptr<bus::ControllerPort> port_;
};

AgentPorts::AgentPorts(Core& core, std::function<base::Moment()> now, std::function<void()> handled)
    : core_(core), now_(std::move(now)), handled_(std::move(handled)) {}

AgentPorts::~AgentPorts() = default;

base::Result<void> AgentPorts::start(Parts parts) {
    for (auto& port : parts.ports)
        ports_.push_back(std::make_unique<Port>(*this, ports_.size(), std::move(port)));
    mailbox_ = std::move(parts.mailbox);
    for (const auto& port : ports_) {
        if (auto started = port->bus().start(*port); !started) return started;
        log::info("listening for agents", {{"url", port->bus().address()}});
    }
    if (!mailbox_) return {};
    mailbox_->start([this](const HostId& host, const bus::Faults& faults, std::function<void()> done) {
        core_.orphaned(host, faults, std::move(done), now_());
        handled_();
    });
    return {};
}

void AgentPorts::stop() {
    if (mailbox_) mailbox_->stop();
    for (const auto& port : ports_)
        port->bus().stop();
}

void AgentPorts::send(const Session& session, const bus::ToAgent& message) {
    ports_.at(session.port)->bus().send(session.name, message);
}

bool AgentPorts::reachable() const {
    return std::any_of(ports_.begin(), ports_.end(), [](const auto& port) { return port->bus().problem().empty(); });
}

std::vector<std::string> AgentPorts::addresses() const {
    std::vector<std::string> addresses;
    for (const auto& port : ports_)
        addresses.push_back(port->bus().address());
    return addresses;
}

void AgentPorts::show_problems(runtime::Problems& problems) const {
    std::string conflict;
    for (const auto& port : ports_) {
        problems.set("no agent can come by " + port->bus().address(), port->bus().problem());
        if (conflict.empty()) conflict = port->bus().conflict();
    }
    problems.set("another controller has the same name", conflict);
    problems.set("the durable fault queue cannot be read", mailbox_ ? mailbox_->problem() : "");
}

std::uint64_t AgentPorts::refused() const {
    std::uint64_t refused = mailbox_ ? mailbox_->refused() : 0;
    for (const auto& port : ports_)
        refused += port->bus().refused();
    return refused;
}

std::uint64_t AgentPorts::dropped() const {
    std::uint64_t dropped = 0;
    for (const auto& port : ports_)
        dropped += port->bus().dropped();
    return dropped;
}

}  // namespace vitalwire::controller
