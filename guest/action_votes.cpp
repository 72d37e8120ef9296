#include "guest/action_votes.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::guest {

using base::Millis;
using model::VoteResult;

namespace {

/// A host asks about one action at a time, and a notice may follow its vote at once. So many that somebody waits for,
/// and as many others.
constexpr std::ptrdiff_t kMaxPolls = 8;
/// So long before the host's time is up the guest answers with what it has.
constexpr Millis kLongestMargin{500};
/// For those who are told what nobody waits for.
constexpr Millis kUnawaited{60'000};

bool is_awaited(const wire::ActionNotify& notify) {
    return notify.revocable || notify.timeout > Millis(0);
}

}  // namespace

ActionVotes::ActionVotes(MonitorClock& clock, Answer answer) : clock_(clock), answer_(std::move(answer)) {}

void ActionVotes::asked(const wire::ActionNotify& notify) {
    log::info(notify.revocable ? "the host asks before an action" : "the host notifies of an action",
              {{"event", model::to_string(notify.event)}, {"timeout_ms", notify.timeout.count()}});
    const std::int64_t invocation = notify.invocation_id;
    if (polls_.contains(invocation)) return;
    if (!make_room(notify)) return;
    Poll& poll = polls_[invocation];
    poll.notify = notify;
    poll.worst = notify.revocable ? VoteResult::accept : VoteResult::complete;
    for (Voters* each : voters_) {
        for (Voter& voter : each->ask(notify))
            poll.awaited.insert_or_assign(std::move(voter.id), std::move(voter.name));
    }
    if (poll.awaited.empty()) return finish(invocation);
    const Millis time =
        notify.timeout > Millis(0) ? notify.timeout - std::min(notify.timeout / 10, kLongestMargin) : kUnawaited;
    poll.timer = std::make_unique<MonitorTimer>(clock_);
    poll.timer->arm(clock_.now() + time, [this, invocation] { time_is_up(invocation); });
}

/// What nobody waits for never keeps an action from being asked about: the oldest is left to itself.
bool ActionVotes::make_room(const wire::ActionNotify& notify) {
    const auto is_alike = [&](const auto& poll) { return is_awaited(poll.second.notify) == is_awaited(notify); };
    if (std::count_if(polls_.begin(), polls_.end(), is_alike) < kMaxPolls) return true;
    if (!is_awaited(notify)) {
        finish(std::find_if(polls_.begin(), polls_.end(), is_alike)->first);
        return true;
    }
    const char* const kTooMany = "asked about too many actions at once";
    log::warning("a question of the host is not asked", {{"event", model::to_string(notify.event)}, {"why", kTooMany}});
    answer_(notify, VoteResult::error, kTooMany);
    return false;
}

void ActionVotes::vote(const Voter& voter, std::int64_t invocation, VoteResult result, const std::string& reason) {
    const auto found = polls_.find(invocation);
    if (found == polls_.end() || found->second.awaited.erase(voter.id) == 0) return;
    Poll& poll = found->second;
    count(poll, result, reason.empty() ? voter.name : voter.name + ": " + reason);
    if (poll.awaited.empty()) finish(invocation);
}

void ActionVotes::left(const std::string& id) {
    std::vector<std::int64_t> complete;
    for (auto& [invocation, poll] : polls_) {
        if (poll.awaited.erase(id) > 0 && poll.awaited.empty()) complete.push_back(invocation);
    }
    for (const std::int64_t invocation : complete)
        finish(invocation);
}

/// Of several that are as bad the first one's reason is the guest's.
void ActionVotes::count(Poll& poll, VoteResult result, const std::string& reason) {
    if (!poll.notify.revocable && result == VoteResult::reject) result = VoteResult::error;
    // Accepted or complete is what the poll began with, and needs no reason.
    if (result <= std::max(poll.worst, VoteResult::complete)) return;
    poll.worst = result;
    poll.reason = reason;
}

void ActionVotes::time_is_up(std::int64_t invocation) {
    Poll& poll = polls_.at(invocation);
    for (const auto& [id, name] : poll.awaited)
        count(poll, VoteResult::timeout, name + " did not answer in time");
    finish(invocation);
}

void ActionVotes::finish(std::int64_t invocation) {
    const Poll poll = std::move(polls_.extract(invocation).mapped());
    for (Voters* each : voters_)
        each->over(invocation);
    if (poll.worst > VoteResult::complete)
        log::warning("an action is answered", {{"event", model::to_string(poll.notify.event)},
                                               {"result", model::to_string(poll.worst)},
                                               {"reason", poll.reason}});
    // Nobody waits for an answer to what is done.
    if (is_awaited(poll.notify)) answer_(poll.notify, poll.worst, poll.reason);
}

}  // namespace vitalwire::guest
