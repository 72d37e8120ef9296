#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>

#include "base/clock.hpp"
#include "heartbeat/stall_clock.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::guest {

/// The time by which hosts, checks and applications are judged: steady time without the time in which this daemon
/// itself stood still (SIGSTOP, a starved or paused machine).
class Judge {
public:
    explicit Judge(boost::asio::io_context& io);

    base::TimePoint now();
    boost::asio::io_context& io() { return io_; }

private:
    friend class JudgedTimer;

    void probe();

    boost::asio::io_context& io_;
    runtime::Timer timer_;
    heartbeat::StallClock clock_;
};

/// A timer on judged time: it moves with every stall that is noticed before it runs. One that runs late itself waits
/// once more for as long as it was late: who was to answer by then may have stood still as well.
class JudgedTimer {
public:
    explicit JudgedTimer(Judge& judge);

    /// Calls `due` once, at or after judged `when`; replaces what was awaited before. kNever only cancels.
    void arm(base::TimePoint when, std::function<void()> due);
    void cancel();

private:
    void wait();
    void ran();

    Judge& judge_;
    runtime::Timer timer_;  // nothing of it runs once this timer is cancelled or gone, however late the loop is
    base::TimePoint when_ = base::kNever;
    bool extended_ = false;
    std::function<void()> due_;
};

}  // namespace vitalwire::guest
