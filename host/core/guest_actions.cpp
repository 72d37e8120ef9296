#include "host/core/guest_actions.hpp"

#include <algorithm>
#include <optional>

namespace vitalwire::host {

using base::GuestId;
using base::Millis;
using base::Result;
using base::TimePoint;
using model::LifecycleEvent;
using model::VoteResult;
using wire::Dialect;

namespace {

/// Each holds a connection of the local interface. A host has fewer guests that are acted on at once.
constexpr std::size_t kMaxPending = 1024;
constexpr std::size_t kMaxWaiting = 4096;
/// The hypervisor's own event about an action comes so long after its guest was asked, at the latest.
constexpr base::Duration kSameAction = std::chrono::seconds(60);
/// A guest that was moved or resized boots, or registers at its new host.
constexpr base::Duration kNoticeKept = std::chrono::minutes(10);

std::size_t slot(LifecycleEvent event) {
    return static_cast<std::size_t>(event);
}

/// What ends the other: after it the other is another action.
std::optional<LifecycleEvent> counterpart(LifecycleEvent event) {
    using enum LifecycleEvent;
    constexpr std::array<std::pair<LifecycleEvent, LifecycleEvent>, 6> kPairs = {
        {{pause, unpause},
         {suspend, resume},
         {resize_begin, resize_end},
         {live_migrate_begin, live_migrate_end},
         {cold_migrate_begin, cold_migrate_end},
         {maintenance_begin, maintenance_end}}};
    for (const auto& [before, after] : kPairs) {
        if (event == before) return after;
        if (event == after) return before;
    }
    return std::nullopt;
}

/// Empty for a guest that can be asked.
std::string_view unasked_because(const GuestActions::Standing& standing) {
    if (standing.registration == nullptr) return "not_registered";
    if (!standing.connected) return "not_connected";
    if (standing.lost) return "heartbeat_lost";
    return standing.runs ? "" : "not_running";
}

}  // namespace

GuestActions::GuestActions(Settings settings, heartbeat::IdGenerator& ids, Output& output)
    : settings_(settings), ids_(ids), output_(output) {}

Result<void> GuestActions::ask(Request request, const Standing& standing, Done done, TimePoint now) {
    if (model::comes_after(request.event)) return notify_afterwards(std::move(request), standing, done, now);
    forget_counterpart(request.guest, request.event);
    Pending pending;
    pending.asked_at = now;
    if (const std::string_view why = unasked_because(standing); !why.empty()) {
        pending.answer = why;
        pending.done = std::move(done);
        finish(pending, false, now);
        return {};
    }
    if (pending_.size() >= kMaxPending) return base::fail(base::Errc::too_many, "too many guests are asked at once");
    remember(request.guest, request.event, now);
    pending.done = std::move(done);
    pending.dialect = standing.registration->dialect;
    pending.session = standing.registration->session;
    pending.times = standing.registration->notice_times;
    pending.end_by = now + settings_.timeout_max;
    const bool would_vote = request.vote && settings_.votes && pending.times.vote > Millis::zero();
    if (would_vote && request.forced) ++counters_.forced;
    const bool votes = would_vote && !request.forced;
    pending.request = std::move(request);
    if (votes) {
        send(pending, true, now);
        return {};
    }
    next_phase(std::move(pending), now);
    return {};
}

/// The vote is over without a rejection, or there is none: the notice, if the guest wants one and there is time.
void GuestActions::next_phase(Pending pending, TimePoint now) {
    const Millis notice = pending.times.notice(pending.request.event);
    if (notice <= Millis::zero() || now >= pending.end_by) return finish(pending, false, now);
    send(pending, false, now);
}

/// Puts `pending`, moved from, into the table.
void GuestActions::send(Pending& pending, bool vote, TimePoint now) {
    const Millis declared = vote ? pending.times.vote : pending.times.notice(pending.request.event);
    const auto left = std::chrono::floor<Millis>(pending.end_by - now);
    wire::ActionNotify pdu;
    pdu.session = pending.session;
    pdu.invocation_id = new_invocation();
    pdu.event = pending.request.event;
    pdu.revocable = vote;
    pdu.timeout = std::min(declared, left);
    ++(vote ? counters_.votes : counters_.notices);
    pending.asked_session = pending.session;
    pending.voting = vote;
    pending.due = now + pdu.timeout;
    due_.emplace(pending.due, pdu.invocation_id);
    const auto& stored = pending_.emplace(pdu.invocation_id, std::move(pending)).first->second;
    output_.send_action(stored.request.guest, stored.dialect, pdu);
}

Result<void> GuestActions::notify_afterwards(Request request, const Standing& standing, const Done& done,
                                             TimePoint now) {
    Outcome outcome;
    outcome.answer = "notified";
    if (lately(request.guest, request.event, now)) {
        done(outcome);
        return {};
    }
    if (standing.registration != nullptr && standing.connected) {
        remember(request.guest, request.event, now);
        send_afterwards(request.guest, request.event, standing);
        if (standing.registration->notice_times.notice(request.event) <= Millis::zero()) outcome.answer = "not_asked";
        done(outcome);
        return {};
    }
    expire_waiting(now);
    if (waiting_.size() >= kMaxWaiting && !waiting_.contains(request.guest))
        return base::fail(base::Errc::too_many, "too many notices wait for their guests");
    Events& kept_until = waiting_[request.guest];
    kept_until.at(slot(request.event)) = now + kNoticeKept;
    keep_waiting(request.guest, kept_until, now);
    outcome.answer = "waiting";
    done(outcome);
    return {};
}

void GuestActions::keep_waiting(const GuestId& guest, const Events& kept_until, TimePoint now) {
    Waiting waiting;
    for (const LifecycleEvent event : model::all_lifecycle_events()) {
        const TimePoint until = kept_until.at(slot(event));
        if (until == TimePoint{}) continue;
        waiting.emplace(event, until - now);
        waiting_due_ = std::min(waiting_due_, until);
    }
    output_.waiting_changed(guest, waiting);
}

void GuestActions::expire_waiting(TimePoint now) {
    if (now < waiting_due_) return;
    waiting_due_ = base::kNever;
    for (auto each = waiting_.begin(); each != waiting_.end();) {
        auto& [guest, kept_until] = *each;
        bool any = false;
        for (const LifecycleEvent event : model::all_lifecycle_events()) {
            TimePoint& until = kept_until.at(slot(event));
            if (until == TimePoint{} || until > now) {
                any = any || until != TimePoint{};
                continue;
            }
            until = {};
            ++counters_.expired;
            output_.notice_expired(guest, event);
        }
        keep_waiting(guest, kept_until, now);
        each = any ? std::next(each) : waiting_.erase(each);
    }
}

void GuestActions::restore(const GuestId& guest, const Waiting& waiting, TimePoint now) {
    Events& kept_until = waiting_[guest];
    for (const auto& [event, left] : waiting) {
        // The epoch is none.
        kept_until.at(slot(event)) = std::max(now + std::min(left, kNoticeKept), TimePoint{} + base::Duration(1));
    }
    keep_waiting(guest, kept_until, now);
    expire_waiting(now);
}

void GuestActions::send_afterwards(const GuestId& guest, LifecycleEvent event, const Standing& standing) {
    const bool unknown = standing.registration->dialect == Dialect::cgcs && model::is_maintenance(event);
    if (unknown || standing.registration->notice_times.notice(event) <= Millis::zero()) return;
    ++counters_.notices;
    output_.send_action(guest, standing.registration->dialect,
                        {standing.registration->session, new_invocation(), event, false, Millis(0)});
}

void GuestActions::notify(const GuestId& guest, LifecycleEvent event, const Standing& standing, TimePoint now) {
    const bool reachable = standing.registration != nullptr && standing.connected;
    if (!reachable || lately(guest, event, now)) return;
    remember(guest, event, now);
    send_afterwards(guest, event, standing);
}

bool GuestActions::notify_maintenance(const GuestId& guest, LifecycleEvent event, const Standing& standing) {
    if (standing.registration == nullptr || !standing.connected) return false;
    send_afterwards(guest, event, standing);
    return true;
}

/// Guests of the older dialect echo the number only, some of them.
bool GuestActions::Pending::is_answered_by(const GuestId& from, Dialect spoken,
                                           const wire::ActionResponse& response) const {
    if (request.guest != from || dialect != spoken) return false;
    if (dialect == Dialect::cgcs) return true;
    return asked_session == response.session && request.event == response.event && voting == response.revocable;
}

void GuestActions::answered(const GuestId& guest, Dialect dialect, const wire::ActionResponse& response,
                            TimePoint now) {
    const auto found = pending_.find(response.invocation_id);
    if (found == pending_.end() || !found->second.is_answered_by(guest, dialect, response)) {
        ++counters_.stale;
        return;
    }
    Pending pending = take(found);
    pending.answer = model::to_string(response.result);
    pending.reason = response.reason;
    if (!pending.voting) return finish(pending, false, now);
    if (response.result == VoteResult::reject) return finish(pending, true, now);
    next_phase(std::move(pending), now);
}

void GuestActions::reachable(const GuestId& guest, const Standing& standing, TimePoint now) {
    const auto found = waiting_.find(guest);
    if (found == waiting_.end() || standing.registration == nullptr || !standing.connected) return;
    if (standing.registration->dialect == Dialect::guest_agent) return;  // which takes none
    expire_waiting(now);
    const auto still = waiting_.find(guest);
    if (still == waiting_.end()) return;
    const Events kept_until = still->second;
    waiting_.erase(still);
    output_.waiting_changed(guest, {});
    for (const LifecycleEvent event : model::all_lifecycle_events()) {
        if (kept_until.at(slot(event)) == TimePoint{}) continue;
        remember(guest, event, now);
        send_afterwards(guest, event, standing);
    }
}

/// A guest that registers again is not gone: it may be about to reject what it was asked before.
void GuestActions::session_changed(const GuestId& guest, const heartbeat::Registration* registration, TimePoint now) {
    const auto is_gone = [&](Pending& each) {
        if (each.request.guest != guest) return false;
        if (registration == nullptr || registration->dialect != each.dialect) return true;
        each.session = registration->session;
        return false;
    };
    end_those(is_gone, "gone", now);
}

void GuestActions::channel_closed(const GuestId& guest, Dialect dialect, TimePoint now) {
    end_those([&](const Pending& each) { return each.request.guest == guest && each.dialect == dialect; }, "gone", now);
}

void GuestActions::give_up(const GuestId& guest, std::string_view why, TimePoint now) {
    end_those([&](const Pending& each) { return each.request.guest == guest; }, why, now);
}

void GuestActions::began(const GuestId& guest, LifecycleEvent event) {
    const auto told = told_.find(guest);
    if (const auto end = counterpart(event); end && told != told_.end()) told->second.at(slot(*end)) = {};
}

void GuestActions::forget(const GuestId& guest) {
    told_.erase(guest);
}

template <class Which>
void GuestActions::end_those(const Which& which, std::string_view why, TimePoint now) {
    for (auto each = pending_.begin(); each != pending_.end();) {
        const auto found = each++;
        if (!which(found->second)) continue;
        Pending pending = take(found);
        pending.answer = why;
        finish(pending, false, now);
    }
}

void GuestActions::tick(TimePoint now) {
    expire_waiting(now);
    while (!due_.empty() && due_.begin()->first <= now) {
        Pending pending = take(pending_.find(due_.begin()->second));
        ++counters_.silent;
        pending.answer = "silent";
        pending.voting ? next_phase(std::move(pending), now) : finish(pending, false, now);
    }
}

GuestActions::Pending GuestActions::take(Table::iterator found) {
    Pending pending = std::move(found->second);
    due_.erase({pending.due, found->first});
    pending_.erase(found);
    return pending;
}

void GuestActions::finish(const Pending& pending, bool rejected, TimePoint now) {
    if (rejected) {
        ++counters_.rejected;
        told_[pending.request.guest].at(slot(pending.request.event)) = {};
    }
    pending.done({rejected, pending.answer, pending.reason, now - pending.asked_at});
}

std::int64_t GuestActions::new_invocation() {
    std::int64_t id = ids_.challenge();
    while (pending_.contains(id))
        id = (id + 1) & wire::kMaxInt31;
    return id;
}

bool GuestActions::lately(const GuestId& guest, LifecycleEvent event, TimePoint now) const {
    const auto found = told_.find(guest);
    return found != told_.end() && found->second.at(slot(event)) > now;
}

void GuestActions::remember(const GuestId& guest, LifecycleEvent event, TimePoint now) {
    told_[guest].at(slot(event)) = now + kSameAction;
    forget_counterpart(guest, event);
}

/// What ended an action before says nothing of this one, whether the guest could be told of its begin or not.
void GuestActions::forget_counterpart(const GuestId& guest, LifecycleEvent event) {
    const auto other = counterpart(event);
    const auto told = told_.find(guest);
    if (other && told != told_.end()) told->second.at(slot(*other)) = {};
}

}  // namespace vitalwire::host
