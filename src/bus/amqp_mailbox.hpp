#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "bus/amqp_client.hpp"
#include "bus/link.hpp"

namespace vitalwire::bus {

/// The controllers' common queue at a broker. It has a connection of its own: a quorum queue without its quorum must
/// not stop what goes from queue to queue.
class AmqpMailbox final : public Mailbox, private AmqpClient::Handler {
public:
    /// The options that belong to an access.
    using Remake = base::Result<AmqpClient::Options> (*)(const Access& access);

    AmqpMailbox(boost::asio::io_context& io, AmqpClient::Options options, Remake remake);
    ~AmqpMailbox() override;
    AmqpMailbox(const AmqpMailbox&) = delete;
    AmqpMailbox& operator=(const AmqpMailbox&) = delete;

    void start(Taken taken) override;
    void stop() override;
    base::Result<void> use(const Access& access) override;
    std::string problem() const override { return problem_; }
    std::uint64_t refused() const override { return refused_; }

private:
    void on_connected(const std::string& queue) override;
    void on_lost(const std::string& why) override;
    void on_blocked(const std::string&) override {}  // it only reads
    void on_event(const runtime::AmqpEvent& event) override;
    void refuse(const runtime::AmqpEvent& event, const std::string& why);

    Remake remake_;
    AmqpClient client_;
    Taken taken_;
    std::string problem_;
    std::uint64_t refused_ = 0;
    /// Made again for each connection: what was delivered over one cannot be acknowledged over another.
    std::shared_ptr<char> connection_;
};

}  // namespace vitalwire::bus
