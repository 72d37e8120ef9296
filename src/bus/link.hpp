#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "bus/access.hpp"
#include "bus/messages.hpp"

namespace vitalwire::bus {

/// An agent's connection to one controller. Reconnects by itself with back-off. All calls and callbacks are on the
/// event loop's thread.
class AgentLink {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// Connected, and the controller has shown signs of life: the handler answers with hello and a full resync.
        virtual void on_up(AgentLink& link) = 0;
        /// Lost; while it stays down also called for a failed attempt whose reason is new. `why` may quote the peer.
        virtual void on_down(AgentLink& link, const std::string& why) = 0;
        virtual void on_message(AgentLink& link, const ToAgent& message) = 0;
        /// Something came from a controller that has promised to keep alive.
        virtual void on_alive(AgentLink& /*link*/) {}
    };

    virtual ~AgentLink() = default;
    /// `handler` must live until stop() or the link's end.
    virtual void start(Handler& handler) = 0;
    /// Sends what is queued as far as the socket takes it, then ends. No callback comes after it.
    virtual void stop() = 0;
    /// Queues the message; nothing while the link is down. When the bounded queue is full the connection is dropped
    /// (on_down follows, never from within) and a full resync goes over the next one: nothing has to be remembered
    /// here.
    virtual void send(const ToController& message) = 0;
    /// What connections are made with from now on; the one that is there stays. On failure nothing changes.
    virtual base::Result<void> use(const Access& access) = 0;
    /// Ends a pause between two attempts.
    virtual void retry_now() {}
    virtual bool up() const = 0;
    virtual const std::string& name() const = 0;         ///< the URL, for logs and status
    virtual std::uint64_t dropped() const { return 0; }  ///< messages that never left because a queue was full
};

/// Finds the controllers that meet the agents at a broker: nobody lists them, they may come at any time.
class ControllerFinder {
public:
    using Found = std::function<void(std::unique_ptr<AgentLink>)>;
    using Reached = std::function<void()>;

    /// It must outlive the links that it has found.
    virtual ~ControllerFinder() = default;
    /// `found` is called once for each controller, by its name; whether it is there now, its link says.
    /// `reached`: what is left at the broker from now on is taken, what was left before may not have been.
    virtual void start(Found found, Reached reached) = 0;
    virtual void stop() = 0;
    /// Leaves them for the controllers as a set, whether one is there or not; nothing while the broker is away.
    virtual void leave_at_broker(const Faults& faults) = 0;
    /// As AgentLink::use; a broker that is no longer among those of `access` is left for one that is.
    virtual base::Result<void> use(const Access& access) = 0;
    virtual std::string problem() const = 0;             ///< why none can be found now; empty when all is well
    virtual std::uint64_t dropped() const { return 0; }  ///< messages that full queues lost on their way, both ways
};

/// What agents have left at a broker for the controllers as a set; one controller at a time takes it, in order.
class Mailbox {
public:
    /// `done` is to be called when it is handled for good: until then it goes to another controller if this one dies.
    using Taken = std::function<void(const base::HostId& host, const Faults& faults, std::function<void()> done)>;

    virtual ~Mailbox() = default;
    virtual void start(Taken taken) = 0;
    virtual void stop() = 0;
    virtual base::Result<void> use(const Access& access) = 0;  ///< as ControllerFinder::use
    virtual std::string problem() const = 0;                   ///< why nothing can be taken; empty when all is well
    virtual std::uint64_t refused() const = 0;                 ///< messages that were no agent's or no faults
};

/// A controller's end: accepts agents. One agent per host: whether a second one of that name replaces the first, the
/// handler decides.
class ControllerPort {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// An agent of that name wants to connect; the answer rejects it, absent it is admitted. Only then does it
        /// replace an earlier connection of that name.
        virtual std::optional<Rejected> admit(const Hello&, const std::string& /*peer*/) { return std::nullopt; }
        /// The agent said hello; the handler answers with Welcome, or with Rejected, which ends the connection; then
        /// no on_agent_down follows.
        virtual void on_agent_up(const base::HostId& host, const Hello& hello, const std::string& peer) = 0;
        virtual void on_agent_down(const base::HostId& host, const std::string& why) = 0;
        virtual void on_message(const base::HostId& host, const ToController& message) = 0;
        /// Something came from an agent that has promised to keep alive.
        virtual void on_agent_alive(const base::HostId& /*host*/) {}
    };

    virtual ~ControllerPort() = default;
    /// `handler` must live until stop() or the port's end.
    virtual base::Result<void> start(Handler& handler) = 0;
    virtual void stop() = 0;  ///< as AgentLink::stop
    /// As AgentLink::send: a full queue drops the agent's connection. Nothing for a host that is not connected.
    virtual void send(const base::HostId& host, const ToAgent& message) = 0;
    virtual base::Result<void> use(const Access& access) = 0;  ///< as AgentLink::use, ControllerFinder::use
    virtual const std::string& address() const = 0;            ///< the URL it listens on, with the real port
    virtual std::uint64_t refused() const = 0;                 ///< connections that ended before they were an agent's
    virtual std::string problem() const = 0;                   ///< why no agent can come in; empty when all is well
    /// Another controller that takes agents under our name; empty when there is none, or it cannot be known.
    virtual std::string conflict() const { return {}; }
    virtual std::uint64_t dropped() const = 0;  ///< messages that full queues lost on their way, both ways
};

}  // namespace vitalwire::bus
