#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>

#include "bus/amqp_streams.hpp"
#include "bus/link.hpp"
#include "bus/transport.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

/// The agent's end of a broker. It asks again and again which controllers are there; each that answers has a link.
class AmqpFinder final : public ControllerFinder, private AmqpStreams::Handler {
public:
    /// `remake`: the options of another access.
    AmqpFinder(boost::asio::io_context& io, AmqpStreams::Options streams, AmqpStreams::Remake remake,
               const TransportOptions& options);
    ~AmqpFinder() override;
    AmqpFinder(const AmqpFinder&) = delete;
    AmqpFinder& operator=(const AmqpFinder&) = delete;

    void start(Found found, Reached reached) override;
    void stop() override;
    void leave_at_broker(const Faults& faults) override;
    base::Result<void> use(const Access& access) override { return streams_->use(remake_, access); }
    std::string problem() const override { return problem_; }
    std::uint64_t dropped() const override { return streams_->dropped(); }

private:
    class Way;
    struct Place;

    void on_connected() override;
    void on_lost(const std::string& why) override;
    void on_blocked(const std::string& why) override;
    void on_word(const std::string& word, const std::string& name, const std::string& queue) override;
    void on_stream(std::unique_ptr<ByteStream>, const std::string&) override {}
    void seek();

    boost::asio::io_context& io_;
    TransportOptions options_;
    AmqpStreams::Remake remake_;
    std::shared_ptr<AmqpStreams> streams_;
    Found found_;
    Reached reached_;
    std::map<std::string, std::shared_ptr<Place>> places_;  ///< by the controllers' names
    std::string problem_;
    runtime::Timer timer_;
};

}  // namespace vitalwire::bus
