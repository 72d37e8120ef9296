#include "runtime/daemon.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/log.hpp"
#include "runtime/notify.hpp"
#include "runtime/timer.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;

namespace {
/// A stop that hangs (a peer that does not read, a full disk) must not outlast the service manager's patience.
constexpr base::Millis kStopDeadline{5000};
constexpr std::chrono::minutes kTurnsPeriod{1};

/// Mask and dispositions are inherited over exec: the parent may have blocked SIGTERM or ignored SIGCHLD.
void take_signals() {
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
        std::signal(number, SIG_DFL);
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
}
}  // namespace

/// Measures every turn of the loop. One that follows another at once is taken by the clock; the call that waits for the
/// first one is taken by the CPU time of the thread, in which the waiting does not count.
class LoopTurns {
public:
    void run(asio::io_context& io) {
        while (!io.stopped()) {
            const base::TimePoint begin = base::Clock::now();
            if (io.poll_one() != 0) {
                note(begin, base::Clock::now() - begin);
                continue;
            }
            if (io.stopped()) return;
            const base::Duration used = cpu_time();
            io.run_one();
            note(begin, cpu_time() - used);
        }
    }
    base::Duration longest() const { return std::max(longest_, longest_before_); }

private:
    static base::Duration cpu_time() {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    }
    void note(base::TimePoint now, base::Duration turn) {
        if (now - period_began_ >= kTurnsPeriod) {
            period_began_ = now;
            longest_before_ = std::exchange(longest_, base::Duration::zero());
        }
        longest_ = std::max(longest_, turn);
    }

    base::TimePoint period_began_{};
    base::Duration longest_{};
    base::Duration longest_before_{};  ///< of the period before
};

class Daemon::Impl {
public:
    Impl() {
        await_signal();
        watchdog_ = watchdog_interval();
        feed_watchdog();
    }

    asio::io_context& io() { return io_; }
    void on_reload(std::function<void()> reload) { reload_ = std::move(reload); }
    void on_stop(std::function<void(std::function<void()>)> stop) { stop_ = std::move(stop); }
    void run() { turns_.run(io_); }
    base::Duration longest_turn() const { return turns_.longest(); }

private:
    void await_signal() {
        signals_.async_wait([this](const boost::system::error_code& error, int number) {
            if (error) return;
            await_signal();
            if (number == SIGHUP) return reload();
            stop(number);
        });
    }

    void reload() {
        if (stopping_ || !reload_) return;
        notify_reloading();
        reload_();
        notify_ready();
    }

    void stop(int number) {
        if (stopping_) return io_.stop();  // asked twice: at once
        stopping_ = true;
        log::info("stopping", {{"signal", number == SIGTERM ? "SIGTERM" : "SIGINT"}});
        notify_stopping();
        if (!stop_) return io_.stop();
        deadline_.after(kStopDeadline, [this] {
            log::warning("stopping took too long, ending now", {{"after_ms", kStopDeadline.count()}});
            io_.stop();
        });
        stop_([this] { io_.stop(); });
    }

    void feed_watchdog() {
        if (!watchdog_) return;
        notify_watchdog();
        watchdog_timer_.after(*watchdog_, [this] { feed_watchdog(); });
    }

    asio::io_context io_{1};
    LoopTurns turns_;
    asio::signal_set signals_{io_, SIGTERM, SIGINT, SIGHUP};
    Timer deadline_{io_};
    Timer watchdog_timer_{io_};
    std::optional<base::Millis> watchdog_;
    std::function<void()> reload_;
    std::function<void(std::function<void()>)> stop_;
    bool stopping_ = false;
};

Daemon::Daemon() {
    take_signals();  // before handlers are installed
    impl_ = std::make_unique<Impl>();
}
Daemon::~Daemon() = default;

asio::io_context& Daemon::io() {
    return impl_->io();
}
void Daemon::on_reload(std::function<void()> reload) {
    impl_->on_reload(std::move(reload));
}
void Daemon::on_stop(std::function<void(std::function<void()> finished)> stop) {
    impl_->on_stop(std::move(stop));
}
void Daemon::run() {
    impl_->run();
}
base::Duration Daemon::longest_turn() const {
    return impl_->longest_turn();
}

void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) log::warning("cannot raise the limit of open files");
}

}  // namespace vitalwire::runtime
