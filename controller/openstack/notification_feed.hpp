#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "runtime/amqp/amqp_session.hpp"
#include "runtime/config.hpp"

namespace vitalwire::controller {

struct NotificationFeedConfig {
    std::vector<runtime::AmqpBroker> brokers;  ///< of one cluster, tried in turn; empty: no notifications
    runtime::AmqpAccess access;
    std::string exchange = "nova";
    std::string queue;  ///< ours, one a controller
    std::vector<std::string> topics{"versioned_notifications", "notifications"};
    base::Millis queue_expiry = std::chrono::minutes(30);  ///< without a consumer
    int queue_length = 50'000;                             ///< messages; the oldest go first
};

/// Reads `[notifications]`, all but the queue's name. Mistakes go to the reader's errors.
NotificationFeedConfig read_notification_feed(runtime::ConfigReader& section);

/// Reads Nova's notifications from a queue of our own at RabbitMQ, bound to Nova's exchange, which is never declared.
/// librabbitmq blocks: it has a thread of its own, all callbacks are on the event loop. A lost broker is looked for
/// again with back-off, the next host of the list first.
class NotificationFeed {
public:
    struct Handler {
        /// Bodies of messages, in the queue's order.
        std::function<void(const std::vector<std::string>&)> on_messages;
        /// Listening from now on; what was sent before may be lost.
        std::function<void()> on_connected;
        /// So many read the queue, this one included; called when that has changed.
        std::function<void(std::size_t)> on_readers;
        /// Not listening, and why; holds no secret.
        std::function<void(const std::string&)> on_lost;
    };

    NotificationFeed(boost::asio::io_context& io, NotificationFeedConfig config, Handler handler);
    ~NotificationFeed();
    NotificationFeed(const NotificationFeed&) = delete;
    NotificationFeed& operator=(const NotificationFeed&) = delete;

    void start();
    /// The access of the connections from now on.
    void use(runtime::AmqpAccess access);
    /// No callback comes after it. Waits for the step under way, at most its time-out.
    void stop();

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::controller
