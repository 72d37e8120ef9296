#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.hpp"
#include "controller/delivery/alarm_filter.hpp"
#include "controller/delivery/alarm_queue.hpp"
#include "controller/delivery/fair_queue.hpp"
#include "controller/model/outcome.hpp"

namespace vitalwire::controller {

struct DeliveryOptions {
    int parallel = 8;  ///< messages under way at once to one address, each about another subject
    base::Millis first_backoff{200};
    base::Millis longest_backoff{30'000};
    /// A guest that flaps: after `burst` messages one is sent each `pace`, merged as AlarmQueue does.
    int burst = 20;
    base::Millis pace{1000};
    int backlog = 1;  ///< see AlarmQueue
    /// The sink is new to this controller: what an earlier primary delivered does not count for it.
    bool fresh = false;
    /// As NotifierContext::since.
    base::WallTime receiver_since{};
};

/// Decides what one sink is sent and when: the filter of its policies, a queue for each subject, and fairness between
/// hosts. No I/O, no clock: the owner asks `next` for attempts, carries them out and reports how they ended.
///
/// A failed attempt is repeated without end, with back-off: when the receiver is away everything waits and one message
/// at a time probes it; when only one subject's messages fail, the others go on. A sink with receivers at several
/// addresses has such a state for each of them (Route). Critical alarms are sent before others, and hosts take turns.
class SinkQueue {
public:
    struct Attempt {
        std::uint64_t ticket = 0;
        AlarmEvent event;
    };
    /// The address that messages about an alarm go to; empty for a sink with one.
    using RouteOf = std::function<std::string(const Alarm&)>;

    SinkQueue(DeliveryOptions options, std::optional<std::vector<Policy>> policies, RouteOf route_of,
              std::uint64_t seed);

    // As AlarmQueue's, for any subject, of what the policies pass; what they do not needs nothing.
    void restore(const AlarmPtr& alarm, Acked acked, const FilterContext& context);
    void offer(AlarmPtr alarm, const FilterContext& context);
    void withdraw(const Alarm& alarm);
    void finish(const AlarmPtr& alarm, bool others_done);
    void erase(const Alarm& alarm);
    /// The clock was set by that much; returns since when the receiver is, by it (DeliveryOptions).
    base::WallTime clock_was_set(base::WallTime::duration by);
    /// False when there was no need.
    bool resend(const Alarm& alarm);

    // The configuration has changed; whatever waits stays in the queue.
    /// What has passed stays passed: a raise that was sent gets its clear. To be offered again: all others.
    void set_policies(std::optional<std::vector<Policy>> policies);
    void set_limits(const DeliveryOptions& options);
    /// The receiver is another, or reached in another way: what failed is tried at once.
    void receiver_changed();

    std::optional<Attempt> next(base::TimePoint now);
    /// When `next` may have something although nothing else happens; kNever when that will not be.
    base::TimePoint next_due() const;
    void ended(std::uint64_t ticket, const Outcome& outcome, base::TimePoint now);

    /// What counts as acknowledged since the last call, to be kept on disk.
    std::vector<AckChange> take_changes();
    std::vector<IoDecision> take_io_decisions() { return filter_.take_io_decisions(); }

    /// Nothing is left to send: also of what no policy sends here.
    bool settled(const Alarm& alarm) const;
    /// The sink has acknowledged the newest state.
    bool acknowledged(const Alarm& alarm) const;
    /// Something about the alarm waits or is under way.
    bool busy(const Alarm& alarm) const;
    bool may_show(const Alarm& alarm) const;
    DeliveryView view(const Alarm& alarm) const;

    const AlarmFilter& filter() const { return filter_; }
    std::size_t queued() const { return queued_; }  ///< messages waiting or under way
    /// When the oldest of them has happened.
    std::optional<base::WallTime> oldest_queued() const;
    std::size_t subjects() const { return lanes_.size(); }  ///< of which anything is kept
    std::uint64_t failures_in_a_row() const { return failures_in_a_row_; }
    /// Since when a receiver is away that something is to be sent to; absent when none is.
    std::optional<base::TimePoint> away_since() const;
    /// A receiver has asked to be left alone until later.
    bool asked_to_wait(base::TimePoint now) const;
    /// A receiver has answered since the start, or since it changed, and so has each that something is to be sent to.
    bool answers() const;
    /// Subjects whose messages fail while others are taken, also while one is tried again.
    std::size_t stuck_subjects() const;
    const std::string& last_error() const { return last_error_; }

private:
    enum class LaneState : std::uint8_t { idle, ready, waiting, sending };
    struct Route;
    /// One subject's queue and when it may send.
    struct Lane {
        explicit Lane(const DeliveryOptions& options) : queue(options.backlog), tokens(options.burst) {}

        AlarmQueue queue;
        Route* route = nullptr;
        std::string host;
        LaneState state = LaneState::idle;
        bool urgent = false;  ///< it is ready as such
        int in_ready = 0;     ///< entries in its route's `ready`; those of an earlier turn are passed over
        int failures = 0;
        base::TimePoint failing_since{};
        bool refused = false;
        // Pacing: a bucket of `burst` messages into which one more flows each `pace`.
        double tokens;
        base::TimePoint filled_at{};
    };
    /// One address and whether its receiver is there.
    struct Route {
        FairQueue<Lane*> ready;
        std::multimap<base::TimePoint, Lane*> waiting;
        int under_way = 0;
        std::size_t queued = 0;  ///< messages waiting or under way
        std::optional<base::TimePoint> away_since;
        int away_failures = 0;
        base::TimePoint last_away_at{};
        base::TimePoint retry_at{};
        base::TimePoint not_before{};  ///< as the receiver asked, whatever else it answers
        base::TimePoint last_success_at{};
        bool answered = false;

        bool has_work() const { return !ready.empty() || !waiting.empty() || under_way > 0; }
    };
    struct UnderWay {
        Lane* lane;
        Route* route;
        base::TimePoint started;
    };

    Lane& lane(const Alarm& alarm);
    const Lane* find_lane(const Alarm& alarm) const;
    void put(const AlarmPtr& alarm, bool clear_alone = false);
    void maintain(const Alarm& alarm);
    bool is_of_earlier_receiver(const Alarm& alarm) const;
    bool is_stuck(const Lane& lane) const;
    void end_failing(Lane& lane);
    template <class Change>
    void with(Lane& lane, Change change);
    static void schedule(Lane& lane);
    static void wait_until(Lane& lane, base::TimePoint when);
    static void wake(Route& route, base::TimePoint now);
    std::optional<Attempt> next_of(Route& route, base::TimePoint now);
    bool may_send(const Route& route) const;
    base::TimePoint due_of(const Route& route) const;
    void succeed(const UnderWay& attempt, const Outcome& outcome, base::TimePoint now);
    void fail(const UnderWay& attempt, const Outcome& outcome, base::TimePoint now);
    void requeue(Lane& lane, const Outcome& outcome, base::TimePoint now);
    void receiver_away(Route& route, base::TimePoint started, base::TimePoint now);
    void receiver_back(Route& route);
    void nothing_waits(Route& route);
    bool take_token(Lane& lane, base::TimePoint now) const;
    base::Duration backoff(int failures);
    void sweep(base::TimePoint now);

    DeliveryOptions options_;
    AlarmFilter filter_;
    RouteOf route_of_;
    bool answered_ = false;  ///< as `answers`, of any route
    std::minstd_rand random_;
    std::map<std::string, Route> routes_;
    std::string last_route_;  ///< that had its turn
    std::unordered_map<std::string, Lane> lanes_;
    std::unordered_set<const Lane*> failing_;
    std::size_t sweep_at_;
    std::unordered_map<std::uint64_t, UnderWay> under_way_;
    std::uint64_t last_ticket_ = 0;
    std::size_t queued_ = 0;
    std::vector<AckChange> changes_;
    std::uint64_t failures_in_a_row_ = 0;
    std::string last_error_;
};

}  // namespace vitalwire::controller
