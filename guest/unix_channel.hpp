#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "guest/channel.hpp"
#include "guest/stream.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The channel on a UNIX stream socket, without a virtual machine: it listens as QEMU does, the host connects, and one
/// host is served at a time (proto-spec/device.md, section 7).
class UnixChannel : public Channel {
public:
    UnixChannel(boost::asio::io_context& io, std::string path);
    ~UnixChannel() override;

    void start(Events& events) override;
    bool send(std::string message, Priority priority) override;
    void stop() override;
    std::string status() const override;

private:
    using Protocol = boost::asio::local::stream_protocol;

    void close();
    void listen();
    base::Result<void> try_listen();
    void accept();
    void accept_later(const std::string& problem);
    void serve(int descriptor);
    void hung_up();
    void report(const std::string& problem);

    boost::asio::io_context& io_;
    std::string path_;
    runtime::Timer retry_;
    Protocol::acceptor acceptor_;
    Events* events_ = nullptr;
    std::shared_ptr<Stream> stream_;
    std::string problem_;
};

}  // namespace vitalwire::guest
