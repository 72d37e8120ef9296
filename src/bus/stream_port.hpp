#pragma once

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bus/link.hpp"
#include "bus/stream_connection.hpp"
#include "bus/stream_ends.hpp"
#include "bus/transport.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::bus {

/// The controller's end of all streams that an acceptor takes in.
class StreamPort final : public ControllerPort {
public:
    StreamPort(boost::asio::io_context& io, std::string url, std::unique_ptr<Acceptor> acceptor,
               const TransportOptions& options);
    ~StreamPort() override;
    StreamPort(const StreamPort&) = delete;
    StreamPort& operator=(const StreamPort&) = delete;

    base::Result<void> start(Handler& handler) override;
    void stop() override;
    void send(const base::HostId& host, const ToAgent& message) override;
    base::Result<void> use(const Access& access) override;
    const std::string& address() const override { return url_; }
    std::uint64_t refused() const override { return refused_ + acceptor_->refused(); }
    std::string problem() const override { return acceptor_->problem(); }
    std::string conflict() const override { return acceptor_->conflict(); }
    std::uint64_t dropped() const override { return dropped_ + acceptor_->dropped(); }

private:
    class Peer;

    void accept();
    bool make_room();
    void take(std::unique_ptr<ByteStream> stream, std::string peer);
    void greeted(const std::shared_ptr<Peer>& peer, const Hello& hello);
    void gone(const std::shared_ptr<Peer>& peer, const std::string& why);
    void refuse(const std::shared_ptr<Peer>& peer, const std::string& host, const std::string& why);
    void look_for_revoked();
    void count_refusal(const std::string& peer, const std::string& host, const std::string& why);

    boost::asio::io_context& io_;
    std::string url_;
    std::unique_ptr<Acceptor> acceptor_;
    TransportOptions options_;
    Handler* handler_ = nullptr;
    bool listening_ = false;
    bool accepting_ = false;
    std::vector<std::shared_ptr<Peer>> unidentified_;  ///< without a hello yet, in order of arrival
    runtime::Timer room_;
    runtime::Timer trust_;
    bool looking_ = false;  ///< for revoked certificates, after this one
    base::HostId looked_at_;
    std::map<base::HostId, std::shared_ptr<Peer>> agents_;
    std::uint64_t dropped_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t refused_when_logged_ = 0;
    std::string last_refusal_;
    base::TimePoint last_refusal_at_{};
};

}  // namespace vitalwire::bus
