#pragma once

#include <string>

#include "base/ids.hpp"
#include "bus/messages.hpp"

namespace vitalwire::bus {

/// An agent's way to one controller (stream transports) or to the controllers as a set (a broker). Reconnects by itself
/// with back-off for ever. All calls and callbacks are on the event loop's thread.
class AgentLink {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// Connected: the handler answers with hello and the whole state.
        virtual void on_up(AgentLink& link) = 0;
        virtual void on_down(AgentLink& link, const std::string& why) = 0;
        virtual void on_message(AgentLink& link, const ToAgent& message) = 0;
    };

    virtual ~AgentLink() = default;
    virtual void start(Handler& handler) = 0;
    virtual void stop() = 0;
    /// Queues the message. When the bounded queue is full the connection is dropped (on_down follows) and the whole
    /// state goes over the next one: nothing has to be remembered here.
    virtual void send(const ToController& message) = 0;
    virtual bool up() const = 0;
    virtual const std::string& name() const = 0;  ///< the URL, for logs and status
};

/// A controller's end: accepts agents. One agent per host; a second one with the same host replaces the first.
class ControllerPort {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void on_agent_up(const base::HostId& host, const Hello& hello, const std::string& peer) = 0;
        virtual void on_agent_down(const base::HostId& host, const std::string& why) = 0;
        virtual void on_message(const base::HostId& host, const ToController& message) = 0;
    };

    virtual ~ControllerPort() = default;
    virtual base::Result<void> start(Handler& handler) = 0;
    virtual void stop() = 0;
    /// As AgentLink::send: a full queue drops the agent's connection.
    virtual void send(const base::HostId& host, const ToAgent& message) = 0;
};

}  // namespace vitalwire::bus
