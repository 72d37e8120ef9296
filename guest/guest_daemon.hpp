#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "guest/action_votes.hpp"
#include "guest/app_server.hpp"
#include "guest/base_layer.hpp"
#include "guest/channel.hpp"
#include "guest/check.hpp"
#include "guest/children.hpp"
#include "guest/event_script.hpp"
#include "guest/group_app.hpp"
#include "guest/health_board.hpp"
#include "guest/heartbeat_app.hpp"
#include "guest/monitor_clock.hpp"
#include "guest/sdk_heartbeat.hpp"
#include "guest/sdk_socket.hpp"
#include "guest/settings.hpp"
#include "guest/state_file.hpp"

namespace vitalwire::guest {

/// All of vitalwired but its process: signals, options and the service manager are the program's.
class GuestDaemon {
public:
    GuestDaemon(boost::asio::io_context& io, Settings settings);

    void start();
    /// Takes new settings over; what runs unchanged is not disturbed. The channel and the socket stay until the next
    /// start.
    void reload(const Settings& settings);
    /// Says exit to the host and closes everything.
    void stop();

    /// One line for people: registered or why not, health.
    std::string status() const;
    void on_status(std::function<void(const std::string&)> listener) { status_listener_ = std::move(listener); }

private:
    void serve(bool is_first_try);
    void health_changed(const heartbeat::Health& overall);
    void tell_status();
    app::Status overview() const;
    std::vector<Kept> keep() const;

    Settings settings_;
    MonitorClock clock_;
    std::unique_ptr<Channel> channel_;
    HeartbeatApp heartbeat_;
    GroupApp group_;
    BaseLayer base_layer_;
    HealthBoard board_;
    Children children_;
    Checks checks_;
    ActionVotes votes_;
    EventScript event_script_;
    AppServer applications_;
    SdkSocket sdk_;
    SdkHeartbeat sdk_heartbeat_;
    StateFile state_;
    runtime::Timer serve_retry_;
    std::function<void(const std::string&)> status_listener_ = [](const std::string&) {};
};

}  // namespace vitalwire::guest
