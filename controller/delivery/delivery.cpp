#include "controller/delivery/delivery.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vitalwire::controller {

namespace {
constexpr std::size_t kSmallestSweep = 1024;
}

Delivery::Delivery(DeliveryOptions options, std::uint64_t seed)
    : options_(options), random_(static_cast<std::minstd_rand::result_type>(seed)), sweep_at_(kSmallestSweep) {}

void Delivery::restore(const Alarm& alarm, Acked told) {
    lane(alarm).queue.restore(alarm, told);
}

void Delivery::offer(const Alarm& alarm) {
    with(lane(alarm), [&](AlarmQueue& queue) {
        const auto told = queue.offer(alarm, !options_.fresh);
        changes_.insert(changes_.end(), told.begin(), told.end());
    });
}

void Delivery::withdraw(const Alarm& alarm) {
    with(lane(alarm), [&](AlarmQueue& queue) { queue.withdraw(alarm.id); });
}

void Delivery::finish(const Alarm& alarm, bool others_done) {
    with(lane(alarm), [&](AlarmQueue& queue) { queue.finish(alarm, others_done); });
}

void Delivery::forget(const Alarm& alarm) {
    with(lane(alarm), [&](AlarmQueue& queue) { queue.forget(alarm.id); });
}

bool Delivery::retell(const Alarm& alarm) {
    std::optional<AckChange> change;
    with(lane(alarm), [&](AlarmQueue& queue) { change = queue.retell(alarm.id); });
    if (change) changes_.push_back(*change);
    return change.has_value();
}

template <class Change>
void Delivery::with(Lane& lane, Change change) {
    queued_ -= lane.queue.size();
    change(lane.queue);
    queued_ += lane.queue.size();
    if (lane.state == LaneState::idle) schedule(lane);
}

std::optional<Delivery::Attempt> Delivery::next(base::TimePoint now) {
    wake(now);
    sweep(now);
    if (away_since_ && (now < retry_at_ || !under_way_.empty())) return std::nullopt;
    if (under_way_.size() >= static_cast<std::size_t>(options_.parallel)) return std::nullopt;

    while (!ready_.empty()) {
        Lane& lane = *ready_.front();
        ready_.pop_front();
        lane.state = LaneState::idle;
        if (!lane.queue.has_waiting()) continue;
        if (!take_token(lane, now)) {
            const auto missing = std::chrono::duration<double, std::milli>((1 - lane.tokens) * options_.pace);
            wait_until(lane, now + std::chrono::ceil<base::Millis>(missing));
            continue;
        }
        Attempt attempt{++last_ticket_, *lane.queue.take()};
        lane.state = LaneState::sending;
        under_way_.emplace(attempt.ticket, UnderWay{&lane, now});
        return attempt;
    }
    return std::nullopt;
}

base::TimePoint Delivery::next_due() const {
    if (under_way_.size() >= static_cast<std::size_t>(options_.parallel)) return base::kNever;
    if (away_since_ && !under_way_.empty()) return base::kNever;
    base::TimePoint due = base::kNever;
    if (!ready_.empty()) {
        due = base::TimePoint{};
    } else if (!waiting_.empty()) {
        due = waiting_.begin()->first;
    }
    return away_since_ && due != base::kNever ? std::max(due, retry_at_) : due;
}

void Delivery::confirmed(std::uint64_t ticket, base::TimePoint now) {
    const auto at = under_way_.extract(ticket);
    if (at.empty()) return;
    Lane& lane = *at.mapped().lane;
    lane.state = LaneState::idle;
    lane.failures = 0;
    lane.refused = false;
    last_success_at_ = now;
    failures_in_a_row_ = 0;
    receiver_back();
    with(lane, [&](AlarmQueue& queue) {
        if (const auto told = queue.confirm()) changes_.push_back(*told);
    });
}

void Delivery::failed(std::uint64_t ticket, const std::string& why, base::TimePoint now) {
    const auto at = under_way_.extract(ticket);
    if (at.empty()) return;
    Lane& lane = *at.mapped().lane;
    // Failing while the receiver takes messages about others: it is this subject's trouble alone.
    const bool stuck = is_stuck(lane);
    requeue(lane, why, now);
    if (!stuck) receiver_away(at.mapped().started, now);
}

void Delivery::refused(std::uint64_t ticket, const std::string& why, base::TimePoint now) {
    const auto at = under_way_.extract(ticket);
    if (at.empty()) return;
    Lane& lane = *at.mapped().lane;
    lane.refused = true;
    requeue(lane, why, now);
    receiver_back();
}

std::vector<AckChange> Delivery::take_changes() {
    return std::exchange(changes_, {});
}

bool Delivery::settled(const Alarm& alarm) const {
    const auto at = lanes_.find(alarm.subject());
    return at != lanes_.end() && at->second.queue.settled(alarm.id);
}

bool Delivery::busy(const Alarm& alarm) const {
    const auto at = lanes_.find(alarm.subject());
    return at != lanes_.end() && at->second.queue.busy(alarm.id);
}

DeliveryView Delivery::view(const Alarm& alarm) const {
    const auto at = lanes_.find(alarm.subject());
    return at == lanes_.end() ? DeliveryView{} : at->second.queue.view(alarm.id);
}

std::optional<base::WallTime> Delivery::oldest_queued() const {
    std::optional<base::WallTime> oldest;
    for (const auto& [subject, lane] : lanes_) {
        const auto first = lane.queue.oldest();
        if (first && (!oldest || *first < *oldest)) oldest = first;
    }
    return oldest;
}

std::size_t Delivery::stuck_subjects() const {
    return static_cast<std::size_t>(
        std::count_if(waiting_.begin(), waiting_.end(), [&](const auto& item) { return is_stuck(*item.second); }));
}

Delivery::Lane& Delivery::lane(const Alarm& alarm) {
    return lanes_.try_emplace(alarm.subject(), options_).first->second;
}

bool Delivery::is_stuck(const Lane& lane) const {
    return lane.failures > 0 && (lane.refused || last_success_at_ > lane.failing_since);
}

void Delivery::schedule(Lane& lane) {
    lane.state = lane.queue.has_waiting() ? LaneState::ready : LaneState::idle;
    if (lane.state == LaneState::ready) ready_.push_back(&lane);
}

void Delivery::wait_until(Lane& lane, base::TimePoint when) {
    lane.state = LaneState::waiting;
    waiting_.emplace(when, &lane);
}

void Delivery::wake(base::TimePoint now) {
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
        schedule(*waiting_.extract(waiting_.begin()).mapped());
    }
}

void Delivery::requeue(Lane& lane, const std::string& why, base::TimePoint now) {
    ++failures_in_a_row_;
    last_error_ = why;
    with(lane, [&](AlarmQueue& queue) { queue.requeue(why); });
    if (++lane.failures == 1) lane.failing_since = now;
    wait_until(lane, now + backoff(lane.failures));
}

void Delivery::receiver_away(base::TimePoint started, base::TimePoint now) {
    const bool known_already = away_since_ && started < last_away_at_;
    if (known_already) return;
    if (!away_since_) {
        away_since_ = now;
        away_failures_ = 0;
    }
    ++away_failures_;
    last_away_at_ = now;
    retry_at_ = now + backoff(away_failures_);
}

/// Those that failed while the receiver was away need not wait any longer; those with troubles of their own do.
void Delivery::receiver_back() {
    if (!away_since_) return;
    const base::TimePoint since = *std::exchange(away_since_, std::nullopt);
    std::multimap<base::TimePoint, Lane*> still_waiting;
    for (const auto& [when, lane] : waiting_) {
        const bool blameless = lane->failures > 0 && !lane->refused && lane->failing_since >= since;
        if (blameless) {
            schedule(*lane);
        } else {
            still_waiting.emplace(when, lane);
        }
    }
    waiting_ = std::move(still_waiting);
}

bool Delivery::take_token(Lane& lane, base::TimePoint now) const {
    const std::chrono::duration<double, std::milli> passed = now - lane.filled_at;
    lane.tokens = std::min<double>(options_.burst, lane.tokens + passed / options_.pace);
    lane.filled_at = now;
    if (lane.tokens < 1) return false;
    lane.tokens -= 1;
    return true;
}

/// Doubles from the first to the longest; up to a quarter less, so that many controllers do not return in step.
base::Duration Delivery::backoff(int failures) {
    const double doubled = static_cast<double>(options_.first_backoff.count()) * std::pow(2.0, failures - 1);
    const double capped = std::min(doubled, static_cast<double>(options_.longest_backoff.count()));
    const double jitter = std::uniform_real_distribution<>(0.75, 1.0)(random_);
    return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double, std::milli>(capped * jitter));
}

/// Forgets subjects with nothing left to tell and a full bucket, each time their number has doubled.
void Delivery::sweep(base::TimePoint now) {
    if (lanes_.size() < sweep_at_) return;
    std::erase_if(lanes_, [&](const auto& item) {
        const Lane& lane = item.second;
        const bool paced = now - lane.filled_at < options_.burst * options_.pace;
        return lane.state == LaneState::idle && lane.queue.idle() && !paced;
    });
    sweep_at_ = std::max(kSmallestSweep, 2 * lanes_.size());
}

}  // namespace vitalwire::controller
