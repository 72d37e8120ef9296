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
    wire::CorrectiveAction corrective_action = wire::CorrectiveAction::none;

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
    void disconnected(base::TimePoint now, Actions& actions);
    void received(const wire::HeartbeatPdu& pdu, const Health& health, base::TimePoint now, Actions& actions);
    void tick(base::TimePoint now, Actions& actions);
    /// New settings (configuration reload): registers again with them.
    void reconfigure(GuestSettings settings, base::TimePoint now, Actions& actions);
    /// Orderly stop: says exit when registered.
    void stop(const std::string& reason, Actions& actions);

    base::TimePoint next_deadline() const { return deadline_; }
    bool registered() const { return session_.has_value(); }

private:
    struct Session {
        base::SessionId id;
        base::Millis interval;
    };

    void send_init(base::TimePoint now, Actions& actions);
    void init_at_most_once_a_second(base::TimePoint now, Actions& actions);
    void expect_challenge(base::TimePoint now);
    void end_session(const std::string& why, Actions& actions);
    void on(const wire::InitAck& ack, base::TimePoint now, Actions& actions);
    void on(const wire::Challenge& challenge, const Health& health, base::TimePoint now, Actions& actions);
    void on(const wire::Exit& exit, base::TimePoint now, Actions& actions);
    void on(const wire::Nack& nack, base::TimePoint now, Actions& actions);

    GuestSettings settings_;
    std::int64_t invocation_;
    bool connected_ = false;
    std::optional<Session> session_;
    base::Millis asked_interval_;
    int unanswered_inits_ = 0;
    base::TimePoint last_init_at_{};
    std::uint64_t invocations_ = 0;
    bool init_sent_ = false;                   ///< and not yet acknowledged
    base::TimePoint deadline_ = base::kNever;  ///< unregistered: the next init; registered: the host counts as silent
};

}  // namespace vitalwire::heartbeat
