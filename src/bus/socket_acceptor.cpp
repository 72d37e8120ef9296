#include "bus/socket_acceptor.hpp"

#include <utility>

namespace vitalwire::bus {

SocketAcceptor::SocketAcceptor(boost::asio::io_context& io, std::string url, StreamUrl parsed,
                               std::optional<TlsContext> tls)
    : io_(io), url_(std::move(url)), parsed_(std::move(parsed)), tls_(std::move(tls)) {}

base::Result<std::string> SocketAcceptor::open() {
    const bool is_unix = parsed_.scheme == StreamUrl::Scheme::unix_socket;
    const std::string scheme = url_.substr(0, url_.find("://") + 3);
    auto listener = runtime::Admission::open(io_, is_unix ? "unix:" + parsed_.path : url_.substr(scheme.size()));
    if (!listener) return tl::make_unexpected(listener.error());
    listener_.emplace(std::move(*listener));
    return shown();
}

void SocketAcceptor::accept(Accepted accepted) {
    listener_->accept([this, accepted = std::move(accepted)](runtime::Admission::Socket socket, std::string peer) {
        accepted(tls_ ? make_tls_stream(std::move(socket), tls_->current(), "") : make_plain_stream(std::move(socket)),
                 std::move(peer));
    });
}

base::Result<std::string> SocketAcceptor::use(const Access& access) {
    if (tls_) {
        if (auto used = tls_->use(access.tls); !used) return tl::make_unexpected(used.error());
    }
    return shown();
}

bool SocketAcceptor::trust_has_changed() {
    if (!tls_) return false;
    auto now = tls_->current();
    return std::exchange(trusted_, now) != now;
}

std::string SocketAcceptor::shown() const {
    if (parsed_.scheme == StreamUrl::Scheme::unix_socket) return url_;
    return url_.substr(0, url_.find("://") + 3) + listener_->address();
}

}  // namespace vitalwire::bus
