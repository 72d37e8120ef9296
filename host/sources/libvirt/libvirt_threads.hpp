#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.hpp"

namespace vitalwire::host {

/// How many threads are inside libvirt. A call that does not return keeps its thread: their number is bounded.
class LibvirtThreads {
public:
    static constexpr int kMax = 4;

    /// False when there are as many as may be.
    bool enter();
    void leave();
    /// Until all have left, or the time is over.
    void await_none(base::Duration patience);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int count_ = 0;
};

/// A thread that no signal interrupts: they are the main thread's business. Throws std::system_error as std::thread
/// does.
std::thread quiet_thread(std::function<void()> body);

/// Why the calling thread's last call of libvirt failed.
std::string last_libvirt_error();

}  // namespace vitalwire::host
