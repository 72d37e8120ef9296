#include "host/core/guest_agent_poller.hpp"

#include <algorithm>

#include "heartbeat/registration.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::kNever;
using base::Millis;
using base::TimePoint;

namespace {

/// Who is not to be asked now may be soon: a machine was resumed, a policy came. At whole seconds, for all together.
constexpr Millis kLookAgain{1000};
constexpr std::chrono::seconds kPatience{5};
/// One that lives answers in milliseconds. The shortest that libvirt has.
constexpr std::chrono::seconds kBriefPatience{1};
/// Of the calls one in so many is kept for those that answered.
constexpr std::size_t kKept = 4;

TimePoint next_look(TimePoint now) {
    return now + kLookAgain - now.time_since_epoch() % kLookAgain;
}

}  // namespace

void GuestAgentPoller::schedule(const GuestId& id, Guest& guest, TimePoint due) {
    if (guest.due != kNever) due_.erase({guest.due, id});
    guest.due = due;
    if (due != kNever) due_.emplace(due, id);
}

void GuestAgentPoller::found(const GuestId& id, GuestAgentRoute route, bool open, TimePoint now) {
    Guest& guest = guests_[id];
    const auto [known, is_new] = guest.routes.emplace(route, open);
    const bool opened = open && (is_new || !known->second);
    known->second = open;
    // What was asked before the channel broke is answered by nobody. The answer is due as before: a port that is opened
    // again and again answers nothing.
    const bool unread = opened && route == GuestAgentRoute::channel && guest.question && guest.question->route == route;
    if (unread) output_.ask_guest_agent(id, guest.question->challenge);
    if (guest.question || guest.waits) return;
    if (opened || guest.due == kNever) schedule(id, guest, now);
}

void GuestAgentPoller::lost(const GuestId& id, GuestAgentRoute route, TimePoint now) {
    const auto known = guests_.find(id);
    if (known == guests_.end()) return;
    Guest& guest = known->second;
    guest.routes.erase(route);
    if (guest.routes.empty()) {
        schedule(id, guest, kNever);
        guests_.erase(known);
        return;
    }
    // What was asked there is answered by nobody: that is no silence of a guest that is reached otherwise.
    const bool waits_in_vain = guest.question ? guest.question->route == route : route == GuestAgentRoute::call;
    if (!waits_in_vain) return;
    guest.question.reset();
    guest.waits = false;
    schedule(id, guest, now);
}

GuestAgentPoller::Reach GuestAgentPoller::reach(const GuestId& id) const {
    const auto known = guests_.find(id);
    if (known == guests_.end()) return Reach::none;
    const auto& routes = known->second.routes;
    return std::any_of(routes.begin(), routes.end(), [](const auto& route) { return route.second; }) ? Reach::open
                                                                                                     : Reach::closed;
}

/// The channel costs no thread. One whose end is closed there is asked by the other.
GuestAgentRoute GuestAgentPoller::route_of(const Guest& guest) {
    const auto channel = guest.routes.find(GuestAgentRoute::channel);
    const bool alone = guest.routes.size() == 1;
    if (channel == guest.routes.end()) return GuestAgentRoute::call;
    return channel->second || alone ? GuestAgentRoute::channel : GuestAgentRoute::call;
}

void GuestAgentPoller::restarted(const GuestId& id, TimePoint now) {
    const auto known = guests_.find(id);
    if (known == guests_.end()) return;
    Guest& guest = known->second;
    guest.question.reset();
    guest.silent = guest.suspected = false;
    if (!guest.waits) schedule(id, guest, next_look(now));
}

void GuestAgentPoller::answered(const GuestId& id, std::int64_t echo, TimePoint now) {
    const auto known = guests_.find(id);
    // Another one's, or too late: it was counted as silence, and the next question is out soon.
    if (known == guests_.end() || !known->second.question || known->second.question->challenge != echo) return;
    Guest& guest = known->second;
    const Question question = *std::exchange(guest.question, std::nullopt);
    guest.silent = guest.suspected = false;
    output_.guest_agent_result(id, heartbeat::GuestAgentAnswered{now - question.asked_at});
    ask_later(id, guest, question.asked_at, now);
}

void GuestAgentPoller::returned(const GuestId& id, std::int64_t challenge, GuestAgentResult result, TimePoint now) {
    const auto call = calls_.find(id);
    if (call == calls_.end() || call->second.challenge != challenge) return;
    const bool brief = call->second.brief;
    calls_.erase(call);
    const auto known = guests_.find(id);
    if (known != guests_.end() && known->second.question && known->second.question->challenge == challenge) {
        Guest& guest = known->second;
        if (result == GuestAgentResult::answered) {
            answered(id, challenge, now);
        } else if (result == GuestAgentResult::silent && brief) {
            guest.question.reset();
            guest.suspected = true;
            wait_for_call(id, guest);
        } else {
            const Question question = *std::exchange(guest.question, std::nullopt);
            if (result == GuestAgentResult::silent) silence(id, guest, GuestAgentRoute::call);
            ask_later(id, guest, question.asked_at, now);
        }
    }
    start_calls(now);
}

void GuestAgentPoller::silence(const GuestId& id, Guest& guest, GuestAgentRoute route) {
    guest.silent = true;
    guest.suspected = false;
    const auto found = guest.routes.find(route);
    const bool open = found != guest.routes.end() && found->second;
    output_.guest_agent_result(id, heartbeat::GuestAgentSilent{open ? "the QEMU guest agent does not answer"
                                                                    : "the QEMU guest agent has closed its port"});
}

void GuestAgentPoller::ask_later(const GuestId& id, Guest& guest, TimePoint asked_at, TimePoint now) {
    const auto interval = output_.guest_agent_interval(id);
    schedule(id, guest, std::max(now, interval ? asked_at + *interval : next_look(now)));
}

void GuestAgentPoller::tick(TimePoint now) {
    while (!due_.empty() && due_.begin()->first <= now) {
        const GuestId id = due_.begin()->second;
        Guest& guest = guests_.find(id)->second;
        if (!guest.question) {
            ask(id, guest, now);
            continue;
        }
        output_.drain_guest_agent(id);
        if (!guest.question || guest.due > now) continue;
        const Question question = *std::exchange(guest.question, std::nullopt);
        silence(id, guest, GuestAgentRoute::channel);
        ask_later(id, guest, question.asked_at, now);
    }
    start_calls(now);
}

void GuestAgentPoller::ask(const GuestId& id, Guest& guest, TimePoint now) {
    const auto interval = output_.guest_agent_interval(id);
    if (!interval) return schedule(id, guest, next_look(now));
    if (route_of(guest) == GuestAgentRoute::channel) return ask_on_channel(id, guest, *interval, now);
    schedule(id, guest, kNever);
    wait_for_call(id, guest);
}

void GuestAgentPoller::wait_for_call(const GuestId& id, Guest& guest) {
    guest.waits = true;
    const bool lost = guest.silent && !output_.guest_agent_in_doubt(id);
    waiting_[lost ? 2 : guest.silent || guest.suspected ? 1 : 0].push_back(id);
}

void GuestAgentPoller::ask_on_channel(const GuestId& id, Guest& guest, Millis interval, TimePoint now) {
    guest.question = Question{ids_.challenge(), GuestAgentRoute::channel, now};
    schedule(id, guest, now + heartbeat::guest_agent_deadline(interval));
    output_.ask_guest_agent(id, guest.question->challenge);
}

bool GuestAgentPoller::is_call_free(bool slow) const {
    const auto most = static_cast<std::size_t>(settings_.calls);
    if (calls_.size() >= most) return false;
    const auto slow_ones =
        std::count_if(calls_.begin(), calls_.end(), [](const auto& call) { return call.second.slow; });
    const std::size_t kept = std::max<std::size_t>(most / kKept, 1);
    return !slow || static_cast<std::size_t>(slow_ones) < std::max<std::size_t>(most - kept, 1);
}

void GuestAgentPoller::start_calls(TimePoint now) {
    for (auto& waiting : waiting_)
        start_calls(waiting, &waiting != waiting_.begin(), now);
}

void GuestAgentPoller::start_calls(std::deque<GuestId>& waiting, bool slow, TimePoint now) {
    // Each at most once: a guest whose call before has not returned waits on.
    for (std::size_t left = waiting.size(); left > 0 && is_call_free(slow); --left) {
        const GuestId id = std::move(waiting.front());
        waiting.pop_front();
        const auto known = guests_.find(id);
        if (known == guests_.end() || !known->second.waits) continue;
        if (calls_.contains(id)) {
            waiting.push_back(id);
        } else {
            call(id, known->second, now);
        }
    }
}

void GuestAgentPoller::call(const GuestId& id, Guest& guest, TimePoint now) {
    guest.waits = false;
    if (!output_.guest_agent_interval(id)) return schedule(id, guest, next_look(now));
    guest.question = Question{ids_.challenge(), GuestAgentRoute::call, now};
    const bool slow = guest.silent || guest.suspected;
    const bool brief = !slow && 2 * (calls_.size() + 1) > static_cast<std::size_t>(settings_.calls);
    calls_[id] = {guest.question->challenge, slow, brief};
    output_.call_guest_agent({id, brief ? kBriefPatience : kPatience}, guest.question->challenge);
}

}  // namespace vitalwire::host
