#include "host/channels/epoll_poller.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

namespace vitalwire::host {

namespace asio = boost::asio;

namespace {

/// In one turn of the loop, then its other events have theirs.
constexpr std::size_t kInOneTurn = 64;
/// Of those that are read before they are told. A few answers fill little of it, so that they are told from the cache.
constexpr std::size_t kBufferSize = 2 * EpollPoller::kReadSize;

int make_epoll() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    return fd;
}

}  // namespace

asio::execution_context::id EpollPoller::id;

EpollPoller::EpollPoller(asio::execution_context& context)
    : asio::execution_context::service(context),
      io_(static_cast<asio::io_context&>(context)),
      epoll_(io_, make_epoll()),
      buffer_(std::make_unique_for_overwrite<char[]>(kBufferSize)) {}

void EpollPoller::shutdown() {
    by_fd_.clear();
    to_write_.clear();
    watched_ = 0;
    boost::system::error_code ignored;
    epoll_.close(ignored);
}

const EpollPoller::Watched* EpollPoller::watched(int fd) const {
    const auto slot = static_cast<std::size_t>(fd);
    return slot < by_fd_.size() && by_fd_[slot].serial != 0 ? &by_fd_[slot] : nullptr;
}

std::shared_ptr<EpollPoller::Watcher> EpollPoller::watcher(Watch watch) const {
    const Watched* found = watched(watch.fd);
    return found != nullptr && found->serial == watch.serial ? found->watcher.lock() : nullptr;
}

int EpollPoller::watch(int fd, Interest interest, std::weak_ptr<Watcher> watcher) {
    if (!interest.read && !interest.write) {
        forget(fd);
        return 0;
    }
    const Watched* known = watched(fd);
    if (known != nullptr && known->interest == interest) return 0;
    epoll_event event{};
    event.events = (interest.read ? EPOLLIN : 0U) | (interest.write ? EPOLLOUT : 0U);
    event.data.fd = fd;
    const bool is_new = known == nullptr;
    if (::epoll_ctl(epoll_.native_handle(), is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
        const int error = errno;
        forget(fd);
        return error;
    }
    const auto slot = static_cast<std::size_t>(fd);
    if (slot >= by_fd_.size()) by_fd_.resize(slot + 1);
    by_fd_[slot] = {std::move(watcher), is_new ? ++last_serial_ : by_fd_[slot].serial, interest};
    if (is_new) ++watched_;
    arm();
    return 0;
}

void EpollPoller::forget(int fd) {
    if (watched(fd) == nullptr) return;
    by_fd_[static_cast<std::size_t>(fd)] = {};
    --watched_;
    ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
    boost::system::error_code ignored;
    if (watched_ == 0) epoll_.cancel(ignored);  // a loop without work may end
}

void EpollPoller::write_soon(int fd) {
    const Watched* found = watched(fd);
    if (found == nullptr) return;
    if (to_write_.empty()) asio::post(io_, [this] { write_together(); });
    to_write_.push_back({fd, found->serial});
}

void EpollPoller::write_together() {
    writing_.swap(to_write_);
    for (const Watch& watch : writing_) {
        if (const auto writer = watcher(watch)) writer->on_writable();
    }
    writing_.clear();
}

void EpollPoller::arm() {
    if (std::exchange(armed_, true)) return;
    epoll_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
        armed_ = false;
        if (!error) serve_ready();
        if (watched_ > 0 && epoll_.is_open()) arm();
    });
}

void EpollPoller::serve_ready() {
    std::array<epoll_event, kInOneTurn> events;
    const int ready = ::epoll_wait(epoll_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
    for (std::span<const epoll_event> rest(events.data(), ready > 0 ? static_cast<std::size_t>(ready) : 0);
         !rest.empty();)
        rest = rest.subspan(serve(rest));
}

/// As many as the buffer has room for; how many these were.
std::size_t EpollPoller::serve(std::span<const epoll_event> events) {
    readings_.clear();
    for (std::size_t used = 0; readings_.size() < events.size() && used + kReadSize <= kBufferSize;) {
        readings_.push_back(read_ready(events[readings_.size()], buffer_.get() + used));
        if (const auto& got = readings_.back().got) used += got->bytes.size();
    }
    for (const Reading& reading : readings_) {
        // It may have been forgotten since, by what came of another one's bytes.
        if (const auto writer = reading.writable ? watcher(reading.watch) : nullptr) writer->on_writable();
        if (const auto reader = reading.got ? watcher(reading.watch) : nullptr)
            reader->on_read(reading.got->bytes, reading.got->error);
    }
    return readings_.size();
}

EpollPoller::Reading EpollPoller::read_ready(const epoll_event& event, char* into) const {
    const int fd = event.data.fd;
    const Watched* found = watched(fd);
    if (found == nullptr) return {};
    Reading reading{{fd, found->serial}, std::nullopt, (event.events & EPOLLOUT) != 0};
    // The other side's end is told also to who does not read now, and is read later.
    if (found->interest.read && (event.events & ~EPOLLOUT) != 0) reading.got = read(fd, into);
    return reading;
}

std::optional<EpollPoller::Got> EpollPoller::read(int fd, char* into) {
    const ssize_t got = ::recv(fd, into, kReadSize, MSG_DONTWAIT);
    if (got >= 0) return Got{{into, static_cast<std::size_t>(got)}, 0};
    if (errno == EAGAIN || errno == EINTR) return std::nullopt;
    return Got{{}, errno};
}

}  // namespace vitalwire::host
