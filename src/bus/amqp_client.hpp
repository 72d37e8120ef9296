#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/amqp/amqp_session.hpp"

namespace vitalwire::bus {

/// A connection to one broker of a cluster, on a thread of its own because librabbitmq blocks; it sleeps until the
/// socket or this process has something for it. A lost broker is looked for again with back-off, the next one of the
/// list first. All calls and callbacks are on the event loop.
class AmqpClient {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// `queue`: ours, fresh with each connection and gone with it.
        virtual void on_connected(const std::string& queue) = 0;
        /// Lost, or an attempt has failed; nothing that was published and not yet sent will be.
        virtual void on_lost(const std::string& why) = 0;
        /// The broker takes nothing that is published, or, when `why` is empty, takes it again.
        virtual void on_blocked(const std::string& why) = 0;
        /// Arrived, or one of ours that nobody takes.
        virtual void on_event(const runtime::AmqpEvent& event) = 0;
    };

    /// Declares what is needed; `queue` is the name of our own. On the client's thread.
    using Prepare = std::function<base::Result<void>(runtime::AmqpSession& session, const std::string& queue)>;

    struct Options {
        std::vector<runtime::AmqpBroker> brokers;
        runtime::AmqpAccess access;
        std::string queue_prefix;
        Prepare prepare;
        /// Of that, what others can delete without a word to us. Declared now and then; null: there is no such thing.
        Prepare renew = nullptr;
    };

    AmqpClient(boost::asio::io_context& io, Options options);
    ~AmqpClient();
    AmqpClient(const AmqpClient&) = delete;
    AmqpClient& operator=(const AmqpClient&) = delete;

    void start(Handler& handler);
    /// Sends what is waiting and ends; no callback comes after it. Waits for the step under way, at most its time-out.
    void stop();
    /// Of connections from now on. A broker that is not among them is left at once.
    void use(std::vector<runtime::AmqpBroker> brokers, runtime::AmqpAccess access);

    /// Nothing while not connected. `sent` is called when the socket has taken it; never if the connection is lost.
    void publish(runtime::AmqpMessage message, std::function<void()> sent = nullptr);
    void acknowledge(std::uint64_t tag);
    /// Messages for which there was no room: the broker does not take what is sent to it.
    std::uint64_t dropped() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::bus
