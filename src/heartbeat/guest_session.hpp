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

/// Of the times, those that are given; the host derives the others (proto-spec/heartbeat.md, section 5). The detection
/// time is the sum of interval and deadline: given all three, that has to hold.
struct GuestSettings {
    std::string name;
    std::optional<base::Millis> interval;
    std::optional<base::Millis> response_deadline;
    model::CorrectiveAction corrective_action = model::CorrectiveAction::none;
    std::optional<base::Millis> detection_time{};
    model::NoticeTimes notice_times{};

    /// What the host is asked for; absent: the host decides.
    std::optional<base::Millis> declared_detection_time() const;
    std::optional<base::Millis> declared_challenge_interval() const;

    friend bool operator==(const GuestSettings&, const GuestSettings&) = default;
};

/// The guest's health as it stands; answered to every challenge.
struct Health {
    bool healthy = true;
    std::string reason;
    std::optional<model::CorrectiveAction> action{};  ///< wanted for this ill health; absent: that of the init

    friend bool operator==(const Health&, const Health&) = default;
};

/// The guest's side of the heartbeat (proto-spec/heartbeat.md, section 3). Pure, like HostSession: the daemon owns the
/// port and the timer. Times are monitor time (StallClock), so a guest that itself stood still does not call its host
/// dead.
class GuestSession {
public:
    /// What the daemon has to do, in order.
    struct SendPdu {
        wire::HeartbeatPdu pdu;
    };
    struct Registered {
        base::SessionId session;
        base::Millis interval;
        base::Millis response_deadline;
        wire::HostFacts facts{};
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
    /// Whoever wants to be asked before an action of the cloud is to be: the answer is the daemon's to send.
    struct Asked {
        wire::ActionNotify notify;
    };
    using Action = std::variant<SendPdu, Registered, Unregistered, Refused, Asked>;
    using Actions = std::vector<Action>;

    /// The states of the specification's table.
    enum class State : std::uint8_t { disconnected, registering, registered, waiting };

    /// `first_invocation` makes the invocation ids of this process's inits different from an earlier one's.
    GuestSession(GuestSettings settings, std::int64_t first_invocation);

    void connected(base::TimePoint now, Actions& actions);
    void disconnected(Actions& actions);
    void received(const wire::HeartbeatPdu& pdu, const Health& health, base::TimePoint now, Actions& actions);
    void tick(base::TimePoint now, Actions& actions);
    /// New settings (configuration reload): registers again with them, if they differ.
    void reconfigure(GuestSettings settings, base::TimePoint now, Actions& actions);
    /// Orderly stop: sends exit where a session is known.
    void stop(const std::string& reason, Actions& actions);

    base::TimePoint next_deadline() const { return deadline_; }
    State state() const { return state_; }
    /// The host is known to watch this guest: also while the guest registers again with other settings.
    bool registered() const { return registered_; }

private:
    void on(const wire::InitAck& ack, base::TimePoint now, Actions& actions);
    void on(const wire::Challenge& challenge, const Health& health, base::TimePoint now, Actions& actions);
    void on(const wire::Exit& exit, base::TimePoint now, Actions& actions);
    void on(const wire::Nack& nack, base::TimePoint now, Actions& actions);

    wire::Init make_init() const;
    void send_init(base::TimePoint now, Actions& actions);
    void init_soon(base::TimePoint now, Actions& actions);
    void wait(const wire::Nack& nack, base::TimePoint now, Actions& actions);
    bool accept_minimum(const wire::Nack& nack);
    void expect_challenge(base::TimePoint now);
    void unregister(const std::string& why, Actions& actions);
    void drop_session(const std::string& why, Actions& actions);
    bool answers_last_init(const wire::Nack& nack) const;

    GuestSettings settings_;
    bool settings_changed_ = false;  ///< since the last init
    // The host's minimums, once it has rejected what was asked for.
    base::Millis min_interval_{};
    base::Millis min_detection_time_{};
    State state_ = State::disconnected;
    bool registered_ = false;
    std::int64_t invocation_;
    std::size_t unanswered_inits_ = 0;
    std::optional<base::TimePoint> last_init_at_;
    wire::Init last_init_;
    base::SessionId session_;                  ///< the known session, answered in every state; empty: none
    base::Millis interval_{};                  ///< of the session
    base::TimePoint deadline_ = base::kNever;  ///< T-init, T-silence or T-wait of the state
};

}  // namespace vitalwire::heartbeat
