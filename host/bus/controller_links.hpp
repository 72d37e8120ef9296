#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/moment.hpp"
#include "bus/link.hpp"
#include "host/core/agent_core.hpp"

namespace vitalwire::host {

/// The agent's connections to its controllers, the configured ones and those that a broker leads to: each is a link of
/// the core.
class ControllerLinks final : private bus::AgentLink::Handler {
public:
    struct Parts {
        std::vector<std::unique_ptr<bus::AgentLink>> links;
        std::unique_ptr<bus::ControllerFinder> finder;  ///< may be null
    };

    /// `handled` is called when the core has handled an event.
    ControllerLinks(AgentCore& core, Parts parts, std::function<base::Moment()> now, std::function<void()> handled);

    using Make = std::function<base::Result<std::unique_ptr<bus::AgentLink>>(const std::string& url)>;

    void start();
    void stop();
    /// Other controllers are configured, or another access to them. A connection to a URL that stays is not touched: it
    /// is made by the new access when it is made again. `make`: a link of a URL that is new.
    void change(const std::vector<std::string>& urls, const bus::Access& access, const Make& make);
    void send(AgentCore::LinkId link, const bus::ToController& message) { links_[link]->send(message); }
    void retry_now(AgentCore::LinkId link) { links_[link]->retry_now(); }
    void leave_at_broker(const bus::Faults& faults);
    std::string discovery_problem() const { return finder_ ? finder_->problem() : std::string(); }
    /// Messages that full queues lost.
    std::uint64_t dropped() const;

private:
    AgentCore::LinkId add(std::unique_ptr<bus::AgentLink> link);
    void remove(AgentCore::LinkId link);
    AgentCore::LinkId id_of(const bus::AgentLink& link) const;

    void on_up(bus::AgentLink& link) override;
    void on_down(bus::AgentLink& link, const std::string& why) override;
    void on_message(bus::AgentLink& link, const bus::ToAgent& message) override;
    void on_alive(bus::AgentLink& link) override;

    AgentCore& core_;
    std::function<base::Moment()> now_;
    std::function<void()> handled_;
    std::unique_ptr<bus::ControllerFinder> finder_;        ///< may be null; outlives the links
    std::vector<std::unique_ptr<bus::AgentLink>> links_;   ///< by AgentCore::LinkId; null: removed
    std::map<std::string, AgentCore::LinkId> configured_;  ///< by URL
    std::uint64_t dropped_by_removed_ = 0;
    bool started_ = false;
};

}  // namespace vitalwire::host
