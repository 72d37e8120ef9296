#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/moment.hpp"
#include "base/result.hpp"
#include "bus/link.hpp"
#include "controller/core/core.hpp"
#include "runtime/problems.hpp"

namespace vitalwire::controller {

/// Where the bus comes in: a port for each listening URL and one for the brokers, whose durable fault queue it reads as
/// well. Hands the core what arrives.
class AgentPorts {
public:
    struct Parts {
        std::vector<std::unique_ptr<bus::ControllerPort>> ports;
        std::unique_ptr<bus::Mailbox> mailbox;  ///< null without a broker
    };

    /// `handled` is called when the core has handled an event.
    AgentPorts(Core& core, std::function<base::Moment()> now, std::function<void()> handled);
    ~AgentPorts();

    base::Result<void> start(Parts parts);
    void stop();
    /// Nothing when the session has ended.
    void send(const Session& session, const bus::ToAgent& message);

    /// Agents can come in by one of the ports at least: what a broker takes away, or an address that is not there,
    /// counts.
    bool reachable() const;
    std::vector<std::string> addresses() const;
    void show_problems(runtime::Problems& problems) const;
    /// Connections and messages that were no agent's.
    std::uint64_t refused() const;
    /// Messages that full queues lost.
    std::uint64_t dropped() const;

private:
    class Port;

    Core& core_;
    std::function<base::Moment()> now_;
    std::function<void()> handled_;
    std::vector<std::unique_ptr<Port>> ports_;
    std::unique_ptr<bus::Mailbox> mailbox_;
};

}  // namespace vitalwire::controller
