#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "bus/amqp_streams.hpp"
#include "bus/stream_ends.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

/// The controller's end of a broker: answers agents that look for controllers, and takes the streams they open.
class AmqpAcceptor final : public Acceptor, private AmqpStreams::Handler {
public:
    /// `streams`: as `remake` makes them, of this access and of another.
    AmqpAcceptor(boost::asio::io_context& io, const Access& access, AmqpStreams::Options streams,
                 AmqpStreams::Remake remake);
    ~AmqpAcceptor() override;
    AmqpAcceptor(const AmqpAcceptor&) = delete;
    AmqpAcceptor& operator=(const AmqpAcceptor&) = delete;

    /// Never fails: a broker that is away is looked for.
    base::Result<std::string> open() override;
    void accept(Accepted accepted) override;
    void close() override;
    base::Result<std::string> use(const Access& access) override;
    std::string problem() const override { return problem_; }
    std::string conflict() const override;
    std::uint64_t refused() const override { return streams_->refused() + turned_away_; }
    std::uint64_t dropped() const override { return streams_->dropped(); }

private:
    void on_connected() override;
    void on_lost(const std::string& why) override;
    void on_blocked(const std::string& why) override;
    void on_word(const std::string& word, const std::string& name, const std::string& queue) override;
    void on_stream(std::unique_ptr<ByteStream> stream, const std::string& name) override;
    void hand_out();
    void send_presence();
    void note_presence(const std::string& queue);

    boost::asio::io_context& io_;
    std::string url_;  ///< for people
    AmqpStreams::Remake remake_;
    std::shared_ptr<AmqpStreams> streams_;
    Accepted accepted_;
    std::deque<std::pair<std::unique_ptr<ByteStream>, std::string>> waiting_;
    std::uint64_t turned_away_ = 0;
    std::string problem_;
    std::string name_;
    runtime::Timer presence_;
    /// Another controller of our name: the queue of its connection, and when it was seen first and last.
    struct Namesake {
        std::string queue;
        base::TimePoint first{};
        base::TimePoint last{};
    };
    std::optional<Namesake> namesake_;
    std::shared_ptr<char> alive_ = std::make_shared<char>();  ///< for what was posted and may run after the end
};

}  // namespace vitalwire::bus
