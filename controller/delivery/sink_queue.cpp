#include "controller/delivery/sink_queue.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace vitalwire::controller {

namespace {

constexpr std::size_t kSmallestSweep = 1024;

AlarmPtr as_delivered(Alarm alarm) {
    alarm.delivered = alarm.revision;
    return std::make_shared<const Alarm>(std::move(alarm));
}

}  // namespace

SinkQueue::SinkQueue(DeliveryOptions options, std::optional<std::vector<Policy>> policies, RouteOf route_of,
                     std::uint64_t seed)
    : options_(options),
      filter_(std::move(policies)),
      route_of_(std::move(route_of)),
      random_(static_cast<std::minstd_rand::result_type>(seed)),
      sweep_at_(kSmallestSweep) {}

/// Nothing acknowledged: it may have arrived all the same, if the filter passes it.
void SinkQueue::restore(const AlarmPtr& alarm, Acked acked, const FilterContext& context) {
    if (acked.phase != Acked::Phase::nothing) filter_.note_passed(alarm->id);
    if (filter_.offer(alarm, context) != AlarmFilter::Decision::pass) return;
    lane(*alarm).queue.restore(alarm, std::move(acked));
}

void SinkQueue::offer(AlarmPtr alarm, const FilterContext& context) {
    // What was stopped here counted as delivered without having been sent. And a sink that is new was told nothing by
    // an earlier primary, whose maintenance may have begun since.
    const bool new_to_sink = options_.fresh && context.maintained && alarm->open();
    if (alarm->delivered > 0 && (filter_.stops(alarm->id) || new_to_sink)) {
        Alarm unsent = *alarm;
        unsent.delivered = 0;
        alarm = std::make_shared<const Alarm>(std::move(unsent));
    }
    if (context.maintained) maintain(*alarm);
    if (filter_.offer(alarm, context) == AlarmFilter::Decision::pass) put(alarm, context.maintained.has_value());
}

/// What waits when maintenance begins is kept back, unless it may have arrived already. Without policies the filter
/// does not keep what it has passed; the queue does.
void SinkQueue::maintain(const Alarm& alarm) {
    const Lane* known = find_lane(alarm);
    if (known == nullptr || !known->queue.contains(alarm.id)) return;
    bool taken = false;
    with(lane(alarm), [&](AlarmQueue& queue) { taken = alarm.open() && queue.take_back(alarm.id); });
    taken ? filter_.take_back(alarm.id) : filter_.note_passed(alarm.id);
}

void SinkQueue::put(const AlarmPtr& alarm, bool clear_alone) {
    with(lane(*alarm), [&](AlarmQueue& queue) {
        const bool of_before = is_of_earlier_receiver(*alarm);
        const bool nothing_to_end = of_before && !alarm->open() && !queue.contains(alarm->id);
        // Of one that is over, and was delivered while it was open, a new sink needs no raise: it would be false by
        // now.
        const bool trusted = !of_before && (!options_.fresh || !alarm->open());
        const auto acked =
            nothing_to_end ? queue.offer(as_delivered(*alarm), true) : queue.offer(alarm, trusted, clear_alone);
        changes_.insert(changes_.end(), acked.begin(), acked.end());
    });
}

/// What has been delivered of it went to the receiver of then.
bool SinkQueue::is_of_earlier_receiver(const Alarm& alarm) const {
    return alarm.received_at != base::WallTime{} && alarm.received_at < options_.receiver_since;
}

base::WallTime SinkQueue::clock_was_set(base::WallTime::duration by) {
    if (options_.receiver_since != base::WallTime{}) options_.receiver_since += by;
    return options_.receiver_since;
}

void SinkQueue::withdraw(const Alarm& alarm) {
    filter_.drop(alarm.id);
    if (!filter_.has_passed(alarm.id)) return;
    with(lane(alarm), [&](AlarmQueue& queue) { queue.withdraw(alarm.id); });
}

void SinkQueue::finish(const AlarmPtr& alarm, bool others_done) {
    filter_.drop(alarm->id);
    if (!filter_.has_passed(alarm->id)) return;
    with(lane(*alarm), [&](AlarmQueue& queue) { queue.finish(alarm, others_done); });
}

void SinkQueue::erase(const Alarm& alarm) {
    if (filter_.has_passed(alarm.id)) {
        with(lane(alarm), [&](AlarmQueue& queue) { queue.erase(alarm.id); });
    }
    filter_.erase(alarm.id);
}

bool SinkQueue::resend(const Alarm& alarm) {
    if (!filter_.has_passed(alarm.id)) return false;
    std::optional<AckChange> change;
    with(lane(alarm), [&](AlarmQueue& queue) { change = queue.resend(alarm.id); });
    if (change) changes_.push_back(*change);
    return change.has_value();
}

/// Without policies the filter does not keep what it has passed; the queue does.
void SinkQueue::set_policies(std::optional<std::vector<Policy>> policies) {
    for (const auto& [subject, lane] : lanes_) {
        for (const base::FaultId& fault : lane.queue.faults())
            filter_.note_passed(fault);
    }
    filter_.set_policies(std::move(policies));
}

void SinkQueue::set_limits(const DeliveryOptions& options) {
    options_.parallel = options.parallel;
    options_.longest_backoff = options.longest_backoff;
    options_.burst = options.burst;
    options_.pace = options.pace;
}

void SinkQueue::receiver_changed() {
    failures_in_a_row_ = 0;
    last_error_.clear();
    answered_ = false;
    for (auto& [name, route] : routes_) {
        route.away_since.reset();
        route.not_before = {};
        route.answered = false;
        for (const auto& [when, lane] : std::exchange(route.waiting, {})) {
            end_failing(*lane);
            schedule(*lane);
        }
    }
}

template <class Change>
void SinkQueue::with(Lane& lane, Change change) {
    queued_ -= lane.queue.size();
    lane.route->queued -= lane.queue.size();
    change(lane.queue);
    queued_ += lane.queue.size();
    lane.route->queued += lane.queue.size();
    if (lane.queue.size() == 0) end_failing(lane);
    if (lane.route->queued == 0) nothing_waits(*lane.route);
    const bool more_urgent = lane.state == LaneState::ready && !lane.urgent && lane.queue.urgent();
    if (lane.state == LaneState::idle || more_urgent) schedule(lane);
}

std::optional<SinkQueue::Attempt> SinkQueue::next(base::TimePoint now) {
    for (const AlarmPtr& alarm : filter_.take_due(now))
        put(alarm);
    sweep(now);
    // Routes take turns: the search begins after the one that had the last.
    auto at = routes_.upper_bound(last_route_);
    for (std::size_t seen = 0; seen < routes_.size(); ++seen, ++at) {
        if (at == routes_.end()) at = routes_.begin();
        wake(at->second, now);
        auto attempt = next_of(at->second, now);
        if (!attempt) continue;
        last_route_ = at->first;
        return attempt;
    }
    return std::nullopt;
}

std::optional<SinkQueue::Attempt> SinkQueue::next_of(Route& route, base::TimePoint now) {
    if (!may_send(route) || now < route.not_before || (route.away_since && now < route.retry_at)) return std::nullopt;
    while (!route.ready.empty()) {
        Lane& lane = *route.ready.pop();
        --lane.in_ready;
        if (lane.state != LaneState::ready) continue;
        lane.state = LaneState::idle;
        if (!lane.queue.has_waiting()) continue;
        if (!take_token(lane, now)) {
            const auto missing = std::chrono::duration<double, std::milli>((1 - lane.tokens) * options_.pace);
            wait_until(lane, now + std::chrono::ceil<base::Millis>(missing));
            continue;
        }
        Attempt attempt{++last_ticket_, *lane.queue.take()};
        lane.state = LaneState::sending;
        ++route.under_way;
        under_way_.emplace(attempt.ticket, UnderWay{&lane, &route, now});
        return attempt;
    }
    return std::nullopt;
}

/// While its receiver is away one message at a time probes it.
bool SinkQueue::may_send(const Route& route) const {
    return route.under_way < (route.away_since ? 1 : options_.parallel);
}

base::TimePoint SinkQueue::next_due() const {
    base::TimePoint due = filter_.next_due();
    for (const auto& [name, route] : routes_)
        due = std::min(due, due_of(route));
    return due;
}

base::TimePoint SinkQueue::due_of(const Route& route) const {
    if (!may_send(route)) return base::kNever;
    base::TimePoint due = base::kNever;
    if (!route.ready.empty()) {
        due = base::TimePoint{};
    } else if (!route.waiting.empty()) {
        due = route.waiting.begin()->first;
    }
    if (due == base::kNever) return due;
    return std::max({due, route.not_before, route.away_since ? route.retry_at : due});
}

void SinkQueue::ended(std::uint64_t ticket, const Outcome& outcome, base::TimePoint now) {
    const auto at = under_way_.extract(ticket);
    if (at.empty()) return;
    const UnderWay attempt = at.mapped();
    --attempt.route->under_way;
    switch (outcome.kind) {
        case Outcome::Kind::confirmed:
        case Outcome::Kind::skipped:
            return succeed(attempt, outcome, now);
        case Outcome::Kind::later:
            with(*attempt.lane, [&](AlarmQueue& queue) { queue.requeue(outcome.why, false); });
            return wait_until(*attempt.lane, now + outcome.delay);
        case Outcome::Kind::retry:
            return fail(attempt, outcome, now);
        case Outcome::Kind::refused:
            attempt.lane->refused = true;
            requeue(*attempt.lane, outcome, now);
            return receiver_back(*attempt.route);
    }
}

void SinkQueue::succeed(const UnderWay& attempt, const Outcome& outcome, base::TimePoint now) {
    Lane& lane = *attempt.lane;
    lane.state = LaneState::idle;
    end_failing(lane);
    if (outcome.kind == Outcome::Kind::confirmed) {  // nothing was sent of what is skipped
        attempt.route->last_success_at = now;
        failures_in_a_row_ = 0;
        receiver_back(*attempt.route);
    }
    with(lane, [&](AlarmQueue& queue) {
        const auto acked = outcome.kind == Outcome::Kind::confirmed ? queue.confirm() : queue.skip(outcome.why);
        if (acked) changes_.push_back(*acked);
    });
}

void SinkQueue::fail(const UnderWay& attempt, const Outcome& outcome, base::TimePoint now) {
    // Failing while the receiver takes messages about others: it concerns this subject alone.
    const bool stuck = is_stuck(*attempt.lane);
    requeue(*attempt.lane, outcome, now);
    if (stuck) return;
    attempt.route->not_before = std::max(attempt.route->not_before, now + outcome.delay);
    receiver_away(*attempt.route, attempt.started, now);
}

std::vector<AckChange> SinkQueue::take_changes() {
    return std::exchange(changes_, {});
}

bool SinkQueue::settled(const Alarm& alarm) const {
    if (!filter_.has_passed(alarm.id)) return !filter_.holds(alarm.id);
    const Lane* at = find_lane(alarm);
    return at != nullptr && at->queue.settled(alarm.id);
}

bool SinkQueue::acknowledged(const Alarm& alarm) const {
    const Lane* at = find_lane(alarm);
    return at != nullptr && at->queue.acknowledged(alarm.id);
}

bool SinkQueue::busy(const Alarm& alarm) const {
    const Lane* at = find_lane(alarm);
    return at != nullptr && filter_.has_passed(alarm.id) && at->queue.busy(alarm.id);
}

bool SinkQueue::may_show(const Alarm& alarm) const {
    const Lane* at = find_lane(alarm);
    return at != nullptr && filter_.has_passed(alarm.id) && at->queue.may_show(alarm.id);
}

DeliveryView SinkQueue::view(const Alarm& alarm) const {
    DeliveryView view;
    if (filter_.holds(alarm.id)) view.state = DeliveryView::State::held;
    view.last_error = filter_.io_hold(alarm.id);
    if (filter_.stops(alarm.id)) view.state = DeliveryView::State::suppressed;
    const Lane* at = find_lane(alarm);
    const bool passed = filter_.has_passed(alarm.id) && at != nullptr && at->queue.contains(alarm.id);
    return passed ? at->queue.view(alarm.id) : view;
}

std::optional<base::WallTime> SinkQueue::oldest_queued() const {
    std::optional<base::WallTime> oldest;
    for (const auto& [subject, lane] : lanes_) {
        const auto first = lane.queue.oldest();
        if (first && (!oldest || *first < *oldest)) oldest = first;
    }
    return oldest;
}

std::optional<base::TimePoint> SinkQueue::away_since() const {
    std::optional<base::TimePoint> since;
    for (const auto& [name, route] : routes_) {
        if (route.away_since && (!since || *route.away_since < *since)) since = route.away_since;
    }
    return since;
}

bool SinkQueue::asked_to_wait(base::TimePoint now) const {
    return std::any_of(routes_.begin(), routes_.end(), [&](const auto& item) { return now < item.second.not_before; });
}

bool SinkQueue::answers() const {
    return answered_ && std::none_of(routes_.begin(), routes_.end(),
                                     [](const auto& item) { return !item.second.answered && item.second.has_work(); });
}

std::size_t SinkQueue::stuck_subjects() const {
    return static_cast<std::size_t>(
        std::count_if(failing_.begin(), failing_.end(), [&](const Lane* lane) { return is_stuck(*lane); }));
}

SinkQueue::Lane& SinkQueue::lane(const Alarm& alarm) {
    Lane& lane = lanes_.try_emplace(alarm.subject(), options_).first->second;
    lane.host = alarm.host.str();
    // A lane that is in a route's queue stays there until it is served.
    if (lane.route == nullptr || (lane.state == LaneState::idle && lane.in_ready == 0))
        lane.route = &routes_[route_of_(alarm)];
    return lane;
}

const SinkQueue::Lane* SinkQueue::find_lane(const Alarm& alarm) const {
    const auto at = lanes_.find(alarm.subject());
    return at == lanes_.end() ? nullptr : &at->second;
}

bool SinkQueue::is_stuck(const Lane& lane) const {
    return lane.failures > 0 && (lane.refused || lane.route->last_success_at > lane.failing_since);
}

void SinkQueue::end_failing(Lane& lane) {
    lane.failures = 0;
    lane.refused = false;
    failing_.erase(&lane);
}

void SinkQueue::schedule(Lane& lane) {
    lane.state = lane.queue.has_waiting() ? LaneState::ready : LaneState::idle;
    if (lane.state != LaneState::ready) return;
    lane.urgent = lane.queue.urgent();
    ++lane.in_ready;
    lane.route->ready.push(lane.host, lane.urgent, &lane);
}

void SinkQueue::wait_until(Lane& lane, base::TimePoint when) {
    lane.state = LaneState::waiting;
    lane.route->waiting.emplace(when, &lane);
}

void SinkQueue::wake(Route& route, base::TimePoint now) {
    while (!route.waiting.empty() && route.waiting.begin()->first <= now) {
        schedule(*route.waiting.extract(route.waiting.begin()).mapped());
    }
}

void SinkQueue::requeue(Lane& lane, const Outcome& outcome, base::TimePoint now) {
    ++failures_in_a_row_;
    last_error_ = outcome.why;
    with(lane, [&](AlarmQueue& queue) { queue.requeue(outcome.why, true, outcome.unsent); });
    if (lane.queue.size() > 0) {
        if (++lane.failures == 1) lane.failing_since = now;
        failing_.insert(&lane);
    }
    wait_until(lane, now + std::max<base::Duration>(backoff(std::max(lane.failures, 1)), outcome.delay));
}

void SinkQueue::receiver_away(Route& route, base::TimePoint started, base::TimePoint now) {
    const bool known_already = route.away_since && started < route.last_away_at;
    if (known_already || route.queued == 0) return;
    if (!route.away_since) {
        route.away_since = now;
        route.away_failures = 0;
    }
    ++route.away_failures;
    route.last_away_at = now;
    route.retry_at = now + backoff(route.away_failures);
}

/// Those that failed while the receiver was away need not wait any longer; those that fail for themselves do.
void SinkQueue::receiver_back(Route& route) {
    answered_ = route.answered = true;
    if (!route.away_since) return;
    const base::TimePoint since = *std::exchange(route.away_since, std::nullopt);
    std::multimap<base::TimePoint, Lane*> still_waiting;
    for (const auto& [when, lane] : route.waiting) {
        const bool blameless = lane->failures > 0 && !lane->refused && lane->failing_since >= since;
        if (blameless) {
            schedule(*lane);
        } else {
            still_waiting.emplace(when, lane);
        }
    }
    route.waiting = std::move(still_waiting);
}

/// It was away, and as nothing is sent any more nothing shows when it is back: whether it answers is unknown.
void SinkQueue::nothing_waits(Route& route) {
    if (!std::exchange(route.away_since, std::nullopt)) return;
    route.answered = false;
    answered_ = std::any_of(routes_.begin(), routes_.end(), [](const auto& item) { return item.second.answered; });
}

bool SinkQueue::take_token(Lane& lane, base::TimePoint now) const {
    const std::chrono::duration<double, std::milli> passed = now - lane.filled_at;
    lane.tokens = std::min<double>(options_.burst, lane.tokens + passed / options_.pace);
    lane.filled_at = now;
    if (lane.tokens < 1) return false;
    lane.tokens -= 1;
    return true;
}

/// Doubles from the first to the longest; up to a quarter less, so that many controllers do not return in step.
base::Duration SinkQueue::backoff(int failures) {
    const double doubled = static_cast<double>(options_.first_backoff.count()) * std::pow(2.0, failures - 1);
    const double capped = std::min(doubled, static_cast<double>(options_.longest_backoff.count()));
    const double jitter = std::uniform_real_distribution<>(0.75, 1.0)(random_);
    return std::chrono::duration_cast<base::Duration>(std::chrono::duration<double, std::milli>(capped * jitter));
}

/// Drops subjects with nothing left to send and a full bucket, each time their number has doubled, and routes without
/// a subject.
void SinkQueue::sweep(base::TimePoint now) {
    if (lanes_.size() < sweep_at_) return;
    std::unordered_set<const Route*> used;
    std::erase_if(lanes_, [&](const auto& item) {
        const Lane& lane = item.second;
        const bool paced = now - lane.filled_at < options_.burst * options_.pace;
        const bool over = lane.state == LaneState::idle && lane.in_ready == 0 && lane.queue.idle() && !paced;
        if (!over) used.insert(lane.route);
        return over;
    });
    for (const auto& [ticket, attempt] : under_way_)
        used.insert(attempt.route);
    std::erase_if(routes_, [&](const auto& item) { return !used.contains(&item.second); });
    sweep_at_ = std::max(kSmallestSweep, 2 * lanes_.size());
}

}  // namespace vitalwire::controller
