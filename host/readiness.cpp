#include "host/readiness.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace vitalwire::host {

namespace asio = boost::asio;

namespace {

/// In one turn of the loop, then its other events have theirs.
constexpr std::size_t kInOneTurn = 64;

int make_epoll() {
    const int fd = ::epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    return fd;
}

}  // namespace

asio::execution_context::id Readiness::id;

Readiness::Readiness(asio::execution_context& context)
    : asio::execution_context::service(context), epoll_(static_cast<asio::io_context&>(context), make_epoll()) {}

void Readiness::shutdown() {
    by_fd_.clear();
    watched_ = 0;
    boost::system::error_code ignored;
    epoll_.close(ignored);
}

bool Readiness::watches(int fd) const {
    return static_cast<std::size_t>(fd) < by_fd_.size() && by_fd_[static_cast<std::size_t>(fd)].watched;
}

int Readiness::watch(int fd, Interest interest, std::weak_ptr<Watcher> watcher) {
    if (!interest.read && !interest.write) {
        forget(fd);
        return 0;
    }
    epoll_event event{};
    event.events = (interest.read ? EPOLLIN : 0U) | (interest.write ? EPOLLOUT : 0U);
    event.data.fd = fd;
    const bool is_new = !watches(fd);
    if (::epoll_ctl(epoll_.native_handle(), is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
        const int error = errno;
        forget(fd);
        return error;
    }
    const auto slot = static_cast<std::size_t>(fd);
    if (slot >= by_fd_.size()) by_fd_.resize(slot + 1);
    by_fd_[slot] = {std::move(watcher), true};
    if (is_new) ++watched_;
    arm();
    return 0;
}

void Readiness::forget(int fd) {
    if (!watches(fd)) return;
    by_fd_[static_cast<std::size_t>(fd)] = {};
    --watched_;
    ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
    boost::system::error_code ignored;
    if (watched_ == 0) epoll_.cancel(ignored);  // a loop without work may end
}

void Readiness::arm() {
    if (std::exchange(armed_, true)) return;
    epoll_.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
        armed_ = false;
        if (!error) tell();
        if (watched_ > 0 && epoll_.is_open()) arm();
    });
}

void Readiness::tell() {
    std::array<epoll_event, kInOneTurn> events;
    const int ready = ::epoll_wait(epoll_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events.at(static_cast<std::size_t>(i));
        if (!watches(event.data.fd)) continue;  // forgotten in this turn
        const std::shared_ptr<Watcher> watcher = by_fd_[static_cast<std::size_t>(event.data.fd)].watcher.lock();
        if (watcher) watcher->on_ready((event.events & ~EPOLLOUT) != 0, (event.events & EPOLLOUT) != 0);
    }
}

}  // namespace vitalwire::host
