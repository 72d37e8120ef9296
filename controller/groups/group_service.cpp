#include "controller/groups/group_service.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "wire/limits.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::GroupId;
using base::GuestId;
using base::HostId;
using wire::MemberState;

namespace {

/// Members in one piece of an answer: with the longest metadata still well below a bus message.
constexpr std::size_t kStatusPiece = 50;

constexpr const char* kUpdated = "compute.instance.update";
constexpr const char* kCreated = "compute.instance.create.end";
constexpr const char* kDeleted = "compute.instance.delete.end";
constexpr const char* kHeartbeat = "vitalwire.heartbeat";
constexpr const char* kRepeated = "vitalwire.state";

// The heartbeat field of a state.
constexpr const char* kUnmonitored = "unmonitored";
constexpr const char* kHealthy = "healthy";
constexpr const char* kUnhealthy = "unhealthy";
constexpr const char* kLost = "lost";

/// As the wire allows; what the cloud calls things may be longer.
std::string bounded(const std::string& text, std::size_t max_bytes) {
    return base::cut_utf8(base::is_utf8(text) ? text : base::escape(text), max_bytes);
}

std::optional<std::string> unless_empty(const std::string& text, std::size_t max_bytes) {
    if (text.empty()) return std::nullopt;
    return bounded(text, max_bytes);
}

/// More than this fits in no message to a guest.
bool fits(const std::map<std::string, std::string>& metadata) {
    std::size_t bytes = 0;
    for (const auto& [key, value] : metadata)
        bytes += key.size() + value.size();
    return metadata.size() <= wire::kMaxKeys && bytes <= wire::kMaxNativeMessage;
}

std::size_t guests_in(const std::vector<group::Hop>& hops) {
    std::size_t count = 0;
    for (const group::Hop& hop : hops)
        count += hop.guests.size();
    return count;
}

}  // namespace

GroupService::GroupService(const Inventory& inventory, const Fleet& fleet, const HostNames& names, std::string name,
                           Send send, Moving moving)
    : inventory_(inventory),
      fleet_(fleet),
      names_(names),
      name_(std::move(name)),
      send_(std::move(send)),
      moving_(std::move(moving)) {}

HostId GroupService::agent_of(const InventoryGuest& guest) const {
    return guest.host.empty() ? HostId() : names_.agent_of(guest.host);
}

void GroupService::on(const HostId& host, const bus::GroupSend& message, base::TimePoint now) {
    const auto hops = router_.broadcast(message.guest, host);
    if (!hops) return refuse(host, message.number, hops.error());
    const Agent* agent = fleet_.find(host);
    GroupCounters& counters = counters_[*group_of(message.guest)];
    ++counters.broadcasts;
    counters.deliveries += guests_in(*hops);
    ++totals_.broadcasts;
    totals_.deliveries += guests_in(*hops);
    for (const group::Hop& hop : *hops) {
        bus::GroupDeliver delivery{{},
                                   message.guest.str(),
                                   false,
                                   message.payload,
                                   agent == nullptr ? std::string() : agent->instance,
                                   message.number,
                                   0};
        for (const GuestId& guest : hop.guests) {
            if (!keep(hop.host, guest, delivery, now)) delivery.guests.push_back(guest);
        }
        if (!delivery.guests.empty()) send_(hop.host, delivery);
    }
    send_(host, bus::GroupAccepted{message.number});
    deliver_kept(now);
}

bool GroupService::has_channel(const HostId& host, const GuestId& guest) const {
    const Agent* agent = fleet_.find(host);
    const model::GuestReport* report = fleet_.report_of(host, guest);
    if (agent == nullptr || !agent->connected || report == nullptr) return false;
    return std::any_of(report->channels.begin(), report->channels.end(), [](const std::string& channel) {
        return channel == wire::kNativeChannel || channel == wire::kCgcsMessagingChannel;
    });
}

/// Under a number of this controller's: the new host may have had the message for other guests already.
bool GroupService::keep(const HostId& host, const GuestId& guest, const bus::GroupDeliver& message,
                        base::TimePoint now) {
    const bool after_others = kept_.contains(guest);
    const bool moves = moved_.contains(guest) || moving_(guest);
    if (!after_others && (!moves || has_channel(host, guest))) return false;
    bus::GroupDeliver own = message;
    own.guests = {guest};
    own.agent = name_;
    own.number = next_number_++;
    if (!kept_.keep(guest, std::move(own), now)) return false;
    ++totals_.kept;
    return true;
}

void GroupService::deliver_kept(base::TimePoint now) {
    // The cloud has them on their new host, which may not know them yet.
    for (const GuestId& guest : std::exchange(just_moved_, {}))
        moved_[guest] = now;
    std::erase_if(moved_, [&](const auto& item) { return now - item.second >= KeptMessages::kLongest; });
    if (kept_.empty()) return;
    kept_.expire(now);
    // By another controller newer ones of the same sender may come from now on.
    drop_kept([this](const InventoryGuest* sender) { return sender == nullptr || !is_primary(agent_of(*sender)); });
    for (const GuestId& guest : kept_.guests()) {
        const InventoryGuest* known = inventory_.guest(guest);
        const bool there = known != nullptr && takes_part(*known) && has_channel(agent_of(*known), guest);
        if (!there) continue;
        for (const bus::GroupDeliver& message : kept_.take(guest))
            send_(agent_of(*known), message);
    }
}

void GroupService::drop_kept_of(const HostId& host) {
    drop_kept([&](const InventoryGuest* sender) { return sender != nullptr && agent_of(*sender) == host; });
}

void GroupService::drop_kept(const std::function<bool(const InventoryGuest* sender)>& outdated) {
    for (const GuestId& guest : kept_.guests()) {
        kept_.drop_if(guest, [&](const bus::GroupDeliver& message) {
            return outdated(inventory_.guest(GuestId(message.source)));
        });
    }
}

void GroupService::on(const HostId& host, const bus::GroupQuery& message) {
    auto states = router_.status(message.guest, host);
    if (!states) return refuse(host, message.number, states.error());
    ++counters_[*group_of(message.guest)].queries;
    ++totals_.queries;
    bus::GroupStatus piece{message.number, {}, false};
    for (MemberState& state : *states) {
        piece.members.push_back(std::move(state));
        if (piece.members.size() < kStatusPiece) continue;
        send_(host, piece);
        piece.members.clear();
    }
    piece.last = true;
    send_(host, piece);
}

void GroupService::inventory_changed(const std::vector<GuestChange>& changes, base::WallTime now) {
    std::vector<const InventoryGuest*> joined;
    for (const GuestChange& change : changes) {
        const bool stays = change.before && change.after && change.before->group == change.after->group;
        const bool elsewhere = stays && change.before->host != change.after->host;
        if (elsewhere && !change.before->host.empty()) just_moved_.push_back(change.after->id);
        if (change.before && !stays) notify_deleted(*change.before, now);
        if (!change.after) continue;
        const MemberState after = state_of(*change.after);
        if (stays && state_of(*change.before) == after) continue;
        notify(*change.after, stays ? kUpdated : kCreated, after, now);
        if ((!stays || elsewhere) && takes_part(*change.after)) joined.push_back(&*change.after);
    }
    notify_joined(joined, now);
    std::erase_if(counters_, [&](const auto& item) {
        return inventory_.group(item.first) == nullptr && inventory_.of_group(item.first).empty();
    });
}

/// Who joins has heard nothing of its peers, or nothing while it was away; what was sent for one that is elsewhere went
/// where it is not. Those of one host in one message each.
void GroupService::notify_joined(const std::vector<const InventoryGuest*>& joined, base::WallTime now) {
    std::map<std::pair<GroupId, HostId>, std::vector<GuestId>> newcomers;
    for (const InventoryGuest* guest : joined) {
        const HostId host = agent_of(*guest);
        const bool told = guest->policy.messaging && is_primary(host) && !expected_.contains(host);
        if (told) newcomers[{guest->group, host}].push_back(guest->id);
    }
    const std::string timestamp = base::to_iso8601(now);
    for (const auto& [where, guests] : newcomers) {
        for (const InventoryGuest* member : inventory_.of_group(where.first)) {
            if (!takes_part(*member)) continue;
            group::Hop hop{where.second, guests};
            std::erase(hop.guests, member->id);
            if (!hop.guests.empty()) send(hop, kRepeated, state_of(*member), timestamp);
        }
    }
}

void GroupService::expect(const HostId& host) {
    missing_.erase(host);
    expected_[host] = ++events_;
}

void GroupService::initial_sync(const HostId& host, base::WallTime now) {
    if (!is_synced(host)) return;
    const auto expected = expected_.extract(host);
    const std::uint64_t since = expected.empty() ? ++events_ : expected.mapped();
    const std::string timestamp = base::to_iso8601(now);
    std::vector<const InventoryGuest*> guests;
    std::set<GroupId> groups;
    for (const InventoryGuest* guest : names_.guests_of(host)) {
        if (!takes_part(*guest)) continue;
        guests.push_back(guest);
        groups.insert(guest->group);
        notified_heartbeat_[guest->id] = heartbeat_of(guest->id, host);
    }
    notify_earlier(guests, since, timestamp);
    synced_[host] = ++events_;
    if (!is_primary(host)) return;
    for (const GroupId& group : groups)
        notify_of_all(host, group, timestamp);
}

/// Hosts that were synced later have it already.
void GroupService::notify_earlier(const std::vector<const InventoryGuest*>& guests, std::uint64_t event,
                                  const std::string& timestamp) {
    const bool anybody =
        std::any_of(synced_.begin(), synced_.end(), [&](const auto& item) { return item.second < event; });
    if (!anybody) return;
    for (const InventoryGuest* guest : guests) {
        const MemberState state = state_of(*guest);
        for (const group::Hop& hop : router_.peers(guest->group, guest->id)) {
            const bool later = hop.host == agent_of(*guest) || synced_after(hop.host, event);
            if (!later && is_primary(hop.host)) send(hop, kRepeated, state, timestamp);
        }
    }
}

/// Notifies the guests here of each other, and of the members elsewhere.
void GroupService::notify_of_all(const HostId& host, const GroupId& group, const std::string& timestamp) {
    std::vector<const InventoryGuest*> all = inventory_.of_group(group);
    std::erase_if(all, [this](const InventoryGuest* guest) { return !takes_part(*guest); });
    for (const InventoryGuest* member : all) {
        // More is known of it in a moment.
        if (is_awaited(agent_of(*member))) continue;
        group::Hop here{host, {}};
        for (const InventoryGuest* guest : all) {
            if (agent_of(*guest) == host && guest->policy.messaging && guest != member)
                here.guests.push_back(guest->id);
        }
        if (!here.guests.empty()) send(here, kRepeated, state_of(*member), timestamp);
    }
}

void GroupService::agent_down(const HostId& host) {
    drop_kept_of(host);
    expected_.erase(host);
    synced_.erase(host);
}

void GroupService::set_missing(std::set<HostId> hosts, base::WallTime now) {
    const auto before = std::exchange(missing_, std::move(hosts));
    const std::string timestamp = base::to_iso8601(now);
    for (const HostId& host : missing_) {
        if (before.contains(host)) continue;
        std::vector<const InventoryGuest*> guests;
        for (const InventoryGuest* guest : names_.guests_of(host)) {
            if (!takes_part(*guest) || agent_of(*guest) != host) continue;
            guests.push_back(guest);
            notified_heartbeat_[guest->id] = heartbeat_of(guest->id, host);
        }
        notify_earlier(guests, ++events_, timestamp);
    }
}

bool GroupService::is_primary(const HostId& host) const {
    const Agent* agent = fleet_.find(host);
    return agent != nullptr && agent->connected && agent->is_primary;
}

bool GroupService::is_synced(const HostId& host) const {
    const Agent* agent = fleet_.find(host);
    return agent != nullptr && agent->connected && agent->synced;
}

/// Its agent comes back in a moment, or sends its snapshot just now. A guest may be on no host, which has no agent.
bool GroupService::is_awaited(const HostId& host) const {
    return !host.empty() && !is_synced(host) && !missing_.contains(host);
}

bool GroupService::synced_after(const HostId& host, std::uint64_t event) const {
    if (expected_.contains(host)) return true;  // it will be
    const auto at = synced_.find(host);
    return at != synced_.end() && at->second > event;
}

void GroupService::notify_deleted(const InventoryGuest& guest, base::WallTime now) {
    notified_heartbeat_.erase(guest.id);
    MemberState state = state_of(guest);
    state.state = "deleted";
    state.state_description.clear();
    notify(guest, kDeleted, state, now);
}

void GroupService::heartbeat_changed(const GuestId& guest, base::WallTime now) {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr || !takes_part(*known)) return;
    const std::string heartbeat = heartbeat_of(guest, agent_of(*known));
    const auto [notified, first] = notified_heartbeat_.try_emplace(guest, heartbeat);
    if (!first && notified->second == heartbeat) return;
    notified->second = heartbeat;
    if (!expected_.contains(agent_of(*known))) notify(*known, kHeartbeat, state_of(*known), now);
}

void GroupService::reachability_changed(const HostId& host, base::WallTime now) {
    const Agent* agent = fleet_.find(host);
    if (agent == nullptr) return;
    for (const auto& [guest, report] : agent->guests)
        heartbeat_changed(guest, now);
}

base::Result<std::size_t> GroupService::send_as_operator(const GroupId& group, const std::string& payload) {
    if (payload.size() > wire::kMaxPayload)
        return fail(Errc::too_large, "payload of " + std::to_string(payload.size()) + " bytes, at most " +
                                         std::to_string(wire::kMaxPayload) + " are accepted");
    const auto hops = router_.broadcast_by_operator(group);
    if (!hops) return tl::make_unexpected(hops.error());
    const std::uint64_t number = next_number_++;
    for (const group::Hop& hop : *hops)
        send_(hop.host, bus::GroupDeliver{hop.guests, "operator", true, payload, name_, number});
    return guests_in(*hops);
}

MemberState GroupService::state(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    return known == nullptr ? MemberState{} : state_of(*known);
}

std::optional<group::Member> GroupService::member(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr) return std::nullopt;
    return group::Member{known->id, agent_of(*known), known->policy.messaging};
}

std::optional<GroupId> GroupService::group_of(const GuestId& guest) const {
    const InventoryGuest* known = inventory_.guest(guest);
    if (known == nullptr || !takes_part(*known)) return std::nullopt;
    return known->group;
}

std::vector<group::Member> GroupService::members(const GroupId& group) const {
    std::vector<group::Member> members;
    for (const InventoryGuest* guest : inventory_.of_group(group)) {
        if (takes_part(*guest)) members.push_back({guest->id, agent_of(*guest), guest->policy.messaging});
    }
    return members;
}

/// Two projects never meet, whatever an inventory has.
bool GroupService::takes_part(const InventoryGuest& guest) const {
    const InventoryGroup* group = inventory_.group(guest.group);
    return group != nullptr && guest.project == group->project;
}

std::string GroupService::heartbeat_of(const GuestId& guest, const HostId& host) const {
    const Agent* agent = fleet_.find(host);
    if (agent == nullptr || !agent->connected || agent->unreachable) return kUnmonitored;
    const auto report = agent->guests.find(guest);
    if (report == agent->guests.end()) return kUnmonitored;
    const std::string& state = report->second.state;
    if (state == "registered") return kHealthy;
    if (state == "unhealthy") return kUnhealthy;
    if (state == "lost" || state == "crashed") return kLost;
    return kUnmonitored;
}

MemberState GroupService::state_of(const InventoryGuest& guest) const {
    MemberState state;
    state.instance_id = guest.id.str();
    state.display_name = bounded(guest.display_name, wire::kMaxStateText);
    state.state = bounded(guest.state, wire::kMaxState);
    state.state_description = bounded(guest.state_description, wire::kMaxTask);
    state.hostname = unless_empty(guest.hostname, wire::kMaxStateText);
    state.host = unless_empty(guest.host.str(), wire::kMaxStateText);
    state.node = unless_empty(guest.node, wire::kMaxStateText);
    state.tenant_id = unless_empty(guest.project, wire::kMaxStateWord);
    state.launched_at = unless_empty(guest.launched_at, wire::kMaxStateWord);
    if (!fits(guest.metadata)) {
        state.reduced.emplace_back("metadata");
    } else if (!guest.metadata.empty()) {
        state.metadata = guest.metadata;
    }
    state.heartbeat = heartbeat_of(guest.id, agent_of(guest));
    return state;
}

void GroupService::notify(const InventoryGuest& about, const std::string& event_type, const MemberState& state,
                          base::WallTime now) {
    if (!takes_part(about)) return;
    const std::string timestamp = base::to_iso8601(now);
    for (const group::Hop& hop : router_.peers(about.group, about.id)) {
        // Every controller sees the change; each host is notified by its primary.
        if (!is_primary(hop.host) || expected_.contains(hop.host)) continue;
        counters_[about.group].notifications += hop.guests.size();
        send(hop, event_type, state, timestamp);
    }
}

void GroupService::send(const group::Hop& hop, const std::string& event_type, const MemberState& state,
                        const std::string& timestamp) {
    totals_.notifications += hop.guests.size();
    send_(hop.host, bus::GroupNotify{hop.guests, event_type, timestamp, state});
}

void GroupService::refuse(const HostId& host, std::uint64_t number, const base::Error& error) {
    ++totals_.refusals;
    send_(host, bus::GroupRefused{number, error.code, error.message});
}

}  // namespace vitalwire::controller
