#include "controller/openstack/nova_view.hpp"

#include <algorithm>
#include <utility>

namespace vitalwire::controller {

using base::GroupId;
using base::GuestId;
using About = NovaNotification::About;

namespace {

/// Twins arrive within milliseconds, redeliveries within a reconnection: some thousand messages.
constexpr std::size_t kRemembered = 20'000;
/// The host that a move is announced to, and who notified that it began, have clocks of their own.
constexpr std::chrono::seconds kClocksDiffer{5};

/// Adds to a set that drops its oldest; false when it was there.
template <class T>
bool remember(std::unordered_set<T>& set, std::deque<T>& order, const T& value) {
    if (!set.insert(value).second) return false;
    order.push_back(value);
    if (order.size() > kRemembered) {
        set.erase(order.front());
        order.pop_front();
    }
    return true;
}

void append(std::vector<GuestChange>& changes, std::optional<GuestChange> change) {
    if (change) changes.push_back(std::move(*change));
}

/// As long as the move lasts; once Nova has the server at its destination that is where it came from.
base::HostId move_partner(const InventoryGuest* before, const InventoryGuest& now) {
    if (before == nullptr || !is_moving(now.state_description)) return {};
    if (before->host == now.host) return before->move_partner;
    return before->move_partner == now.host ? before->host : base::HostId();
}

}  // namespace

bool NovaView::is_repetition(const std::string& message_id) {
    return !message_id.empty() && !remember(seen_, seen_order_, message_id);
}

base::WallTime NovaView::as_of(const GuestId& guest) const {
    const auto known = known_.find(guest);
    return known == known_.end() ? polled_at_ : std::max(polled_at_, known->second.as_of);
}

NovaView::Effect NovaView::apply(const NovaNotification& notification) {
    Effect effect;
    if (is_repetition(notification.message_id)) return effect;
    if (notification.about == About::nothing_of_ours) return effect;
    effect.used = true;

    const GuestId& guest = notification.server.guest.id;
    if (notification.about == About::move) {
        announce_move(notification, effect);
        return effect;
    }
    const GroupId& group = notification.group.group.id;
    if (poll_ && !group.empty()) poll_->notified_groups.insert(group);
    switch (notification.about) {
        case About::server:
            if (!notification.server.deleted) {
                apply_state(notification, effect);
                break;
            }
            [[fallthrough]];  // whenever that was: it does not come back
        case About::server_gone:
            if (poll_) poll_->notified_servers.insert(guest);
            remove(guest, effect.changes);
            note_deleted(guest);
            break;
        case About::group:
            inventory_.put_group(notification.group.group);
            add_members(group, notification.group.members, effect.changes);
            break;
        case About::group_members:
            add_members(group, notification.group.members, effect.changes);
            break;
        case About::group_gone:
            remove_group(group, effect.changes);
            break;
        case About::move:
        case About::nothing_of_ours:
            break;
    }
    return effect;
}

void NovaView::apply_state(const NovaNotification& notification, Effect& effect) {
    const GuestId& guest = notification.server.guest.id;
    if (deleted_.contains(guest)) return;
    if (notification.sent_at != base::WallTime{} && notification.sent_at < as_of(guest)) {
        effect.ask.push_back(guest);
        return;
    }
    if (poll_) poll_->notified_servers.insert(guest);
    put(notification.server, notification.sent_at, effect.changes);
    Known& known = known_[guest];
    known.as_of = std::max(known.as_of, notification.sent_at);
    if (!known.policy) effect.ask.push_back(guest);
}

void NovaView::begin_poll() {
    poll_.emplace();
}

std::vector<GuestChange> NovaView::take(const std::vector<NovaGroup>& groups) {
    std::vector<GuestChange> changes;
    if (!poll_) return changes;
    for (const NovaGroup& listed : groups) {
        const GroupId& id = listed.group.id;
        poll_->listed_groups.insert(id);
        if (poll_->notified_groups.contains(id)) continue;
        inventory_.put_group(listed.group);
        // Members that Nova does not list are deleted, or not yet created where it notified of them: the servers
        // themselves name it.
        add_members(id, listed.members, changes);
    }
    return changes;
}

std::vector<GuestChange> NovaView::take(const std::vector<NovaServer>& servers, base::WallTime listed_at) {
    std::vector<GuestChange> changes;
    if (!poll_) return changes;
    for (const NovaServer& server : servers) {
        const GuestId& id = server.guest.id;
        poll_->listed_servers.insert(id);
        if (poll_->notified_servers.contains(id)) continue;
        if (server.deleted) {
            remove(id, changes);
        } else {
            put(server, listed_at, changes);
            Known& known = known_[id];
            known.as_of = std::max(known.as_of, listed_at);
        }
    }
    return changes;
}

void NovaView::keep_restored() {
    for (const auto& [id, place] : inventory_.restored()) {
        const bool named = poll_ && (poll_->listed_servers.contains(id) || poll_->notified_servers.contains(id));
        if (named || deleted_.contains(id)) continue;
        InventoryGuest guest = placed_guest(id, place);
        const auto group = group_of_.find(id);
        if (group != group_of_.end()) guest.group = group->second;
        inventory_.put(std::move(guest));
    }
}

std::vector<GuestId> NovaView::missing() const {
    std::vector<GuestId> missing;
    for (const auto& [id, guest] : inventory_.guests()) {
        const bool named = poll_ && (poll_->listed_servers.contains(id) || poll_->notified_servers.contains(id));
        if (!named) missing.push_back(id);
    }
    std::sort(missing.begin(), missing.end());
    return missing;
}

std::vector<GroupId> NovaView::missing_groups() const {
    std::vector<GroupId> missing;
    for (const auto& [id, group] : inventory_.groups()) {
        const bool named = poll_ && (poll_->listed_groups.contains(id) || poll_->notified_groups.contains(id));
        if (!named) missing.push_back(id);
    }
    return missing;
}

std::vector<GuestChange> NovaView::end_poll(const std::vector<GuestId>& gone, const std::vector<GroupId>& gone_groups,
                                            base::WallTime listed_at) {
    polled_at_ = std::max(polled_at_, listed_at);
    const Poll poll = std::exchange(poll_, std::nullopt).value_or(Poll{});
    std::vector<GuestChange> changes;
    for (const GroupId& id : gone_groups) {
        if (!poll.notified_groups.contains(id)) remove_group(id, changes);
    }
    for (const GuestId& id : gone) {
        if (!poll.notified_servers.contains(id)) remove(id, changes);
    }
    return changes;
}

std::vector<GuestChange> NovaView::answer(const NovaServer& server, base::WallTime known_as_of) {
    std::vector<GuestChange> changes;
    const GuestId& id = server.guest.id;
    if (deleted_.contains(id)) return changes;
    if (as_of(id) == known_as_of) {
        if (poll_) poll_->notified_servers.insert(id);
        server.deleted ? remove(id, changes) : put(server, known_as_of, changes);
        return changes;
    }
    const InventoryGuest* guest = inventory_.guest(server.guest.id);
    if (guest == nullptr) return changes;
    Known& known = known_[guest->id];
    learn_flavor(known, server);
    InventoryGuest now = *guest;
    if (known.policy) now.policy = *known.policy;
    now.flavor = known.flavor;
    append(changes, inventory_.put(std::move(now)));
    return changes;
}

void NovaView::put(const NovaServer& server, base::WallTime at, std::vector<GuestChange>& changes) {
    Known& known = known_[server.guest.id];
    learn_flavor(known, server);
    InventoryGuest guest = server.guest;
    // A flavor that is not known yet changes nothing of what was asked for before.
    const InventoryGuest* before = inventory_.guest(guest.id);
    if (before != nullptr) guest.policy = before->policy;
    if (is_moving(guest.state_description) && (before == nullptr || !is_moving(before->state_description)))
        known.moves_since = at;
    guest.move_partner = move_partner(before, guest);
    if (known.policy) guest.policy = *known.policy;
    guest.policy.guest = guest.id;
    guest.flavor = known.flavor;
    const auto group = group_of_.find(guest.id);
    if (group != group_of_.end()) guest.group = group->second;
    append(changes, inventory_.put(std::move(guest)));
}

void NovaView::learn_flavor(Known& known, const NovaServer& server) {
    const bool other = known.flavor != server.flavor;
    known.flavor = server.flavor;
    if (!server.specs) {
        if (other) known.policy.reset();
        return;
    }
    std::vector<std::string> problems;
    known.policy = read_extra_specs(server.guest.id, *server.specs, problems);
    if (problems != known.problems) set_problems(known, std::move(problems));
}

void NovaView::set_problems(Known& known, std::vector<std::string> problems) {
    for (const std::string& problem : known.problems) {
        if (--spec_problems_[problem] == 0) spec_problems_.erase(problem);
    }
    known.problems = std::move(problems);
    for (const std::string& problem : known.problems)
        ++spec_problems_[problem];
}

void NovaView::remove(const GuestId& guest, std::vector<GuestChange>& changes) {
    append(changes, inventory_.remove(guest));
    const auto known = known_.find(guest);
    if (known != known_.end()) {
        set_problems(known->second, {});
        known_.erase(known);
    }
    const auto group = group_of_.find(guest);
    if (group == group_of_.end()) return;
    members_[group->second].erase(guest);
    group_of_.erase(group);
}

void NovaView::announce_move(const NovaNotification& notification, Effect& effect) {
    const GuestId& guest = notification.server.guest.id;
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr || !is_moving(known->state_description) || known->host == notification.partner) return;
    Known& of_guest = known_[guest];
    const base::WallTime sent_at = notification.sent_at;
    const bool late = sent_at != base::WallTime{} &&
                      (sent_at + kClocksDiffer < of_guest.moves_since || sent_at < of_guest.announced_at);
    if (late) return effect.ask.push_back(guest);
    of_guest.announced_at = std::max(of_guest.announced_at, sent_at);
    InventoryGuest announced = *known;
    announced.move_partner = notification.partner;
    append(effect.changes, inventory_.put(std::move(announced)));
}

void NovaView::note_deleted(const GuestId& guest) {
    remember(deleted_, deleted_order_, guest);
}

void NovaView::add_members(const GroupId& group, const std::vector<GuestId>& members,
                           std::vector<GuestChange>& changes) {
    for (const GuestId& guest : members) {
        if (!deleted_.contains(guest)) set_group(guest, group, changes);
    }
}

void NovaView::set_group(const GuestId& guest, const GroupId& group, std::vector<GuestChange>& changes) {
    GroupId& now = group_of_[guest];
    if (now == group) return;
    if (!now.empty()) members_[now].erase(guest);
    now = group;
    if (group.empty()) {
        group_of_.erase(guest);
    } else {
        members_[group].insert(guest);
    }
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr) return;
    InventoryGuest moved = *known;
    moved.group = group;
    append(changes, inventory_.put(std::move(moved)));
}

/// The group goes first: its members have no peers left.
void NovaView::remove_group(const GroupId& group, std::vector<GuestChange>& changes) {
    inventory_.remove_group(group);
    const auto members = members_.find(group);
    if (members == members_.end()) return;
    const std::set<GuestId> left = members->second;
    for (const GuestId& guest : left)
        set_group(guest, GroupId(), changes);
    members_.erase(group);
}

}  // namespace vitalwire::controller
