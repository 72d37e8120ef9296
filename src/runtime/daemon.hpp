#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "base/clock.hpp"

namespace vitalwire::runtime {

inline constexpr const char* kLongestTurnHelp =
    "The longest that one event kept the loop from all others, within the last minute or two.";

/// Runs a daemon's event loop: SIGTERM and SIGINT end it in order, SIGHUP reloads, the service manager's watchdog is
/// fed from the loop itself (a stuck loop is seen). SIGPIPE is ignored.
class Daemon {
public:
    Daemon();
    ~Daemon();

    boost::asio::io_context& io();
    void on_reload(std::function<void()> reload);
    /// Called once at SIGTERM or SIGINT; the daemon calls `finished` when it is done, at the latest after 5 s the loop
    /// stops anyway.
    void on_stop(std::function<void(std::function<void()> finished)> stop);
    /// Returns when the loop has ended.
    void run();
    /// The longest that one handler kept the loop from all others, within the last minute or two.
    base::Duration longest_turn() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// Raises the soft limit of open files to the hard one.
void raise_file_limit();

}  // namespace vitalwire::runtime
