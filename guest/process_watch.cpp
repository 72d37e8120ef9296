#include "guest/process_watch.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string_view>
#include <utility>

#include "guest/descriptors.hpp"
#include "guest/whole_number.hpp"
#include "runtime/file.hpp"

namespace vitalwire::guest {

namespace {

/// The same on every architecture; the C library of older systems has no name for it.
constexpr long kPidfdOpen = 434;
constexpr std::chrono::seconds kLookEvery{1};
constexpr std::size_t kMaxStatFile = 4096;
// Of /proc/PID/stat, behind the state.
constexpr int kThreadsField = 17;
constexpr int kStartTimeField = 19;

std::string_view field(std::string_view fields, int number) {
    for (int i = 0; i < number; ++i)
        fields.remove_prefix(std::min(fields.find(' ') + 1, fields.size()));
    return fields.substr(0, fields.find(' '));
}

}  // namespace

void ProcessWatch::start(pid_t process, std::function<void()> on_end) {
    stop();
    if (process <= 0) return;
    int descriptor = static_cast<int>(::syscall(kPidfdOpen, process, 0));
    const bool is_over = descriptor < 0 && errno == ESRCH;
    if (descriptor >= 0 && !is_spare(descriptor)) ::close(std::exchange(descriptor, -1));
    on_end_ = std::move(on_end);
    if (is_over) return look_again_.after(base::Millis(0), [this] { end(); });
    if (descriptor < 0) return wait_without_pidfd(process, start_time_of(process));
    descriptor_.assign(descriptor);
    alive_ = std::make_shared<char>();
    wait();
}

void ProcessWatch::wait_without_pidfd(pid_t process, const std::string& started) {
    look_again_.after(kLookEvery, [this, process, started] {
        // Without /proc its number alone says whether it is there.
        if (is_gone(process) || start_time_of(process) != started) return end();
        wait_without_pidfd(process, started);
    });
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
    end();
}

void ProcessWatch::end() {
    const auto on_end = std::move(on_end_);
    on_end();
}

void ProcessWatch::stop() {
    alive_.reset();
    look_again_.cancel();
    boost::system::error_code ignored;
    descriptor_.close(ignored);
}

bool ProcessWatch::is_gone(pid_t process) {
    return process > 0 && ::kill(process, 0) != 0 && errno == ESRCH;
}

std::string ProcessWatch::start_time_of(pid_t process) {
    const auto stat = runtime::read_file("/proc/" + std::to_string(process) + "/stat", kMaxStatFile);
    // The name before it may hold anything: "PID (NAME) STATE PARENT ...".
    const std::size_t name_end = stat ? stat->rfind(") ") : std::string::npos;
    if (name_end == std::string::npos) return {};
    const std::string_view fields = std::string_view(*stat).substr(name_end + 2);
    // Its main thread has ended: with the last one it has too, though nobody has asked for its exit status yet.
    const bool main_ended = fields.starts_with('Z') || fields.starts_with('X');
    if (main_ended && parse_whole<int>(field(fields, kThreadsField)).value_or(0) <= 1) return {};
    return std::string(field(fields, kStartTimeField));
}

}  // namespace vitalwire::guest
