#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.hpp"
#include "base/result.hpp"

struct amqp_connection_state_t_;
struct amqp_socket_t_;

namespace vitalwire::runtime {

/// One host of a RabbitMQ cluster.
struct AmqpBroker {
    std::string host;
    int port = 0;
    std::string vhost = "/";
    std::string user;  ///< empty: not named in the URL
    bool tls = false;

    /// "amqp://USER@HOST:PORT/VHOST" or "amqps://..."; user, port and vhost may be left out. A password is refused:
    /// configurations are read by many.
    static base::Result<AmqpBroker> parse(const std::string& url);
    friend bool operator==(const AmqpBroker&, const AmqpBroker&) = default;
    std::string where() const { return host + ":" + std::to_string(port); }
};

/// How to be let in.
struct AmqpAccess {
    std::string password;  ///< empty: the certificate says who we are (SASL EXTERNAL)
    std::string ca_file;   ///< of TLS; empty: the system's
    std::string certificate;
    std::string key;
    bool insecure = false;        ///< any certificate will do
    base::Millis timeout{2'000};  ///< of each step of connecting, and of each call
    int heartbeat_seconds = 10;   ///< a broker that is silent for twice as long is gone
};

/// What is sent, and what arrives. Empty properties are left out.
struct AmqpMessage {
    std::string exchange;  ///< empty: the default one, where the key is the name of a queue
    std::string key;
    std::string type;
    std::string user_id;  ///< RabbitMQ refuses any but the sender's own
    std::string reply_to;
    std::string correlation_id;
    std::string message_id;
    std::string body;
    bool mandatory = false;   ///< to be returned when no queue takes it
    bool persistent = false;  ///< to outlive the broker
};

struct AmqpEvent {
    AmqpMessage message;
    std::string consumer;
    std::uint64_t tag = 0;  ///< to acknowledge it by
    bool returned = false;  ///< one of ours that no queue took
};

/// A connection to a broker with one channel, over librabbitmq. It blocks, so it belongs to one thread that may; every
/// call has a deadline. After a call that failed there is nothing to do but to end it. Errors hold no secret.
class AmqpSession {
public:
    using Arguments = std::map<std::string, std::variant<bool, std::int64_t, std::string>>;

    struct Queue {
        bool durable = false;
        bool exclusive = false;  ///< ours alone, and gone with the connection
        bool replace = false;    ///< ours by its name: one that was declared otherwise is deleted, with what is in it
        Arguments arguments{};
    };

    explicit AmqpSession(AmqpAccess access);
    ~AmqpSession();
    AmqpSession(const AmqpSession&) = delete;
    AmqpSession& operator=(const AmqpSession&) = delete;

    base::Result<void> open(const AmqpBroker& broker);

    base::Result<void> declare_exchange(const std::string& name, const std::string& type);  ///< a durable one
    base::Result<void> expect_exchange(const std::string& name);  ///< fails if it is not there
    base::Result<void> declare_queue(const std::string& name, const Queue& queue);
    /// How many consumers a queue has; fails if it is not there.
    base::Result<std::size_t> consumers(const std::string& queue);
    base::Result<void> bind(const std::string& queue, const std::string& exchange, const std::string& key);
    base::Result<void> prefetch(std::uint16_t messages);
    /// `consumer` names it in events. Without `acknowledged` a message is done with when it is sent to us.
    base::Result<void> consume(const std::string& queue, const std::string& consumer, bool acknowledged);

    base::Result<void> publish(const AmqpMessage& message);
    base::Result<void> acknowledge(std::uint64_t tag, bool all_before);
    /// Waits for something to arrive; nothing when nothing does in time. Of a longer body the beginning.
    base::Result<std::optional<AmqpEvent>> next(base::Millis wait, std::size_t max_body);

    /// Why the broker takes nothing that is published (its memory, its disk); empty when it does. As of the last
    /// next().
    const std::string& blocked() const { return blocked_; }

    /// To be waited for; what has arrived already is not seen there: call next() until it has nothing.
    int socket() const;
    /// The orderly end of a connection that works.
    void close();

private:
    base::Result<void> connect(const AmqpBroker& broker);
    base::Result<void> equip(amqp_socket_t_* socket) const;
    base::Result<void> log_in(const AmqpBroker& broker);
    bool closed_for_other_arguments() const;
    base::Result<void> delete_queue(const std::string& name);
    base::Result<void> checked(const std::string& what);
    base::Result<std::optional<AmqpEvent>> other_than_a_message();

    AmqpAccess access_;
    amqp_connection_state_t_* state_;
    std::string blocked_;
};

}  // namespace vitalwire::runtime
