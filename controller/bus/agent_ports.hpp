#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
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
        std::vector<std::pair<std::string, std::unique_ptr<bus::ControllerPort>>> ports;  ///< by configured URL
        std::unique_ptr<bus::ControllerPort> broker;                                      ///< null without a broker
        std::unique_ptr<bus::Mailbox> mailbox;                                            ///< as well
    };
    using Make = std::function<base::Result<std::unique_ptr<bus::ControllerPort>>(const std::string& url)>;

    /// `handled` is called when the core has handled an event.
    AgentPorts(Core& core, std::function<base::Moment()> now, std::function<void()> handled);
    ~AgentPorts();

    base::Result<void> start(Parts parts);
    void stop();
    /// Other URLs are configured, or another access. A port whose URL stays keeps its agents, connections that come
    /// from now on are made by the new access; a port that goes ends those of its agents. `make`: a port of a URL that
    /// is new. Fails with the first of them that cannot listen; the others do.
    base::Result<void> change(const std::vector<std::string>& urls, const bus::Access& access, const Make& make);
    /// Nothing when the session has ended.
    void send(const Session& session, const bus::ToAgent& message);

    /// Agents can come in by one of the ports at least: what a broker takes away, or an address that is not there,
    /// counts.
    bool reachable() const;
    std::vector<std::string> addresses() const;
    void show_problems(runtime::Problems& problems);
    /// Another controller that has the name of this one, as a broker tells; empty: none is seen.
    std::string conflict() const;
    /// Connections and messages that were no agent's.
    std::uint64_t refused() const;
    /// Messages that full queues lost.
    std::uint64_t dropped() const;

private:
    class Port;

    base::Result<void> add(const std::string& url, std::unique_ptr<bus::ControllerPort> port);
    void remove(std::size_t number);
    /// Those that are there.
    std::vector<Port*> ports() const;

    Core& core_;
    std::function<base::Moment()> now_;
    std::function<void()> handled_;
    std::vector<std::unique_ptr<Port>> ports_;  ///< by number; null: removed
    std::vector<std::string> removed_;          ///< addresses whose problems may still be shown
    std::uint64_t refused_by_removed_ = 0;
    std::uint64_t dropped_by_removed_ = 0;
    std::unique_ptr<bus::Mailbox> mailbox_;
};

}  // namespace vitalwire::controller
