#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.hpp"
#include "bus/byte_stream.hpp"
#include "bus/stream_url.hpp"
#include "bus/tls_context.hpp"

namespace vitalwire::bus {

/// Connects to what a URL names: resolves, tries each address, gives up after 3 s. One attempt at a time.
class StreamDialer {
public:
    using Dialed = std::function<void(base::Result<std::unique_ptr<ByteStream>>)>;

    StreamDialer(boost::asio::io_context& io, StreamUrl url, std::optional<TlsContext> tls);
    ~StreamDialer();
    StreamDialer(const StreamDialer&) = delete;
    StreamDialer& operator=(const StreamDialer&) = delete;

    /// The stream's handshake is still to be done.
    void dial(Dialed dialed);
    /// No callback comes after it.
    void cancel();

private:
    class Attempt;

    boost::asio::io_context& io_;
    StreamUrl url_;
    std::optional<TlsContext> tls_;
    std::shared_ptr<Attempt> attempt_;
};

}  // namespace vitalwire::bus
