#include "runtime/daemon.hpp"

#include <sys/resource.h>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <utility>

#include "base/log.hpp"
#include "runtime/notify.hpp"

namespace vitalwire::runtime {

namespace asio = boost::asio;

namespace {
/// A stop that hangs (a peer that does not read, a full disk) must not outlast the service manager's patience.
constexpr base::Millis kStopDeadline{5000};

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
    void run() { io_.run(); }

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
        deadline_.expires_after(kStopDeadline);
        deadline_.async_wait([this](const boost::system::error_code& error) {
            if (error) return;
            log::warning("stopping took too long, ending now", {{"after_ms", kStopDeadline.count()}});
            io_.stop();
        });
        stop_([this] { io_.stop(); });
    }

    void feed_watchdog() {
        if (!watchdog_) return;
        notify_watchdog();
        watchdog_timer_.expires_after(*watchdog_);
        watchdog_timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) feed_watchdog();
        });
    }

    asio::io_context io_{1};
    asio::signal_set signals_{io_, SIGTERM, SIGINT, SIGHUP};
    asio::steady_timer deadline_{io_};
    asio::steady_timer watchdog_timer_{io_};
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

void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) log::warning("cannot raise the limit of open files");
}

}  // namespace vitalwire::runtime
