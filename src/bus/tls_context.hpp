#pragma once

#include <array>
#include <boost/asio/ssl/context.hpp>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "bus/transport.hpp"

namespace vitalwire::bus {

/// TLS 1.3 with certificates on both sides, or for HTTP on the server's alone, from files that may be renewed while we
/// run.
class TlsContext {
public:
    enum class Role { client, server, http_server };

    static base::Result<TlsContext> load(Role role, TlsFiles files);

    /// The context of the files as they are now. Files that changed and cannot be used (half of a renewal) leave the
    /// last good one in place, and are logged once.
    std::shared_ptr<boost::asio::ssl::context> current();
    /// Other files from now on. On failure nothing changes.
    base::Result<void> use(TlsFiles files);

private:
    using Stamps = std::array<timespec, 4>;

    TlsContext(Role role, TlsFiles files) : role_(role), files_(std::move(files)) {}
    Stamps stamps() const;
    base::Result<std::shared_ptr<boost::asio::ssl::context>> make() const;

    Role role_;
    TlsFiles files_;
    Stamps seen_{};
    std::shared_ptr<boost::asio::ssl::context> context_;
};

/// The DNS names of a peer's certificate (subjectAltName, RFC 9525: a common name is none) in their canonical form.
std::vector<std::string> certificate_names(SSL* connection);
std::vector<std::string> certificate_names(const X509* certificate);

/// True when the context's revocation list has the certificate that the peer has shown. Nothing else is looked at:
/// what has ended since, or of another authority since, is rejected when the peer comes again.
bool is_peer_revoked(SSL* connection, SSL_CTX* context);

/// Why a handshake failed, for people: which side rejects the other's certificate, and whether a clock may be wrong.
std::string explain_handshake(SSL* connection, const boost::system::error_code& error);

struct Validity {
    base::WallTime begin;
    base::WallTime end;
};
/// Of the first certificate in a PEM file.
base::Result<Validity> certificate_validity(const std::string& file);

/// Asks for a certificate of `host`, a name or an address, when the handshake comes.
void expect_host(SSL* connection, const std::string& host);

/// Makes an HTTP server use them; without a certificate it stays plain. Before it listens.
template <class HttpServer>
base::Result<void> use_tls(HttpServer& server, const TlsFiles& files) {
    if (files.certificate.empty()) return {};
    auto tls = TlsContext::load(TlsContext::Role::http_server, files);
    if (!tls) return tl::make_unexpected(tls.error());
    server.use_tls([tls = std::make_shared<TlsContext>(std::move(*tls))] { return tls->current(); });
    return {};
}

}  // namespace vitalwire::bus
