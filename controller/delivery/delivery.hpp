#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "controller/delivery/alarm_queue.hpp"

namespace vitalwire::controller {

struct DeliveryOptions {
    int parallel = 8;  ///< messages under way at once, each about another subject
    base::Millis first_backoff{200};
    base::Millis longest_backoff{30'000};
    /// A guest that flaps: after `burst` messages it is told of once each `pace`, merged as AlarmQueue does.
    int burst = 20;
    base::Millis pace{1000};
    int backlog = 5;  ///< see AlarmQueue
    /// The sink is new to this controller: what an earlier lead delivered does not count for it.
    bool fresh = false;
};

/// Decides what one sink is told and when. No I/O, no clock: the owner asks `next` for attempts, carries them out and
/// reports how they ended. A failed attempt is repeated for ever, with back-off: when the receiver is away everything
/// waits and one message at a time probes it; when only one subject's messages fail, the others go on.
class Delivery {
public:
    struct Attempt {
        std::uint64_t ticket = 0;
        AlarmEvent event;
    };

    Delivery(DeliveryOptions options, std::uint64_t seed);

    // As AlarmQueue's, for any subject.
    void restore(const Alarm& alarm, Acked told);
    void offer(const Alarm& alarm);
    void withdraw(const Alarm& alarm);
    void finish(const Alarm& alarm, bool others_done);
    void forget(const Alarm& alarm);
    /// As AlarmQueue's; false when there was no need.
    bool retell(const Alarm& alarm);

    std::optional<Attempt> next(base::TimePoint now);
    /// When `next` may have something although nothing else happens; kNever when that will not be.
    base::TimePoint next_due() const;

    void confirmed(std::uint64_t ticket, base::TimePoint now);
    /// No answer, or one that says nothing about this message: the receiver is taken to be away.
    void failed(std::uint64_t ticket, const std::string& why, base::TimePoint now);
    /// The receiver does not take this message; others it may.
    void refused(std::uint64_t ticket, const std::string& why, base::TimePoint now);

    /// What counts as told since the last call, to be kept on disk.
    std::vector<AckChange> take_changes();

    /// True when the sink has confirmed the newest state.
    bool settled(const Alarm& alarm) const;
    /// Something about the alarm waits or is under way.
    bool busy(const Alarm& alarm) const;
    DeliveryView view(const Alarm& alarm) const;

    std::size_t queued() const { return queued_; }  ///< messages waiting or under way
    /// When the oldest of them has happened.
    std::optional<base::WallTime> oldest_queued() const;
    std::size_t subjects() const { return lanes_.size(); }  ///< of which anything is remembered
    std::uint64_t failures_in_a_row() const { return failures_in_a_row_; }
    /// Since when the receiver is away; absent when it is not.
    const std::optional<base::TimePoint>& away_since() const { return away_since_; }
    /// Subjects whose messages fail while others are taken.
    std::size_t stuck_subjects() const;
    const std::string& last_error() const { return last_error_; }

private:
    enum class LaneState : std::uint8_t { idle, ready, waiting, sending };
    /// One subject's queue and when it may send.
    struct Lane {
        explicit Lane(const DeliveryOptions& options) : queue(options.backlog), tokens(options.burst) {}

        AlarmQueue queue;
        LaneState state = LaneState::idle;
        int failures = 0;
        base::TimePoint failing_since{};
        bool refused = false;
        // Pacing: a bucket of `burst` messages into which one more flows each `pace`.
        double tokens;
        base::TimePoint filled_at{};
    };
    struct UnderWay {
        Lane* lane;
        base::TimePoint started;
    };

    Lane& lane(const Alarm& alarm);
    bool is_stuck(const Lane& lane) const;
    template <class Change>
    void with(Lane& lane, Change change);
    void schedule(Lane& lane);
    void wait_until(Lane& lane, base::TimePoint when);
    void wake(base::TimePoint now);
    void requeue(Lane& lane, const std::string& why, base::TimePoint now);
    void receiver_away(base::TimePoint started, base::TimePoint now);
    void receiver_back();
    bool take_token(Lane& lane, base::TimePoint now) const;
    base::Duration backoff(int failures);
    void sweep(base::TimePoint now);

    DeliveryOptions options_;
    std::minstd_rand random_;
    std::unordered_map<std::string, Lane> lanes_;
    std::size_t sweep_at_;
    std::deque<Lane*> ready_;
    std::multimap<base::TimePoint, Lane*> waiting_;
    std::unordered_map<std::uint64_t, UnderWay> under_way_;
    std::uint64_t last_ticket_ = 0;
    std::size_t queued_ = 0;
    std::vector<AckChange> changes_;

    std::optional<base::TimePoint> away_since_;
    int away_failures_ = 0;
    base::TimePoint last_away_at_{};
    base::TimePoint retry_at_{};
    base::TimePoint last_success_at_{};
    std::uint64_t failures_in_a_row_ = 0;
    std::string last_error_;
};

}  // namespace vitalwire::controller
