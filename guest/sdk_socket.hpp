#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "group/outbox.hpp"
#include "guest/group_app.hpp"
#include "guest/settings.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The abstract datagram socket on which applications of the cgcs guest SDK expect their daemon: one application of
/// the server group, with a fixed address. Its dialect is that of cgcs guests; what their library has no word for,
/// like drops, is only logged.
class SdkSocket : private GroupApp::Member {
public:
    SdkSocket(boost::asio::io_context& io, GroupApp& group, SdkSettings settings);
    ~SdkSocket() override;
    SdkSocket(const SdkSocket&) = delete;
    SdkSocket& operator=(const SdkSocket&) = delete;

    void start();
    void stop();

private:
    base::Result<void> open();
    void wait();
    void receive();
    void handle(std::string_view datagram);
    void ignore(const std::string& why);
    void deliver(const group::Outgoing& message) override;
    void lost(std::uint64_t count) override;
    void write_waiting();
    /// False when the application does not read now.
    bool write(const std::string& datagram);
    void retry(std::chrono::milliseconds after, void (SdkSocket::*what)());

    GroupApp& group_;
    SdkSettings settings_;
    boost::asio::posix::stream_descriptor socket_;
    runtime::Timer timer_;
    group::Outbox waiting_;
    std::string unwritten_;        ///< the next datagram, that the application had no room for
    std::int64_t last_query_ = 0;  ///< whole `seq`; the SDK's library counts without end and knows only its last one
    bool told_ignored_ = false;
    bool told_slow_ = false;
    std::string problem_;
};

}  // namespace vitalwire::guest
