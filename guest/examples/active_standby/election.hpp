// Which of two guests is active: the decision alone. No socket, no clock, no thread: the caller says what happened and
// what time it is, and carries out what comes back. README.md has the rules and why they hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace active_standby {

using Time = std::chrono::steady_clock::time_point;
using Millis = std::chrono::milliseconds;

enum class Role { standby, active };

struct Timing {
    Millis beat{500};        ///< between two greetings, and between two questions to the cloud
    Millis lease{2000};      ///< how long a proof of being needed lasts; several beats
    Millis ride_out{10000};  ///< how long the active goes on while the host says that nobody knows anything
};

/// Two actives at most for so long, whatever is cut, delayed, killed or paused; in the time of the later one to notice.
constexpr Millis longest_overlap(const Timing& timing) {
    return 2 * timing.lease + timing.ride_out;
}

/// What the cloud says of a guest of the group.
struct Report {
    std::string instance;
    bool up = false;  ///< its state is active, and its heartbeat neither lost nor unhealthy
};

class Election {
public:
    /// Broadcast this text.
    struct Greet {
        std::string text;
    };
    /// Query the status of the group; hand the answer in with this number.
    struct Ask {
        std::uint64_t number;
    };
    struct Become {
        Role role;
        std::string why;
    };
    using Action = std::variant<Greet, Ask, Become>;
    using Actions = std::vector<Action>;

    /// `self`: this guest's instance id. `life`: another number for each start of the program.
    Election(std::string self, std::uint64_t life, Timing timing);

    Role role() const { return role_; }
    std::uint64_t term() const { return term_; }

    /// To be called first whenever the program wakes up, and at `next_deadline`.
    Actions tick(Time now);
    Time next_deadline() const;
    /// A broadcast of another guest; what is no greeting of this kind is ignored.
    Actions greeted(const std::string& source, const std::string& text, Time now);
    Actions answered(std::uint64_t number, const std::vector<Report>& group, Time now);
    /// The host said to a question that what knows the groups cannot be reached.
    Actions unavailable(std::uint64_t number, Time now);
    /// Something about the peer changed: a reason to ask, not to believe.
    Actions notified(Time now);
    /// The cloud is about to act on this guest (`leaving`), or has done so: while it does, the peer is to be active if
    /// it can.
    Actions leave(bool leaving, Time now);
    /// It leaves, and the peer has not taken over yet and still may.
    bool is_handing_over(Time now) const { return leaving_ && role_ == Role::standby && peer_may_take_over(now); }
    /// The peer has said so, within the lease.
    bool peer_is_active(Time now) const { return in_contact(now) && peer_->role == Role::active; }

private:
    struct Peer {
        std::string instance;
        std::uint64_t life = 0;
        std::uint64_t last = 0;  ///< number of its last greeting
        Role role = Role::standby;
        bool able = false;
        std::uint64_t term = 0;
    };
    struct View {
        Time asked_at;
        std::string peer;
        bool self_up = false;
        bool peer_up = false;
    };
    struct Greeting {
        std::uint64_t life = 0, number = 0, term = 0, heard_life = 0, heard_number = 0;
        Role role = Role::standby;
        bool able = false;
    };

    static std::optional<Greeting> parse(const std::string& text);
    bool preferred() const { return self_ > view_->peer; }
    bool sees(Time now) const { return view_ && now < view_->asked_at + timing_.lease; }
    bool in_contact(Time now) const { return contact_at_ && now < *contact_at_ + timing_.lease; }
    bool peer_may_take_over(Time now) const {
        return sees(now) && view_->peer_up && in_contact(now) && peer_->role == Role::standby && peer_->able;
    }
    bool deaf(Time now) const;
    void take_contact(const Greeting& greeting);
    void renew(Time now);
    void decide(Time now, Actions& actions);
    std::string reason_to_take_over(Time now) const;
    void become(Role role, const std::string& why, Time now, Actions& actions);
    void greet(Time now, Actions& actions);
    void ask(Time now, Actions& actions);
    /// When the question was asked; nothing when it was answered already or too long ago.
    std::optional<Time> take_question(std::uint64_t number);

    std::string self_;
    std::uint64_t life_;
    Timing timing_;
    Role role_ = Role::standby;
    std::uint64_t term_ = 0;
    bool leaving_ = false;

    Time next_greeting_{};
    Time next_question_{};
    Time last_question_{};
    std::uint64_t greetings_ = 0;
    std::uint64_t questions_ = 0;
    std::deque<std::pair<std::uint64_t, Time>> greeted_at_;  ///< own greetings of the last lease
    std::map<std::uint64_t, Time> asked_at_;                 ///< questions of the last lease

    std::optional<Peer> peer_;
    std::optional<View> view_;
    std::optional<Time> contact_at_;  ///< when that own greeting was sent that the peer was the last to have heard
    std::optional<Time> both_up_since_;
    Time permit_until_{};  ///< active only before it
    Time proof_until_{};   ///< the same by proofs alone, without riding out
};

}  // namespace active_standby
