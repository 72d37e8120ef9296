#include "election.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace active_standby {

namespace {

constexpr const char* kMark = "active-standby/1";
/// A storm of notifications is not answered by a storm of questions.
constexpr Millis kQuestionSpace{100};
constexpr std::uint64_t kLargestTerm = std::uint64_t{1} << 62;

}  // namespace

Election::Election(std::string self, std::uint64_t life, Timing timing)
    : self_(std::move(self)), life_(life), timing_(timing) {}

Time Election::next_deadline() const {
    const Time next = std::min(next_greeting_, next_question_);
    return role_ == Role::active ? std::min(next, permit_until_) : next;
}

Election::Actions Election::tick(Time now) {
    Actions actions;
    // First of all: after a pause nothing that was true before it is believed.
    decide(now, actions);
    if (now >= next_greeting_) greet(now, actions);
    if (now >= next_question_) ask(now, actions);
    return actions;
}

Election::Actions Election::notified(Time now) {
    Actions actions;
    next_question_ = std::min(next_question_, last_question_ + kQuestionSpace);
    if (now >= next_question_) ask(now, actions);
    return actions;
}

Election::Actions Election::leave(bool leaving, Time now) {
    Actions actions;
    leaving_ = leaving;
    decide(now, actions);
    return actions;
}

Election::Actions Election::answered(std::uint64_t number, const std::vector<Report>& group, Time now) {
    Actions actions;
    const auto asked_at = take_question(number);
    if (!asked_at || group.size() > 2 || (view_ && *asked_at < view_->asked_at)) return actions;
    View view{*asked_at, {}, false, false};
    bool found = false;
    for (const Report& report : group) {
        if (report.instance == self_) {
            found = true;
            view.self_up = report.up;
        } else {
            view.peer = report.instance;
            view.peer_up = report.up;
        }
    }
    if (!found) return actions;  // not told who we are: the program was given the wrong name
    view_ = std::move(view);
    if (!view_->self_up || !view_->peer_up) both_up_since_.reset();
    if (view_->self_up && view_->peer_up && !both_up_since_) both_up_since_ = now;
    renew(now);
    decide(now, actions);
    return actions;
}

Election::Actions Election::unavailable(std::uint64_t number, Time now) {
    Actions actions;
    const auto asked_at = take_question(number);
    if (!asked_at) return actions;
    if (role_ == Role::active && now < permit_until_) {
        // The host answers, so it does not take this guest for lost; and a peer that could be told to take over needs
        // the same answer that we do not get.
        const Time until = std::min(*asked_at + timing_.lease, proof_until_ + timing_.ride_out);
        permit_until_ = std::max(permit_until_, until);
    }
    decide(now, actions);
    return actions;
}

Election::Actions Election::greeted(const std::string& source, const std::string& text, Time now) {
    Actions actions;
    const auto greeting = parse(text);
    if (!greeting || source == self_) return actions;
    if (view_ && source != view_->peer) return actions;
    const bool known = peer_ && peer_->instance == source && peer_->life == greeting->life;
    if (known && greeting->number <= peer_->last) return actions;  // stale
    if (!known) {
        peer_ = Peer{source, greeting->life, 0, Role::standby, false, 0};
        contact_at_.reset();
    }
    peer_->last = greeting->number;
    take_contact(*greeting);
    renew(now);
    const bool conflict = role_ == Role::active && in_contact(now) && peer_->role == Role::active;
    if (conflict && std::pair(peer_->term, source) > std::pair(term_, self_)) {
        become(Role::standby, "the peer became active later", now, actions);
    } else if (conflict) {
        greet(now, actions);
    }
    decide(now, actions);
    return actions;
}

/// A greeting is worth what it says only if it was sent after we sent one: the peer repeats the last it heard.
void Election::take_contact(const Greeting& greeting) {
    if (greeting.heard_life != life_) return;
    const auto heard = std::find_if(greeted_at_.begin(), greeted_at_.end(),
                                    [&](const auto& sent) { return sent.first == greeting.heard_number; });
    if (heard == greeted_at_.end() || (contact_at_ && heard->second < *contact_at_)) return;
    contact_at_ = heard->second;
    peer_->role = greeting.role;
    peer_->able = greeting.able;
    peer_->term = greeting.term;
}

void Election::renew(Time now) {
    if (!sees(now)) return;
    if (!view_->self_up && view_->peer_up) {
        // The peer is told the same and takes over.
        permit_until_ = proof_until_ = now;
        return;
    }
    Time until = view_->asked_at + timing_.lease;
    if (view_->peer_up && !preferred()) {
        if (!contact_at_) return;
        until = std::min(until, *contact_at_ + timing_.lease);
    }
    proof_until_ = std::max(proof_until_, until);
    permit_until_ = std::max(permit_until_, until);
}

void Election::decide(Time now, Actions& actions) {
    if (role_ == Role::active) {
        if (now >= permit_until_) return become(Role::standby, "cannot know that the peer is not active", now, actions);
        if (leaving_ && peer_may_take_over(now))
            become(Role::standby, "the cloud is about to act on this guest", now, actions);
        return;
    }
    const std::string why = reason_to_take_over(now);
    // A reason without a permit is one that has passed since.
    if (!why.empty() && now < permit_until_) become(Role::active, why, now, actions);
}

std::string Election::reason_to_take_over(Time now) const {
    if (!sees(now) || !view_->self_up) return {};
    if (!view_->peer_up) return view_->peer.empty() ? "there is no peer" : "the peer is reported down";
    if (in_contact(now) && peer_->role == Role::standby) {
        // One of two that both leave, rather than neither.
        const bool mine = leaving_ ? preferred() && !peer_->able : preferred() || !peer_->able;
        if (mine) return "neither is active";
    }
    if (preferred() && deaf(now)) return "nothing is heard of the peer";
    return {};
}

/// For so long that a peer that receives nothing either has stepped down.
bool Election::deaf(Time now) const {
    if (!both_up_since_) return false;
    const Time since = contact_at_ ? std::max(*contact_at_, *both_up_since_) : *both_up_since_;
    return now >= since + 2 * timing_.lease + timing_.ride_out;
}

void Election::become(Role role, const std::string& why, Time now, Actions& actions) {
    role_ = role;
    if (role == Role::active) term_ = std::min(std::max(term_, peer_ ? peer_->term : 0) + 1, kLargestTerm);
    actions.emplace_back(Become{role, why});
    greet(now, actions);
}

void Election::greet(Time now, Actions& actions) {
    next_greeting_ = now + timing_.beat;
    while (!greeted_at_.empty() && greeted_at_.front().second + timing_.lease <= now)
        greeted_at_.pop_front();
    greeted_at_.emplace_back(++greetings_, now);
    const bool able = sees(now) && view_->self_up && !leaving_;
    std::ostringstream text;
    text << kMark << ' ' << life_ << ' ' << greetings_ << ' ' << (role_ == Role::active ? "active" : "standby") << ' '
         << (able ? "able" : "unable") << ' ' << term_ << ' ' << (peer_ ? peer_->life : 0) << ' '
         << (peer_ ? peer_->last : 0);
    actions.emplace_back(Greet{text.str()});
}

std::optional<Election::Greeting> Election::parse(const std::string& text) {
    std::istringstream in(text);
    std::string mark, role, able;
    Greeting greeting;
    in >> mark >> greeting.life >> greeting.number >> role >> able >> greeting.term >> greeting.heard_life >>
        greeting.heard_number;
    if (in.fail() || mark != kMark || (role != "active" && role != "standby")) return std::nullopt;
    greeting.role = role == "active" ? Role::active : Role::standby;
    greeting.able = able == "able";
    greeting.term = std::min(greeting.term, kLargestTerm);
    return greeting;
}

void Election::ask(Time now, Actions& actions) {
    last_question_ = now;
    next_question_ = now + timing_.beat;
    while (!asked_at_.empty() && asked_at_.begin()->second + timing_.lease <= now)
        asked_at_.erase(asked_at_.begin());
    asked_at_[++questions_] = now;
    actions.emplace_back(Ask{questions_});
}

std::optional<Time> Election::take_question(std::uint64_t number) {
    const auto question = asked_at_.find(number);
    if (question == asked_at_.end()) return std::nullopt;
    const Time asked_at = question->second;
    asked_at_.erase(question);
    return asked_at;
}

}  // namespace active_standby
