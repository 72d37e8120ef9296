#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>

#include "bus/stream_ends.hpp"
#include "bus/stream_url.hpp"
#include "bus/tls_context.hpp"

namespace vitalwire::bus {

/// Connects to what a URL names: resolves, tries each address, gives up after 3 s.
class StreamDialer final : public Dialer {
public:
    StreamDialer(boost::asio::io_context& io, StreamUrl url, std::optional<TlsContext> tls);
    ~StreamDialer() override;
    StreamDialer(const StreamDialer&) = delete;
    StreamDialer& operator=(const StreamDialer&) = delete;

    void dial(Dialed dialed) override;
    void cancel() override;
    base::Result<void> use(const Access& access) override;
    bool trust_has_changed() override;
    bool is_revoked(const ByteStream& stream) override { return trusted_ && stream.is_revoked(*trusted_); }

private:
    class Attempt;

    boost::asio::io_context& io_;
    StreamUrl url_;
    std::optional<TlsContext> tls_;
    std::shared_ptr<boost::asio::ssl::context> trusted_;  ///< when that was looked at last
    std::shared_ptr<Attempt> attempt_;
};

}  // namespace vitalwire::bus
