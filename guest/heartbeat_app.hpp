#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "guest/channel.hpp"
#include "guest/monitor_clock.hpp"
#include "heartbeat/guest_session.hpp"

namespace vitalwire::guest {

/// The heartbeat on the channel: registers the guest and answers challenges with the health that is known.
class HeartbeatApp {
public:
    struct Counters {
        std::uint64_t challenges = 0;
        std::uint64_t unsent = 0;  ///< messages dropped because no host reads them
    };

    HeartbeatApp(MonitorClock& clock, Channel& channel, heartbeat::GuestSettings settings);

    void set_health(heartbeat::Health health) { health_ = std::move(health); }
    void reconfigure(heartbeat::GuestSettings settings);
    /// Says exit to the host.
    void stop(const std::string& reason);
    /// Called after each change of `registered()`.
    void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
    /// Called before a challenge is answered.
    void on_challenge(std::function<void()> challenged) { challenged_ = std::move(challenged); }
    /// Called with each question of the host; it is to be answered by `answer`, once. Without it all are answered at
    /// once.
    void on_asked(std::function<void(const wire::ActionNotify&)> asked) { asked_ = std::move(asked); }
    void answer(const wire::ActionNotify& notify, model::VoteResult result, std::string reason);
    bool registered() const { return session_.registered(); }
    const Counters& counters() const { return counters_; }

    void host_connected();
    void host_disconnected();
    void receive(const wire::HeartbeatPdu& pdu);

private:
    void carry_out(const heartbeat::GuestSession::Actions& actions);
    void perform(const heartbeat::GuestSession::SendPdu& action);
    void perform(const heartbeat::GuestSession::Registered& action);
    void perform(const heartbeat::GuestSession::Unregistered& action);
    void perform(const heartbeat::GuestSession::Refused& action);
    void perform(const heartbeat::GuestSession::Asked& action);

    MonitorClock& clock_;
    Channel& channel_;
    heartbeat::GuestSession session_;
    MonitorTimer timer_;
    heartbeat::Health health_;
    std::function<void()> changed_ = [] {};
    std::function<void()> challenged_ = [] {};
    std::function<void(const wire::ActionNotify&)> asked_;
    std::uint32_t sequence_ = 0;
    std::string refusal_;  ///< the last one logged: a host repeats itself
    Counters counters_;
};

}  // namespace vitalwire::guest
