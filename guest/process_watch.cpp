#include "guest/process_watch.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace vitalwire::guest {

namespace {

/// The same on every architecture; the C library of older systems has no name for it.
constexpr long kPidfdOpen = 434;

}  // namespace

void ProcessWatch::start(pid_t process, std::function<void()> on_end) {
    stop();
    if (process <= 0) return;
    const int descriptor = static_cast<int>(::syscall(kPidfdOpen, process, 0));
    if (descriptor < 0) return;
    descriptor_.assign(descriptor);
    alive_ = std::make_shared<char>();
    on_end_ = std::move(on_end);
    wait();
}

void ProcessWatch::wait() {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this, alive = std::weak_ptr(alive_)](const auto& error) {
                               if (!error && !alive.expired()) look();
                           });
}

void ProcessWatch::look() {
    // Asio may wake a wait for an event of the descriptor that had this number before.
    pollfd state{descriptor_.native_handle(), POLLIN, 0};
    if (::poll(&state, 1, 0) != 1) return wait();
    const auto on_end = std::move(on_end_);
    on_end();
}

void ProcessWatch::stop() {
    alive_.reset();
    boost::system::error_code ignored;
    descriptor_.close(ignored);
}

bool ProcessWatch::is_gone(pid_t process) {
    return process > 0 && ::kill(process, 0) != 0 && errno == ESRCH;
}

}  // namespace vitalwire::guest
