#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "heartbeat/host_session.hpp"
#include "model/lifecycle.hpp"

namespace vitalwire::host {

/// Asks guests before the cloud acts on their machines, and notifies them afterwards (proto-spec/heartbeat.md, section
/// 9). Many at once: each has its own time, and none waits for another. Times are monitor time.
class GuestActions {
public:
    struct Settings {
        base::Millis timeout_max{30'000};  ///< for the vote and the notice of one action together
        bool votes = true;                 ///< false: the operator lets no guest reject anything
    };
    struct Request {
        base::GuestId guest;
        model::LifecycleEvent event;
        bool vote = true;     ///< false: the guest is notified and cannot reject
        bool forced = false;  ///< the same, because an operator has it so for a time
    };
    struct Outcome {
        bool rejected = false;
        /// The guest's result, or why there is none: silent, not_asked, not_registered, not_connected, not_running,
        /// heartbeat_lost, gone; of an event that comes after its action notified or waiting.
        std::string_view answer;
        std::string reason;  ///< the guest's words
        base::Duration waited{};
    };
    /// Called once, at once or later. Must not call back.
    using Done = std::function<void(const Outcome&)>;

    /// What decides whether a guest is asked.
    struct Standing {
        const heartbeat::Registration* registration = nullptr;
        bool connected = false;
        bool lost = false;  ///< heartbeat_lost is open
        bool runs = true;
    };

    using Waiting = std::map<model::LifecycleEvent, base::Duration>;

    class Output {
    public:
        virtual ~Output() = default;
        virtual void send_action(const base::GuestId& guest, wire::Dialect dialect, const wire::ActionNotify& pdu) = 0;
        /// All notices that wait for the guest to be reached, and how long they are kept on: keep them, or forget them
        /// when there are none.
        virtual void waiting_changed(const base::GuestId& guest, const Waiting& waiting) = 0;
        /// The guest was not reached in time for the notice of what was done.
        virtual void notice_expired(const base::GuestId& guest, model::LifecycleEvent event) = 0;
    };

    struct Counters {
        std::uint64_t votes = 0;  ///< asked
        std::uint64_t notices = 0;
        std::uint64_t rejected = 0;
        std::uint64_t forced = 0;   ///< votes that an operator had left out
        std::uint64_t silent = 0;   ///< no answer in time
        std::uint64_t stale = 0;    ///< answers that nobody waited for
        std::uint64_t expired = 0;  ///< notices whose guests were not reached in time
    };

    GuestActions(Settings settings, heartbeat::IdGenerator& ids, Output& output);
    void configure(Settings settings) { settings_ = settings; }

    /// The cloud is about to act, or has acted. Fails, without a call of `done`, when too many are under way.
    base::Result<void> ask(Request request, const Standing& standing, Done done, base::TimePoint now);
    /// The hypervisor acts, whoever asked it to: notifies the guest, unless it was asked or notified just before.
    void notify(const base::GuestId& guest, model::LifecycleEvent event, const Standing& standing, base::TimePoint now);
    /// What an operator began or ended: sent to the guest, unless it wants no such notice. False: it cannot be reached
    /// now.
    bool notify_maintenance(const base::GuestId& guest, model::LifecycleEvent event, const Standing& standing);
    void answered(const base::GuestId& guest, wire::Dialect dialect, const wire::ActionResponse& response,
                  base::TimePoint now);
    /// From before a restart; what has no time left is over.
    void restore(const base::GuestId& guest, const Waiting& waiting, base::TimePoint now);
    /// The guest has a session, of which it knows, and may be connected.
    void reachable(const base::GuestId& guest, const Standing& standing, base::TimePoint now);
    /// The guest has registered, or (null) its session is over: nobody waits for it any longer.
    void session_changed(const base::GuestId& guest, const heartbeat::Registration* registration, base::TimePoint now);
    void channel_closed(const base::GuestId& guest, wire::Dialect dialect, base::TimePoint now);
    /// No answer is to be expected, because of `why`.
    void give_up(const base::GuestId& guest, std::string_view why, base::TimePoint now);
    /// The hypervisor has begun it, though nobody asked the guest: its end is another one than the last.
    void began(const base::GuestId& guest, model::LifecycleEvent event);
    void forget(const base::GuestId& guest);

    void tick(base::TimePoint now);
    base::TimePoint next_due() const {
        return std::min(waiting_due_, due_.empty() ? base::kNever : due_.begin()->first);
    }
    std::size_t pending() const { return pending_.size(); }
    const Counters& counters() const { return counters_; }

private:
    struct Pending {
        Request request;
        Done done;
        wire::Dialect dialect = wire::Dialect::native;
        base::SessionId session;        ///< of the guest now
        base::SessionId asked_session;  ///< that it was asked in, and answers
        model::NoticeTimes times;
        bool voting = false;
        base::TimePoint asked_at;
        base::TimePoint end_by;
        base::TimePoint due;
        std::string_view answer = "not_asked";  ///< the last one
        std::string reason;

        /// All that an answer has to echo is this question's.
        bool is_answered_by(const base::GuestId& from, wire::Dialect spoken,
                            const wire::ActionResponse& response) const;
    };
    /// By invocation id.
    using Table = std::map<std::int64_t, Pending>;
    using Events = std::array<base::TimePoint, model::kLifecycleEvents>;

    base::Result<void> notify_afterwards(Request request, const Standing& standing, const Done& done,
                                         base::TimePoint now);
    void keep_waiting(const base::GuestId& guest, const Events& kept_until, base::TimePoint now);
    void expire_waiting(base::TimePoint now);
    void send_afterwards(const base::GuestId& guest, model::LifecycleEvent event, const Standing& standing);
    void next_phase(Pending pending, base::TimePoint now);
    void send(Pending& pending, bool vote, base::TimePoint now);
    void finish(const Pending& pending, bool rejected, base::TimePoint now);
    Pending take(Table::iterator found);
    template <class Which>
    void end_those(const Which& which, std::string_view why, base::TimePoint now);
    std::int64_t new_invocation();
    bool lately(const base::GuestId& guest, model::LifecycleEvent event, base::TimePoint now) const;
    void remember(const base::GuestId& guest, model::LifecycleEvent event, base::TimePoint now);
    void forget_counterpart(const base::GuestId& guest, model::LifecycleEvent event);

    Settings settings_;
    heartbeat::IdGenerator& ids_;
    Output& output_;
    Table pending_;
    std::set<std::pair<base::TimePoint, std::int64_t>> due_;
    std::unordered_map<base::GuestId, Events> told_;
    /// Notices of what is done, for guests that have no session yet, and until when they are kept.
    std::unordered_map<base::GuestId, Events> waiting_;
    base::TimePoint waiting_due_ = base::kNever;  ///< the first of them is over then
    Counters counters_;
};

}  // namespace vitalwire::host
