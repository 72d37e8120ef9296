#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "wire/heartbeat_pdu.hpp"

namespace vitalwire::heartbeat {

struct GuestSettings {
    std::string name;
    base::Millis interval = wire::kDefaultInterval;
    std::optional<base::Millis> response_deadline;
    model::CorrectiveAction corrective_action = model::CorrectiveAction::none;

    friend bool operator==(const GuestSettings&, const GuestSettings&) = default;
};

/// The guest's health as it stands; answered to every challenge.
struct Health {
    bool healthy = true;
    std::string reason;

    friend bool operator==(const Health&, const Health&) = default;
};

/// The guest's side of the heartbeat (proto-spec/heartbeat.md, guest state table). Pure, like HostSession: the daemon
/// owns the port and the timer. Times are judged time (StallClock), so a guest that itself stood still does not call
/// its host dead.
class GuestSession {
public:
    /// What the daemon has to do, in order.
    struct SendPdu {
        wire::HeartbeatPdu pdu;
    };
    struct Registered {
        base::SessionId session;
        base::Millis interval;
    };
    /// The session ended; `why` is for the log.
    struct Unregistered {
        std::string why;
    };
    /// The host refused an init; `retry_in` from now.
    struct Refused {
        wire::Nack nack;
        base::Millis retry_in;
    };
    using Action = std::variant<SendPdu, Registered, Unregistered, Refused>;
    using Actions = std::vector<Action>;

    /// `first_invocation` makes the invocation ids of this process's inits different from an earlier one's.
    GuestSession(GuestSettings settings, std::int64_t first_invocation);

    void connected(base::TimePoint now, Actions& actions);
    void disconnected(Actions& actions);
    void received(const wire::HeartbeatPdu& pdu, const Health& health, base::TimePoint now, Actions& actions);
    void tick(base::TimePoint now, Actions& actions);
    /// New settings (configuration reload): registers again with them, if they differ.
    void reconfigure(GuestSettings settings, base::TimePoint now, Actions& actions);
    /// Orderly stop: says exit when registered.
    void stop(const std::string& reason, Actions& actions);

    base::TimePoint next_deadline() const { return deadline_; }
    bool registered() const { return state_ == State::beating; }

private:
    /// The states of the specification's table.
    enum class State : std::uint8_t {
        away,     ///< no host
        asking,   ///< init sent or due, not acknowledged
        beating,  ///< registered
        waiting,  ///< the host does not want us now
    };

    void on(const wire::InitAck& ack, base::TimePoint now, Actions& actions);
    void on(const wire::Challenge& challenge, const Health& health, base::TimePoint now, Actions& actions);
    void on(const wire::Exit& exit, base::TimePoint now, Actions& actions);
    void on(const wire::Nack& nack, base::TimePoint now, Actions& actions);

    void send_init(base::TimePoint now, Actions& actions);
    void init_soon(base::TimePoint now, Actions& actions);
    void wait(const wire::Nack& nack, base::TimePoint now, Actions& actions);
    void expect_challenge(base::TimePoint now);
    void end_session(const std::string& why, Actions& actions);
    bool answers_last_init(const wire::Nack& nack) const;

    GuestSettings settings_;
    State state_ = State::away;
    std::int64_t invocation_;
    base::Millis asked_interval_;  ///< the configured interval, or the host's floor where that is larger
    std::size_t unanswered_inits_ = 0;
    std::optional<base::TimePoint> last_init_at_;
    base::SessionId session_;
    base::Millis interval_{};                  ///< of the session
    base::TimePoint deadline_ = base::kNever;  ///< T-init, T-silence or T-wait of the state
};

}  // namespace vitalwire::heartbeat
