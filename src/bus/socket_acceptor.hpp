#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "bus/stream_ends.hpp"
#include "bus/stream_url.hpp"
#include "bus/tls_context.hpp"
#include "runtime/admission.hpp"

namespace vitalwire::bus {

/// Listens on a unix://, tcp:// or tls:// URL.
class SocketAcceptor final : public Acceptor {
public:
    SocketAcceptor(boost::asio::io_context& io, std::string url, StreamUrl parsed, std::optional<TlsContext> tls);

    base::Result<std::string> open() override;
    void accept(Accepted accepted) override;
    void close() override { listener_.reset(); }
    base::Result<std::string> use(const Access& access) override;
    bool trust_has_changed() override;
    bool is_revoked(const ByteStream& stream) override { return trusted_ && stream.is_revoked(*trusted_); }
    std::string problem() const override { return listener_ ? listener_->problem() : ""; }
    std::uint64_t refused() const override { return listener_ ? listener_->refused() : 0; }

private:
    std::string shown() const;

    boost::asio::io_context& io_;
    std::string url_;
    StreamUrl parsed_;
    std::optional<TlsContext> tls_;
    std::shared_ptr<boost::asio::ssl::context> trusted_;  ///< when that was asked last
    std::optional<runtime::Admission> listener_;
};

}  // namespace vitalwire::bus
