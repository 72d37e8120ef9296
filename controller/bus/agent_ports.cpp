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
    /// `url`: as configured; empty: the brokers'.
    Port(AgentPorts& owner, std::size_t number, std::string url, std::unique_ptr<bus::ControllerPort> port)
        : owner_(owner), number_(number), url_(std::move(url)), port_(std::move(port)) {}

    bus::ControllerPort& bus() { return *port_; }
    const std::string& url() const { return url_; }
    std::size_t number() const { return number_; }

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
    std::string url_;
    std::unique_ptr<bus::ControllerPort> port_;
};

AgentPorts::AgentPorts(Core& core, std::function<base::Moment()> now, std::function<void()> handled)
    : core_(core), now_(std::move(now)), handled_(std::move(handled)) {}

AgentPorts::~AgentPorts() = default;

base::Result<void> AgentPorts::start(Parts parts) {
    for (auto& [url, port] : parts.ports) {
        if (auto started = add(url, std::move(port)); !started) return started;
    }
    if (parts.broker) {
        if (auto started = add("", std::move(parts.broker)); !started) return started;
    }
    mailbox_ = std::move(parts.mailbox);
    if (!mailbox_) return {};
    mailbox_->start([this](const HostId& host, const bus::Faults& faults, std::function<void()> done) {
        core_.orphaned(host, faults, std::move(done), now_());
        handled_();
    });
    return {};
}

base::Result<void> AgentPorts::add(const std::string& url, std::unique_ptr<bus::ControllerPort> port) {
    auto made = std::make_unique<Port>(*this, ports_.size(), url, std::move(port));
    if (auto started = made->bus().start(*made); !started) return started;
    log::info("listening for agents", {{"url", made->bus().address()}});
    ports_.push_back(std::move(made));
    return {};
}

/// Its number is not given again.
void AgentPorts::remove(std::size_t number) {
    const std::unique_ptr<Port> port = std::move(ports_[number]);
    port->bus().stop();
    log::info("not listening for agents any more", {{"url", port->bus().address()}});
    removed_.push_back(port->bus().address());
    refused_by_removed_ += port->bus().refused();
    dropped_by_removed_ += port->bus().dropped();
    core_.port_closed(number, now_());
    handled_();
}

std::vector<AgentPorts::Port*> AgentPorts::ports() const {
    std::vector<Port*> out;
    for (const auto& port : ports_) {
        if (port) out.push_back(port.get());
    }
    return out;
}

base::Result<void> AgentPorts::change(const std::vector<std::string>& urls, const bus::Access& access,
                                      const Make& make) {
    base::Result<void> result;
    const auto note = [&result](const base::Result<void>& done) {
        if (!done && result) result = done;
    };
    std::vector<std::string> wanted = urls;
    for (Port* port : ports()) {
        const auto at = std::find(wanted.begin(), wanted.end(), port->url());
        if (port->url().empty() || at != wanted.end()) {
            const std::string before = port->bus().address();
            note(port->bus().use(access));
            if (port->bus().address() != before) removed_.push_back(before);
            if (at != wanted.end()) wanted.erase(at);
        } else {
            remove(port->number());  // first: a new one may listen where it did
        }
    }
    if (mailbox_) note(mailbox_->use(access));
    for (const std::string& url : wanted) {
        auto port = make(url);
        note(port ? add(url, std::move(*port)) : tl::make_unexpected(port.error()));
    }
    return result;
}

void AgentPorts::stop() {
    if (mailbox_) mailbox_->stop();
    for (Port* port : ports())
        port->bus().stop();
}

void AgentPorts::send(const Session& session, const bus::ToAgent& message) {
    if (const auto& port = ports_.at(session.port)) port->bus().send(session.name, message);
}

bool AgentPorts::reachable() const {
    const auto all = ports();
    return std::any_of(all.begin(), all.end(), [](Port* port) { return port->bus().problem().empty(); });
}

std::vector<std::string> AgentPorts::addresses() const {
    std::vector<std::string> addresses;
    for (Port* port : ports())
        addresses.push_back(port->bus().address());
    return addresses;
}

void AgentPorts::show_problems(runtime::Problems& problems) {
    for (const std::string& address : std::exchange(removed_, {}))
        problems.clear("no agent can come by " + address);
    for (Port* port : ports())
        problems.set("no agent can come by " + port->bus().address(), port->bus().problem());
    problems.set("the durable fault queue cannot be read", mailbox_ ? mailbox_->problem() : "");
}

std::string AgentPorts::conflict() const {
    for (Port* port : ports()) {
        if (std::string conflict = port->bus().conflict(); !conflict.empty()) return conflict;
    }
    return {};
}

std::uint64_t AgentPorts::refused() const {
    std::uint64_t refused = refused_by_removed_ + (mailbox_ ? mailbox_->refused() : 0);
    for (Port* port : ports())
        refused += port->bus().refused();
    return refused;
}

std::uint64_t AgentPorts::dropped() const {
    std::uint64_t dropped = dropped_by_removed_;
    for (Port* port : ports())
        dropped += port->bus().dropped();
    return dropped;
}

}  // namespace vitalwire::controller
