#include "guest/sdk_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/log.hpp"
#include "guest/app_protocol.hpp"
#include "wire/group_codec.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::guest {

using base::Errc;
using base::fail;

namespace {

constexpr std::chrono::milliseconds kOpenRetry{5000};
/// A datagram socket does not tell when its receiver has room again.
constexpr std::chrono::milliseconds kWriteRetry{20};
constexpr std::size_t kMaxWaitingForSdk = 64UL * 1024;
constexpr int kSdkVersion = 2;

/// Without a terminating zero: the SDK's length of an abstract address.
std::pair<sockaddr_un, socklen_t> abstract_address(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(&address.sun_path[1], name.data(), name.size());
    return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())};
}

std::int64_t short_seq(std::int64_t seq) {
    return seq % (app::kMaxSeq + 1);
}

}  // namespace

SdkSocket::SdkSocket(boost::asio::io_context& io, GroupApp& group, SdkSettings settings)
    : group_(group),
      settings_(std::move(settings)),
      socket_(io),
      timer_(io),
      waiting_(wire::Dialect::cgcs, kMaxWaitingForSdk) {}

SdkSocket::~SdkSocket() {
    stop();
}

void SdkSocket::start() {
    if (settings_.socket.empty()) return;
    const auto opened = open();
    if (opened) {
        problem_.clear();
        group_.join(*this, {true, true});
        return wait();
    }
    if (std::exchange(problem_, opened.error().message) != problem_)
        log::error("applications of the guest SDK cannot connect, trying again every 5 s", {{"why", problem_}});
    retry(kOpenRetry, &SdkSocket::start);
}

void SdkSocket::stop() {
    group_.leave(*this);
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
}

base::Result<void> SdkSocket::open() {
    const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return fail(Errc::io, "socket: " + std::generic_category().message(errno));
    socket_.assign(descriptor);
    const auto [address, size] = abstract_address(settings_.socket);
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0) return {};
    const int error = errno;
    boost::system::error_code ignored;
    socket_.close(ignored);
    return fail(Errc::io, "@" + settings_.socket + ": " + std::generic_category().message(error));
}

void SdkSocket::wait() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code error) {
        if (error) return;
        receive();
        wait();
    });
}

void SdkSocket::receive() {
    std::array<char, wire::kMaxCgcsMessage + 1> buffer;
    const ssize_t size = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0) return;
    if (static_cast<std::size_t>(size) > wire::kMaxCgcsMessage) return ignore("a datagram may have 4096 bytes");
    handle({buffer.data(), static_cast<std::size_t>(size)});
}

void SdkSocket::handle(std::string_view datagram) {
    // Some applications send the zero that ends their text.
    while (!datagram.empty() && (datagram.back() == '\0' || datagram.back() == '\n'))
        datagram.remove_suffix(1);
    wire::JsonDocument message;
    if (const auto read = message.read(datagram); !read) return ignore(read.error().message);
    if (wire::text_or(message.root(), "dest_addr") != wire::kCgcsGroupAddress)
        return ignore("key 'dest_addr': expected " + std::string(wire::kCgcsGroupAddress));
    const auto* data = wire::find(message.root(), "data");
    if (data == nullptr) return ignore("key 'data' is missing");
    auto request = wire::decode_group(*data, wire::Dialect::cgcs, wire::Receiver::host);
    if (!request) {
        // The text of a nack is all that the SDK's library looks at.
        const wire::Nack nack{request.error().code, request.error().message,
                              wire::text_or(*data, "msg_type", "unknown")};
        return deliver(group::Outgoing(nack));
    }
    if (auto* query = std::get_if<wire::StatusQuery>(&*request)) {
        last_query_ = query->seq;
        query->seq = short_seq(query->seq);
    }
    group_.send(*this, *request);
}

void SdkSocket::ignore(const std::string& why) {
    if (std::exchange(told_ignored_, true)) return;
    log::info("datagram of an application of the guest SDK ignored, further ones in silence", {{"why", why}});
}

void SdkSocket::deliver(const group::Outgoing& message) {
    wire::GroupPdu pdu = message.pdu();
    const auto give_seq_back = [this](std::int64_t& seq) {
        const bool ours = seq == short_seq(last_query_);
        seq = last_query_;
        return ours;
    };
    auto* response = std::get_if<wire::StatusResponse>(&pdu);
    auto* done = std::get_if<wire::StatusDone>(&pdu);
    if (response != nullptr && !give_seq_back(response->seq)) return;
    if (done != nullptr && !give_seq_back(done->seq)) return;
    const bool changed = response != nullptr || done != nullptr;
    const std::uint64_t before = waiting_.dropped();
    waiting_.push(changed ? group::Outgoing(std::move(pdu)) : message);
    if (waiting_.dropped() > before && !std::exchange(told_slow_, true))
        log::warning("application of the guest SDK does not read its messages, the oldest are dropped");
    write_waiting();
}

void SdkSocket::lost(std::uint64_t count) {
    log::warning("the host dropped messages because this guest did not read", {{"dropped", count}});
}

void SdkSocket::write_waiting() {
    if (!socket_.is_open()) return;
    while (!unwritten_.empty() || !waiting_.empty()) {
        if (unwritten_.empty()) unwritten_ = waiting_.pop();
        if (!write(unwritten_)) return retry(kWriteRetry, &SdkSocket::write_waiting);
        unwritten_.clear();
    }
    if (std::exchange(told_slow_, false))
        log::info("application of the guest SDK reads its messages again", {{"dropped", waiting_.dropped()}});
}

bool SdkSocket::write(const std::string& datagram) {
    const std::string_view text = std::string_view(datagram).substr(1, datagram.size() - 2);  // without its newlines
    const auto [address, size] = abstract_address(settings_.application);
    const ssize_t sent = ::sendto(socket_.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&address), size);
    // Whatever else is wrong, it is that nobody is there: nothing is lost that anybody waits for.
    return sent >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

void SdkSocket::retry(std::chrono::milliseconds after, void (SdkSocket::*what)()) {
    timer_.after(after, [this, what] { (this->*what)(); });
}

}  // namespace vitalwire::guest
