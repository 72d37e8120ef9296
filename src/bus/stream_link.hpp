#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "bus/link.hpp"
#include "bus/stream_connection.hpp"
#include "bus/stream_ends.hpp"
#include "bus/transport.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

/// The agent's way to one controller, over streams that a dialer makes.
class StreamLink final : public AgentLink, public StreamConnection::Handler {
public:
    StreamLink(boost::asio::io_context& io, std::string name, std::unique_ptr<Dialer> dialer,
               const TransportOptions& options);
    ~StreamLink() override;
    StreamLink(const StreamLink&) = delete;
    StreamLink& operator=(const StreamLink&) = delete;

    void start(AgentLink::Handler& handler) override;
    void stop() override;
    void send(const ToController& message) override;
    base::Result<void> use(const Access& access) override;
    void retry_now() override;
    bool up() const override { return up_; }
    const std::string& name() const override { return name_; }
    std::uint64_t dropped() const override { return dropped_; }

private:
    void dial();
    void on_dialed(base::Result<std::unique_ptr<ByteStream>> stream);
    void on_open() override;
    void on_line(std::string_view line) override;
    void on_rejected(const Rejected& rejected);
    void on_closed(const std::string& why) override;
    void on_alive() override;
    void down(const std::string& why);
    void look_for_revoked();
    base::Millis next_delay();

    boost::asio::io_context& io_;
    std::string name_;
    TransportOptions options_;
    std::unique_ptr<Dialer> dialer_;
    AgentLink::Handler* handler_ = nullptr;
    std::shared_ptr<StreamConnection> connection_;
    bool up_ = false;
    bool waits_ = false;  ///< until it dials again
    std::uint64_t dropped_ = 0;
    std::string last_reason_;      ///< told to the handler while we are down
    std::string rejected_reason_;  ///< what the controller said before it closed
    base::Millis delay_;
    base::Millis delay_before_welcome_{0};
    std::optional<base::TimePoint> welcomed_at_;  ///< on this connection
    std::minstd_rand random_;
    runtime::Timer retry_;
    runtime::Timer trust_;
};

}  // namespace vitalwire::bus
