#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// Notices the end of a process that is no child of this one: at once where the kernel can tell (pidfd, Linux 5.3)
/// and descriptors are not short, else by a look once a second.
class ProcessWatch {
public:
    explicit ProcessWatch(boost::asio::io_context& io) : descriptor_(io), look_again_(io) {}

    /// `on_end` is called once, also when the process has ended already; never from within this function, nor after
    /// stop() or the end of this object.
    void start(pid_t process, std::function<void()> on_end);
    void stop();
    /// False also when it cannot be known.
    static bool is_gone(pid_t process);
    /// When it was started: another process with its number has another time. Empty when it has ended or this is not
    /// known.
    static std::string start_time_of(pid_t process);

private:
    void wait();
    void look();
    void wait_without_pidfd(pid_t process, const std::string& started);
    void end();

    boost::asio::posix::stream_descriptor descriptor_;
    runtime::Timer look_again_;
    std::function<void()> on_end_;
    std::shared_ptr<char> alive_;
};

}  // namespace vitalwire::guest
