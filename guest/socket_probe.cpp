#include "guest/socket_probe.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "guest/reason.hpp"

namespace vitalwire::guest {

using boost::asio::posix::stream_descriptor;

namespace {

constexpr std::size_t kMaxStatusLine = 1024;
/// The kernel does not tell when a server's queue of connections has room again.
constexpr base::Millis kConnectAgain{20};
/// Of one interim answer with its fields.
constexpr std::size_t kMaxInterim = 16UL * 1024;
constexpr int kFirstInterim = 100;
constexpr int kSwitchingProtocols = 101;
constexpr int kFirstGood = 200;
constexpr int kLastGood = 399;

/// "HTTP/1.1 204 No Content" is 204; 0 when it is no status line.
int status_of(std::string_view line) {
    if (!line.starts_with("HTTP/1.")) return 0;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return 0;
    int status = 0;
    const std::string_view digits = line.substr(space + 1, 3);
    if (line.size() > space + 4 && line[space + 4] != ' ') return 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), status);
    return error == std::errc{} && end == digits.data() + digits.size() ? status : 0;
}

/// True for an answer that the one that counts follows (RFC 9110, 15.2).
bool is_interim(int status) {
    return status >= kFirstInterim && status < kFirstGood && status != kSwitchingProtocols;
}

/// Where the fields of an answer end; npos when they do not yet.
std::size_t end_of_fields(std::string_view answer) {
    for (std::size_t at = answer.find('\n'); at != std::string_view::npos; at = answer.find('\n', at + 1)) {
        if (answer.substr(at + 1).starts_with('\n')) return at + 2;
        if (answer.substr(at + 1).starts_with("\r\n")) return at + 3;
    }
    return std::string_view::npos;
}

/// Closed so, it does not keep the port from the service that is to listen there.
void end_at_once(int socket) {
    const linger none{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

}  // namespace

bool is_connected_to_itself(int socket) {
    sockaddr_storage own{};
    sockaddr_storage peer{};
    socklen_t own_size = sizeof own;
    socklen_t peer_size = sizeof peer;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
           ::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 && own.ss_family != AF_UNIX &&
           own_size == peer_size && std::memcmp(&own, &peer, own_size) == 0;
}

SocketProbe::SocketProbe(MonitorClock& clock, const CheckSettings& check, Done done)
    : target_(check.target), done_(std::move(done)), socket_(clock.io()), retry_(clock.io()), end_(clock.io()) {
    start(check);
}

void SocketProbe::start(const CheckSettings& check) {
    // The configuration was checked when it was read.
    if (check.type == CheckType::http) {
        const auto url = parse_http_url(check.target);
        if (!url) return finish({false, "no valid URL"});
        request_ = "GET " + url->path + " HTTP/1.1\r\nHost: " + url->host +
                   "\r\nUser-Agent: vitalwired\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        return open(url->endpoint);
    }
    const auto endpoint =
        check.type == CheckType::unix_socket ? unix_endpoint(check.target) : parse_endpoint(check.target);
    if (!endpoint) return finish({false, "no valid address"});
    open(*endpoint);
}

void SocketProbe::open(const Endpoint& endpoint) {
    const int descriptor = ::socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return failed(errno);
    if (endpoint.is_localhost) next_ = other_localhost(endpoint);
    socket_.assign(descriptor);
    connect(endpoint);
}

void SocketProbe::connect(const Endpoint& endpoint) {
    const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
    const int error = ::connect(socket_.native_handle(), address, endpoint.size) == 0 ? 0 : errno;
    // A UNIX socket that does not block does not wait for room either: one that does would, as long as the check may.
    is_queue_full_ = error == EAGAIN && endpoint.address.ss_family == AF_UNIX;
    if (is_queue_full_) return retry_.after(kConnectAgain, [this, endpoint] { connect(endpoint); });
    if (error != 0 && error != EINPROGRESS) return cannot_connect(error);
    await(stream_descriptor::wait_write, [this] { connected(); });
}

std::string SocketProbe::awaits() const {
    return is_queue_full_ ? target_ + " takes no connections, its queue is full" : "";
}

template <class Then>
void SocketProbe::await(stream_descriptor::wait_type event, Then then) {
    socket_.async_wait(event, [this, event, alive = std::weak_ptr(alive_), then](boost::system::error_code error) {
        if (error || alive.expired()) return;
        // Asio may wake a wait for an event of the descriptor that had this number before.
        pollfd state{socket_.native_handle(),
                     static_cast<short>(event == stream_descriptor::wait_read ? POLLIN : POLLOUT), 0};
        if (::poll(&state, 1, 0) != 1) return await(event, then);
        then();
    });
}

void SocketProbe::connected() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return cannot_connect(error);
    if (is_connected_to_itself(socket_.native_handle())) {
        end_at_once(socket_.native_handle());
        return cannot_connect(ECONNREFUSED);
    }
    if (request_.empty()) return finish({});
    // It is smaller than any socket's buffer.
    if (::send(socket_.native_handle(), request_.data(), request_.size(), MSG_NOSIGNAL) < 0) return failed(errno);
    await(stream_descriptor::wait_read, [this] { read_status(); });
}

void SocketProbe::read_status() {
    std::array<char, kMaxStatusLine> buffer;
    const ssize_t count = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return failed(errno);
    if (count > 0) answer_.append(buffer.data(), static_cast<std::size_t>(count));
    std::string line;
    int status = kFirstInterim;
    while (is_interim(status)) {
        const std::size_t newline = answer_.find('\n');
        if (newline == std::string::npos && count != 0 && answer_.size() < kMaxStatusLine)
            return await(stream_descriptor::wait_read, [this] { read_status(); });
        line = tidy_reason(answer_.substr(0, newline));
        status = status_of(line);
        if (!is_interim(status)) break;
        const std::size_t end = end_of_fields(answer_);
        if (end == std::string::npos && count != 0 && answer_.size() < kMaxInterim)
            return await(stream_descriptor::wait_read, [this] { read_status(); });
        answer_.erase(0, end);
    }
    if (status >= kFirstGood && status <= kLastGood) return finish({});
    finish({false, target_ + (status == 0 ? ": no HTTP status in the answer" : ": " + line)});
}

void SocketProbe::cannot_connect(int error) {
    if (!next_) return failed(first_error_ != 0 ? first_error_ : error);
    first_error_ = error;
    boost::system::error_code ignored;
    socket_.close(ignored);
    open(*std::exchange(next_, std::nullopt));
}

void SocketProbe::failed(int error) {
    finish({false, "cannot connect to " + target_ + ": " + std::generic_category().message(error)});
}

void SocketProbe::finish(heartbeat::Health health) {
    retry_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    // Never from within start_probe().
    end_.after(base::Millis(0), [this, health = std::move(health)] {
        const Done done = std::move(done_);
        done(health);
    });
}

}  // namespace vitalwire::guest
