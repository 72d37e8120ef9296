#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vitalwire::bus {

/// A connected socket, plain or under TLS. One read and one write may be under way; it must live until their handlers
/// have run.
class ByteStream {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;
    using Done = std::function<void(boost::system::error_code)>;
    using Transferred = std::function<void(boost::system::error_code, std::size_t)>;

    virtual ~ByteStream() = default;
    virtual void handshake(Done done) = 0;
    virtual void read_some(boost::asio::mutable_buffer into, Transferred done) = 0;
    virtual void write_all(boost::asio::const_buffer from, Transferred done) = 0;
    /// The peer reads what was written and then the end.
    virtual void finish_sending() = 0;
    virtual void close() = 0;
    /// Why an operation failed, for people: names what is wrong with a certificate.
    virtual std::string explain(const boost::system::error_code& error) const = 0;
    /// True when the peer has proved its names; they are certified_names(), by its `credential`.
    virtual bool authenticated() const = 0;
    virtual std::vector<std::string> certified_names() const = 0;
    virtual std::string credential() const { return "certificate"; }
    /// True when what the context trusts revokes the certificate that the peer has shown.
    virtual bool is_revoked(boost::asio::ssl::context&) const { return false; }
};

std::unique_ptr<ByteStream> make_plain_stream(ByteStream::Socket socket);
/// `host`: whose certificate is expected, for the client's side; empty on the server's.
std::unique_ptr<ByteStream> make_tls_stream(ByteStream::Socket socket,
                                            std::shared_ptr<boost::asio::ssl::context> context,
                                            const std::string& host);

}  // namespace vitalwire::bus
