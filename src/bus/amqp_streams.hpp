#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bus/access.hpp"
#include "bus/amqp_client.hpp"
#include "bus/byte_stream.hpp"

namespace vitalwire::bus {

/// Byte streams to other processes through a broker: each process has one queue, and a stream is the messages of one
/// number between two queues, counted so that a lost one is noticed. A stream ends when either side says so, when the
/// broker returns what was sent (the other process's queue went with its connection: it is dead), and with our own
/// connection. The same class serves agents, which open streams, and controllers, which take them.
class AmqpStreams final : public std::enable_shared_from_this<AmqpStreams>, private AmqpClient::Handler {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        virtual void on_connected() = 0;
        virtual void on_lost(const std::string& why) = 0;
        /// Connected, but the broker takes nothing that is sent; empty: it does again.
        virtual void on_blocked(const std::string& why) = 0;
        /// A word outside of streams, from the process of that name and queue.
        virtual void on_word(const std::string& word, const std::string& name, const std::string& queue) = 0;
        /// A stream that the other process has opened.
        virtual void on_stream(std::unique_ptr<ByteStream> stream, const std::string& name) = 0;
    };

    struct Options {
        AmqpClient::Options client;
        std::string exchange;  ///< that leads to the others' queues by their names
        std::string user;      ///< ours at the broker
        bool accepts = false;  ///< streams that others open
        /// Who has sent a message; nobody when it cannot be told. Such messages are dropped and counted.
        std::function<std::optional<std::string>(const runtime::AmqpMessage&)> sender;
    };

    AmqpStreams(boost::asio::io_context& io, Options options);
    ~AmqpStreams() override;
    AmqpStreams(const AmqpStreams&) = delete;
    AmqpStreams& operator=(const AmqpStreams&) = delete;

    /// `handler` must live until stop().
    void start(Handler& handler);
    void stop();
    /// The options that belong to an access, as those of the start did.
    using Remake = base::Result<Options> (*)(const Access& access);
    /// As AmqpClient::use. On failure nothing changes.
    base::Result<void> use(Remake remake, const Access& access);

    std::unique_ptr<ByteStream> open(const std::string& queue, const std::string& name);
    /// Nothing while not connected.
    void say(const std::string& word, const std::string& key);
    /// Leaves something that outlives the broker and us where the key leads to.
    void leave_at_broker(const std::string& key, std::string body);
    bool connected() const { return !queue_.empty(); }
    /// Of this connection; empty while not connected.
    const std::string& queue() const { return queue_; }
    bool has_stream_to(const std::string& queue) const;
    std::uint64_t refused() const { return refused_; }  ///< messages
    /// Messages that our queue to the broker or the broker's queue to us had no room for.
    std::uint64_t dropped() const { return client_.dropped() + missed_; }

private:
    class Stream;
    using Key = std::pair<std::string, std::string>;  ///< the other's queue, the stream's number

    void on_connected(const std::string& queue) override;
    void on_lost(const std::string& why) override;
    void on_blocked(const std::string& why) override;
    void on_event(const runtime::AmqpEvent& event) override;

    void received(const runtime::AmqpMessage& message, const std::string& name);
    void end_all(const std::function<bool(const Key&)>& which, const std::string& why);
    void end(const Key& key, const std::string& why);
    void refuse(const runtime::AmqpMessage& message);
    std::unique_ptr<Stream> make(const Key& key, const std::string& name);
    runtime::AmqpMessage message_to(const std::string& key, const std::string& type) const;

    boost::asio::io_context& io_;
    Options options_;
    AmqpClient client_;
    Handler* handler_ = nullptr;
    std::string queue_;  ///< ours; empty while not connected
    std::map<Key, Stream*> streams_;
    std::uint64_t last_number_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t missed_ = 0;  ///< counted by gaps in streams
    bool refusing_ = false;
};

}  // namespace vitalwire::bus
