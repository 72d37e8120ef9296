#include "host/core/controller_sync.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.hpp"
#include "base/overloaded.hpp"
#include "bus/limits.hpp"

namespace vitalwire::host {

using base::TimePoint;
using model::Fault;

namespace {

/// A primary that lost a fault (killed between receiving and writing it) gets it again.
constexpr base::Duration kResendUnacknowledged = std::chrono::seconds(30);
/// A controller that restarts is not reported as absent.
constexpr base::Duration kAbsence = std::chrono::seconds(5);
/// How long what a connection held up takes to arrive when its peer is seen again.
constexpr base::Duration kBacklog = std::chrono::seconds(1);
/// Guests and faults of one hand-back: more than any host has.
constexpr std::size_t kMostTakenBack = 20'000;

/// Collects items and hands them out in messages of kStateChunk.
template <class Message, class Item>
class Chunks {
public:
    Chunks(std::vector<Item> Message::*items, std::uint64_t state_changes, std::function<void(const Message&)> send)
        : items_(items), send_(std::move(send)) {
        message_.state_changes = state_changes;
    }

    void add(Item item) {
        (message_.*items_).push_back(std::move(item));
        if ((message_.*items_).size() >= bus::kStateChunk) flush();
    }

    void flush() {
        if ((message_.*items_).empty()) return;
        send_(message_);
        (message_.*items_).clear();
    }

private:
    std::vector<Item> Message::*items_;
    std::function<void(const Message&)> send_;
    Message message_;
};

bool is_unacknowledged(const Fault& fault) {
    return fault.delivered < fault.revision;
}

}  // namespace

ControllerSync::ControllerSync(Identity identity, const Monitor& monitor, Timing timing, bool discovery, Output& output)
    : identity_(std::move(identity)),
      monitor_(monitor),
      timing_(timing),
      discovery_(discovery),
      output_(output),
      silence_(timing.controller_silent_after) {}

ControllerSync::LinkId ControllerSync::add(const std::string& name, base::WallTime wall) {
    const std::size_t rank = std::hash<std::string>{}(identity_.host.str() + ' ' + name);
    const auto place = std::find_if(links_.begin(), links_.end(), [&](const Link& other) { return other.rank > rank; });
    const LinkId id = next_link_++;
    links_.insert(place, {id, name, {}, rank, false, false, wall, {}});
    return id;
}

void ControllerSync::remove(LinkId id, const base::Moment& at) {
    log::info("controller is no longer configured", {{"controller", find(id).name}});
    if (find(id).up) link_down(id, "no longer configured", at);
    std::erase_if(links_, [&](const Link& link) { return link.id == id; });
}

void ControllerSync::start(const std::string& state, std::uint64_t state_starts, std::vector<bus::Hello::Life> lives,
                           TimePoint now) {
    identity_.state = state;
    identity_.state_starts = state_starts;
    identity_.lives = std::move(lives);
    if (!any()) return;
    report_at_ = now + timing_.report_interval;
    resend_at_ = now + kResendUnacknowledged;
    absent_at_ = now + kAbsence;
}

std::size_t ControllerSync::links_up() const {
    return static_cast<std::size_t>(
        std::count_if(links_.begin(), links_.end(), [](const Link& link) { return link.up; }));
}

std::vector<ControllerSync::LinkStatus> ControllerSync::status() const {
    std::vector<LinkStatus> out;
    for (const Link& link : links_)
        out.push_back({link.name, link.up, link.id == primary_, link.since, link.last_error, link.clock_ahead});
    return out;
}

void ControllerSync::fault_changed(const Fault& fault) {
    const bus::Faults message{{fault}, {}, identity_.state_changes, is_unconfirmed(fault)};
    if (discovery_) output_.leave_at_broker(message);
    send_to_all(message);
}

void ControllerSync::missing_changed(const std::set<base::GuestId>& before) {
    const auto& now = monitor_.missing();
    const auto changed = [&](const Fault& fault) {
        return fault.open() && before.contains(fault.guest) != now.contains(fault.guest);
    };
    for_faults(changed, [this](const bus::Faults& message) { send_to_all(message); });
}

bool ControllerSync::is_unconfirmed(const Fault& fault) const {
    return fault.open() && monitor_.missing().contains(fault.guest);
}

void ControllerSync::note_guest(const base::GuestId& guest, bool exists) {
    if (any_up()) noted_[guest] = exists;
}

void ControllerSync::send_noted() {
    const auto noted = std::exchange(noted_, {});
    Chunks<bus::Guests, model::GuestReport> chunks(&bus::Guests::guests, identity_.state_changes,
                                                   [this](const bus::Guests& message) { send_to_all(message); });
    for (const auto& [guest, exists] : noted) {
        const auto report = exists ? monitor_.report(guest) : std::nullopt;
        if (report) {
            chunks.add(*report);
        } else {
            send_to_all(bus::GuestGone{guest});
        }
    }
    chunks.flush();
}

void ControllerSync::tick(TimePoint now) {
    if (!noted_.empty()) send_noted();
    if (std::exchange(roster_changed_, false)) send_roster();
    if (now >= report_at_) {
        report_at_ = now + timing_.report_interval;
        for (const Link& link : links_) {
            if (link.up) send_guests(link.id);
        }
    }
    if (now >= resend_at_) {
        resend_at_ = now + kResendUnacknowledged;
        if (primary_) send_faults(*primary_, true);
    }
    check_silence(now);
    if (now >= absent_at_) {
        absent_at_ = base::kNever;
        if (!any_welcome()) output_.reachable_changed(false);
    }
}

TimePoint ControllerSync::next_due() const {
    if (!noted_.empty() || roster_changed_) return TimePoint::min();
    return std::min({report_at_, resend_at_, absent_at_, silence_.next_due()});
}

void ControllerSync::link_alive(LinkId id, TimePoint steady) {
    Link& link = find(id);
    if (!link.up) return;
    link.alive_at = steady;
    if (!silence_.alive(id, steady)) return;
    link.backlog_until = steady + kBacklog;
    log::info("controller seen again", {{"controller", link.name}, {"primary", primary_ == id}});
}

/// One that hangs keeps its connection open. While none is seen it is rather this host that is cut off.
void ControllerSync::check_silence(TimePoint steady) {
    for (const auto& [id, alone] : silence_.observe(steady)) {
        log::warning("controller fell silent",
                     {{"controller", find(id).name}, {"primary", primary_ == id}, {"others_seen", alone}});
        find(id).silent_from = find(id).alive_at;
        const auto next = preferred();
        if (primary_ != id || !alone || !next || silence_.silent(*next)) continue;
        elect();
        roster_changed_ = true;  // for when it reads again
    }
}

void ControllerSync::link_up(LinkId id, const base::Moment& at) {
    Link& link = find(id);
    link.up = true;
    link.since = at.wall;
    link.backlog_until = {};
    link.last_error.clear();
    const bool becomes_primary = !primary_;
    if (becomes_primary) primary_ = id;
    log::info("controller connected", {{"controller", link.name}, {"primary", primary_ == id}});
    send_snapshot(id);
    if (becomes_primary) output_.primary_changed(true);
}

void ControllerSync::link_down(LinkId id, const std::string& why, const base::Moment& at) {
    Link& link = find(id);
    link.last_error = why;
    if (!std::exchange(link.up, false)) {
        link.rejects_us = false;  // it does not do even that any more
        return log::info("controller cannot be reached, retrying", {{"controller", link.name}, {"why", why}});
    }
    link.since = at.wall;
    const bool was_accepted = !std::exchange(link.controller, {}).empty();
    roster_changed_ = roster_changed_ || was_accepted;
    link.clock_ahead.reset();
    silence_.forget(id);
    ++links_lost_;
    log::warning("controller lost", {{"controller", link.name}, {"why", why}});
    if (primary_ == id) elect();
    if (was_accepted && !any_welcome()) absent_at_ = at.steady + kAbsence;
    if (was_accepted) retry_seconds();
}

/// One of them may lead to the controller whose link has ended.
void ControllerSync::retry_seconds() {
    for (Link& link : links_) {
        if (std::exchange(link.is_second, false) && !link.up) output_.retry_now(link.id);
    }
}

/// The first that is not silent, or else the first that is connected.
std::optional<ControllerSync::LinkId> ControllerSync::preferred() const {
    const auto seen = std::find_if(links_.begin(), links_.end(),
                                   [this](const Link& link) { return link.up && !silence_.silent(link.id); });
    if (seen != links_.end()) return seen->id;
    const auto up = std::find_if(links_.begin(), links_.end(), [](const Link& link) { return link.up; });
    return up == links_.end() ? std::nullopt : std::optional(up->id);
}

void ControllerSync::elect() {
    primary_ = preferred();
    output_.primary_changed(primary_.has_value());
    if (!primary_) return;
    log::info("another controller is primary now", {{"controller", find(*primary_).name}});
    send(*primary_, roster(find(*primary_)));
    // It has the faults, but not what the primary before it has delivered of them.
    send_faults(*primary_, false);
}

std::string ControllerSync::primary_name() const {
    const auto is_primary = [&](const Link& link) { return link.id == primary_; };
    const auto found = std::find_if(links_.begin(), links_.end(), is_primary);
    return found == links_.end() ? std::string() : found->controller;
}

std::vector<std::string> ControllerSync::connected_names() const {
    std::vector<std::string> names;
    for (const Link& link : links_) {
        if (!link.controller.empty() && names.size() < bus::kMaxControllers) names.push_back(link.controller);
    }
    return names;
}

std::string ControllerSync::same_names() const {
    std::map<std::string, std::vector<std::string>> links;
    for (const Link& link : links_) {
        if (link.up && !link.controller.empty()) links[link.controller].push_back(link.name);
    }
    std::string text;
    for (const auto& [controller, names] : links) {
        if (names.size() < 2) continue;
        text += (text.empty() ? "" : "; ") + controller + ':';
        for (const std::string& name : names)
            text += ' ' + name;
    }
    return text;
}

std::string ControllerSync::rejections() const {
    std::string text;
    for (const Link& link : links_) {
        if (link.rejects_us) text += (text.empty() ? "" : "; ") + link.name + ": " + link.rejected_because;
    }
    return text;
}

/// A link that is up before its Welcome is an attempt: an agent that is rejected each time has no controller.
bool ControllerSync::any_welcome() const {
    return std::any_of(links_.begin(), links_.end(), [](const Link& link) { return !link.controller.empty(); });
}

bus::PrimaryChanged ControllerSync::roster(const Link& link) const {
    return {link.id == primary_, primary_name(), connected_names()};
}

void ControllerSync::send_roster() {
    for (const Link& link : links_) {
        if (link.up) send(link.id, roster(link));
    }
}

void ControllerSync::problems_changed(bus::AgentProblems problems) {
    if (problems.problems == problems_.problems) return;
    problems_ = std::move(problems);
    send_to_all(problems_);
}

void ControllerSync::received(LinkId id, const bus::ToAgent& message, const base::Moment& at) {
    std::visit(
        base::overloaded{
            [&](const bus::Welcome& welcome) {
                log::debug("controller accepted the session", {{"controller", welcome.controller}});
                Link& link = find(id);
                roster_changed_ = roster_changed_ || link.controller != welcome.controller;
                link.controller = welcome.controller;
                link.rejects_us = false;
                link.rejected_because.clear();
                absent_at_ = base::kNever;
                output_.reachable_changed(true);
                if (welcome.time != base::WallTime{})
                    link.clock_ahead = std::chrono::duration_cast<base::Millis>(welcome.time - at.wall);
            },
            [&](const bus::Rejected& rejected) {
                Link& link = find(id);
                link.last_error = rejected.reason;
                link.is_second = rejected.connected_already;
                link.rejects_us = !rejected.connected_already;
                // One line for one reason: it is tried again every few seconds, for days.
                if (std::exchange(link.rejected_because, rejected.reason) != rejected.reason)
                    log::error("controller rejects this agent", {{"controller", link.name}, {"why", rejected.reason}});
            },
            [&](const bus::FaultsDelivered& delivered) { output_.faults_delivered(delivered); },
            [&](const bus::Policies& policies) { output_.policies_changed(policies); },
            [&](const bus::HandBack& handed) { hand_back(find(id), handed); },
            [&](const bus::GuestMaintenance& maintenance) {
                if (primary_ == id) output_.maintenance_changed(maintenance);
            },
            [&](const bus::GroupDeliver& broadcast) { output_.broadcast(broadcast, route(find(id), at.steady)); },
            [&](const auto&) {
                // Another controller than the one that was asked has nothing to answer.
                if (primary_ == id) output_.group_message(message);
            }},
        message);
}

group::Route ControllerSync::route(const Link& link, TimePoint now) const {
    const bool held_up = silence_.silent(link.id) || now < link.backlog_until;
    return {link.id, now, held_up ? link.silent_from : base::kNever};
}

/// What this agent may have lost it is told once after it has shown what it has. Later only what it has reported
/// itself can be newer at a controller, or older than what it has found itself.
void ControllerSync::hand_back(Link& link, const bus::HandBack& handed) {
    if (handed.moving) return output_.handed_back(handed);
    const std::size_t size = handed.guests.size() + handed.faults.size();
    if (link.takes_back > size || (link.takes_back > 0 && size == 0)) {
        link.takes_back = handed.last && handed.state_lost ? 0 : link.takes_back - size;
        return output_.handed_back(handed);
    }
    bus::HandBack newer;
    newer.last = true;
    std::copy_if(handed.faults.begin(), handed.faults.end(), std::back_inserter(newer.faults),
                 [this](const Fault& fault) { return monitor_.concerns(fault); });
    if (!newer.faults.empty()) output_.handed_back(newer);
}

bool ControllerSync::send_to_primary(const bus::ToController& message) {
    if (!primary_) return false;
    send(*primary_, message);
    return true;
}

ControllerSync::Link& ControllerSync::find(LinkId id) {
    return *std::find_if(links_.begin(), links_.end(), [&](const Link& link) { return link.id == id; });
}

void ControllerSync::send(LinkId link, const bus::ToController& message) {
    ++messages_sent_;
    output_.send(link, message);
}

void ControllerSync::send_to_all(const bus::ToController& message) {
    for (const Link& link : links_) {
        if (link.up) send(link.id, message);
    }
}

void ControllerSync::send_snapshot(LinkId link) {
    bus::Hello hello{bus::kBusVersion, identity_.host, identity_.version, identity_.instance, primary_ == link};
    hello.state = identity_.state;
    hello.state_starts = identity_.state_starts;
    hello.state_changes = identity_.state_changes;
    hello.primary = primary_name();
    hello.controllers = connected_names();
    hello.lives = identity_.lives;
    hello.boot = identity_.boot;
    hello.yields = true;
    send(link, hello);
    send(link, bus::SnapshotBegin{});
    send_guests(link);
    send_faults(link, false);
    send(link, bus::SnapshotEnd{});
    find(link).takes_back = kMostTakenBack;
    // Also an empty list: the controller may know of problems from before, and its absence would say nothing of them.
    send(link, problems_);
}

void ControllerSync::send_guests(LinkId link) {
    Chunks<bus::Guests, model::GuestReport> chunks(&bus::Guests::guests, identity_.state_changes,
                                                   [&](const bus::Guests& message) { send(link, message); });
    monitor_.for_each_report([&](const model::GuestReport& report) { chunks.add(report); });
    chunks.flush();
}

void ControllerSync::send_faults(LinkId link, bool only_unacknowledged) {
    const auto which = [&](const Fault& fault) { return !only_unacknowledged || is_unacknowledged(fault); };
    for_faults(which, [&](const bus::Faults& message) { send(link, message); });
}

void ControllerSync::leave_unacknowledged_at_broker() {
    for_faults(is_unacknowledged, [this](const bus::Faults& message) { output_.leave_at_broker(message); });
}

void ControllerSync::for_faults(const Which& which, const std::function<void(const bus::Faults&)>& send) const {
    Chunks<bus::Faults, Fault> confirmed(&bus::Faults::faults, identity_.state_changes, send);
    Chunks<bus::Faults, Fault> unconfirmed(&bus::Faults::faults, identity_.state_changes, [&](bus::Faults message) {
        message.unconfirmed = true;
        send(message);
    });
    monitor_.faults().for_each([&](const Fault& fault) {
        if (which(fault)) (is_unconfirmed(fault) ? unconfirmed : confirmed).add(fault);
    });
    confirmed.flush();
    unconfirmed.flush();
}

}  // namespace vitalwire::host
