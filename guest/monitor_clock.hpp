#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>

#include "base/clock.hpp"
#include "heartbeat/stall_clock.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// Monitor time, by which hosts, checks and applications are late: steady time without the time in which this daemon
/// itself stood still (SIGSTOP, a starved or paused machine).
class MonitorClock {
public:
    explicit MonitorClock(boost::asio::io_context& io);

    base::TimePoint now();
    boost::asio::io_context& io() { return io_; }

private:
    friend class MonitorTimer;

    boost::asio::io_context& io_;
    runtime::Timer timer_;
    base::TimePoint probe_at_{};
    heartbeat::StallClock stall_clock_;
};

/// A timer on monitor time: it moves with every stall that is noticed before it runs. One that runs late itself waits
/// once more for as long as it was late: who was to answer by then may have stood still as well.
class MonitorTimer {
public:
    explicit MonitorTimer(MonitorClock& clock);

    /// Calls `due` once, at or after monitor time `when`; replaces what was awaited before. kNever only cancels.
    void arm(base::TimePoint when, std::function<void()> due);
    void cancel();

private:
    void wait();
    void ran();

    MonitorClock& clock_;
    runtime::Timer timer_;  // nothing of it runs once this timer is cancelled or gone, however late the loop is
    base::TimePoint when_ = base::kNever;
    bool extended_ = false;
    std::function<void()> due_;
};

}  // namespace vitalwire::guest
