// What operators ask of a controller.
#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "controller/core/core.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::HostId;
using base::Moment;

namespace {

constexpr std::string_view kHostRemoved = "host removed";  // why its faults end

/// The id of the one entry that `name` is the id or the display name of.
template <class Entries, class NameOf>
base::Result<std::string> unique(const Entries& entries, const std::string& name, const char* what, NameOf name_of) {
    std::string found;
    for (const auto& [id, entry] : entries) {
        if (id.str() == name) return name;
        if (name_of(entry) != name) continue;
        if (!found.empty())
            return base::fail(Errc::bad_field, std::string("several ") + what + "s are called '" + name +
                                                   "', expected an id: " + found + ", " + id.str());
        found = id.str();
    }
    if (found.empty()) return base::fail(Errc::not_found, std::string("no ") + what + " '" + name + "'");
    return found;
}

/// What another controller's operator did keeps faults back here.
void log_of_peer(const Maintenance& window, bool begins) {
    log::warning(
        begins ? "maintenance begins, as another controller has it" : "maintenance ends, as another controller has it",
        {{"scope", to_string(window.scope)},
         {"name", window.name},
         {"until", base::to_iso8601(window.until)},
         {"by", window.by},
         {"reason", window.reason}});
}

}  // namespace

base::Result<std::string> Core::resolve(MaintenanceScope scope, const std::string& name) const {
    const auto& guests = context_.inventory.guests();
    switch (scope) {
        case MaintenanceScope::all:
            return std::string();
        case MaintenanceScope::host: {
            const HostId agent = names_.agent_of(canonical(HostId(name)));
            // The inventory's name stays when the agent comes back by another form of it.
            const HostId host = names_.host_of(agent).value_or(agent);
            const bool known = fleet_.find(agent) != nullptr || !context_.inventory.of_host(host).empty();
            return known ? base::Result<std::string>(host.str())
                         : base::fail(Errc::not_found, "no host '" + name + "'");
        }
        case MaintenanceScope::group:
            return unique(context_.inventory.groups(), name, "group", [](const auto& group) { return group.name; });
        case MaintenanceScope::guest:
            if (fleet_.is_reported(base::GuestId(name))) return name;
            return unique(guests, name, "guest", [](const auto& guest) { return guest.display_name; });
    }
    return base::fail(Errc::bad_field, "scope");
}

base::Result<base::FaultId> Core::open_test_event(Moment moment) {
    enter(moment);
    const auto alarm = self_monitoring_.open_test_event(moment);
    if (!alarm) return base::fail(Errc::in_use, "a test event is open");
    log::info("test event sent to the sinks", {{"alarm", alarm->id}});
    alarms_.internal().deliver(*alarm);
    return alarm->id;
}

base::Result<Maintenance> Core::begin_maintenance(Maintenance window, Moment moment) {
    enter(moment);
    auto name = resolve(window.scope, window.name);
    if (!name) return tl::make_unexpected(name.error());
    if (window.name != *name) window.label = window.name;
    window.name = std::move(*name);
    if (const Maintenance* lasting = maintenance_.prolonged_by(window, moment.wall)) {
        // Asked for once more: the same one, with the new end and reason. Of one that ends earlier than what lasts
        // nobody knows whether it is the same work: it is one of its own, and ends no other.
        window.id = lasting->id;
        window.since = lasting->since;
        window.revision = lasting->revision + 1;
        window.members = lasting->members;
        // Who prolongs it does not mean to tell its guests that it is over.
        window.notify = window.notify || lasting->notify;
    }
    if (!maintenance_.all().contains(window.id)) make_room(moment);
    if (auto added = maintenance_.add(window); !added) return tl::make_unexpected(added.error());
    context_.rows.put_maintenance(window);
    list_members(moment);
    log::warning("maintenance begins", {{"scope", to_string(window.scope)},
                                        {"name", window.name},
                                        {"until", base::to_iso8601(window.until)},
                                        {"by", window.by},
                                        {"reason", window.reason},
                                        {"notify", window.notify},
                                        {"force", window.force}});
    maintenance_changed(moment);
    return window;
}

base::Result<Maintenance> Core::end_maintenance(const std::string& id, Moment moment) {
    enter(moment);
    const Maintenance* ended = maintenance_.end(id, moment.wall);
    if (ended == nullptr) return base::fail(Errc::not_found, "no maintenance '" + id + "' lasts");
    const Maintenance window = *ended;
    context_.rows.put_maintenance(window);
    log::warning("maintenance ends", {{"scope", to_string(window.scope)}, {"name", window.name}});
    maintenance_changed(moment);
    return window;
}

std::size_t Core::merge_maintenance(const std::vector<Maintenance>& windows, Moment moment) {
    enter(moment);
    bool changed = false;
    std::size_t no_room = 0;
    for (const Maintenance& window : windows) {
        if (window.until > moment.wall && !maintenance_.all().contains(window.id)) make_room(moment);
        const auto known = maintenance_.all().find(window.id);
        const bool lasted = known != maintenance_.all().end() && known->second.active(moment.wall);
        const auto merged = maintenance_.merge(window, moment.wall);
        if (merged == MaintenanceList::Merge::no_room) ++no_room;
        if (merged != MaintenanceList::Merge::taken) continue;
        context_.rows.put_maintenance(maintenance_.all().at(window.id));
        if (lasted || window.active(moment.wall)) log_of_peer(window, window.active(moment.wall));
        changed = true;
    }
    if (!changed) return no_room;
    list_members(moment);
    maintenance_changed(moment);
    return no_room;
}

void Core::make_room(Moment moment) {
    const std::string removed = maintenance_.make_room(moment.wall);
    if (!removed.empty()) context_.rows.erase_maintenance(removed);
}

/// So that a window of a group holds while the inventory cannot be read, as after a restart.
void Core::list_members(Moment moment) {
    if (maintenance_.all().empty() || !context_.output.inventory_source().loaded) return;
    const auto members = [this](const base::GroupId& group) {
        std::vector<base::GuestId> found;
        for (const auto& [id, guest] : context_.inventory.guests()) {
            if (guest.group == group) found.push_back(id);
        }
        std::sort(found.begin(), found.end());
        return found;
    };
    for (const Maintenance& window : maintenance_.set_members(members, moment.wall))
        context_.rows.put_maintenance(window);
}

void Core::maintenance_changed(Moment moment) {
    alarms_.maintenance_changed();
    maintenance_sync_.check(moment.wall);
    maintenance_sync_.mark_all();
}

base::WallTime Core::time() const {
    return clock_.time(context_.output.now());
}

const Maintenance* Core::maintenance_of(const base::GuestId& guest, const HostId& host) const {
    if (maintenance_.all().empty()) return nullptr;
    return maintenance_.covering(maintenance_subject(guest, host), time());
}

MaintenanceList::Subject Core::maintenance_subject(const base::GuestId& guest, const HostId& host) const {
    const InventoryGuest* known = context_.inventory.guest(guest);
    const bool unread = known == nullptr && !context_.output.inventory_source().loaded;
    return {guest,
            // The agent may have come, under another spelling of its host's name, after the window began.
            [this, host](const HostId& named) { return host == named || host == names_.agent_of(named); },
            unread ? std::nullopt : std::optional(known == nullptr ? base::GroupId() : known->group)};
}

std::optional<Maintained> Core::maintained(const Alarm& alarm) const {
    const Maintenance* window = maintenance_of(alarm.guest, alarm.host);
    if (window == nullptr) return std::nullopt;
    const Moment now = context_.output.now();
    return Maintained{maintenance_.covered_since(maintenance_subject(alarm.guest, alarm.host), time()),
                      now.steady + (window->until - clock_.time(now))};
}

std::size_t Core::agents_away_in_maintenance() const {
    const auto& agents = fleet_.agents();
    return static_cast<std::size_t>(std::count_if(agents.begin(), agents.end(), [&](const auto& each) {
        return !each.second.connected && maintenance_of({}, each.first) != nullptr;
    }));
}

std::size_t Core::alarms_in_maintenance(std::string_view kind) const {
    return self_monitoring_.open_of_kind(kind, [this](const Alarm& alarm) { return maintained(alarm).has_value(); });
}

void Core::expire_maintenance(Moment moment) {
    maintenance_sync_.check(moment.wall);
    for (const std::string& id : maintenance_.expire(moment.wall))
        context_.rows.erase_maintenance(id);
}

base::Result<void> Core::remove_host(const HostId& host, Moment moment) {
    enter(moment);
    const HostId name = canonical(host);
    const Agent* agent = fleet_.find(name);
    if (agent == nullptr) return base::fail(Errc::not_found, "no agent '" + host.str() + "'");
    if (agent->connected) return base::fail(Errc::in_use, "the agent of '" + host.str() + "' is connected");
    if (const std::string controller = connected_elsewhere(name, *agent); !controller.empty())
        return base::fail(Errc::in_use, "the agent of '" + host.str() + "' is connected to " + controller);
    if (peer_is_primary(name, *agent))
        return base::fail(Errc::in_use, "controller " + (agent->primary.empty() ? "of another name" : agent->primary) +
                                            " is the primary of '" + host.str() + "' and may see it: forget it there");
    forget_host(name, moment);
    return {};
}

void Core::forget_host(const HostId& name, Moment moment) {
    std::vector<base::FaultId> open;
    for (const TrackedFault* tracked : alarms_.table().of_host(name)) {
        if (tracked->fault.open()) open.push_back(tracked->fault.id);
    }
    for (const base::FaultId& fault : open) {
        alarms_.note(fault, kHostRemovedEntry, name.str(), moment.wall);
        alarms_.end(fault, kHostRemoved, true, moment.wall);
    }
    // Under the alarm's name, raised or not: by it the other controllers learn.
    alarms_.note(agent_lost_id(name), kHostRemovedEntry, name.str(), moment.wall);
    remove_agent(name);
    monitor(moment);
}

void Core::merge_journal(const base::FaultId& fault, const std::string& controller, Journal::Part part, Moment moment) {
    enter(moment);
    std::optional<JournalEntry> decision;
    for (const JournalEntry& entry : part.entries) {
        if (entry.what == kClosedEntry || entry.what == kHostRemovedEntry) decision = entry;
    }
    const bool is_internal = part.alarm.has_value();
    const bool is_news = decision && !knows(fault, controller, part, *decision);
    alarms_.merge_journal(fault, controller, std::move(part));
    if (!decision) return;
    if (decision->what == kHostRemovedEntry && alarms_.table().find(fault) == nullptr) {
        // A host may be set up again: what was decided counts once.
        if (is_news) removed_elsewhere(fault, controller, *decision, moment);
        return;
    }
    // An alarm about the suite itself may be raised once more: each decision is about one time.
    if (is_internal && is_news) return closed_elsewhere(fault, controller, *decision, moment);
    decided_elsewhere(fault, controller, *decision, moment);
}

/// By the times of that controller's clock: how far it is ahead is measured with each answer.
bool Core::knows(const base::FaultId& fault, const std::string& controller, const Journal::Part& told,
                 const JournalEntry& decision) const {
    const Journal::Part* part = alarms_.journal().part_of(fault, controller);
    if (part == nullptr) return false;
    JournalEntry known = decision;
    known.at += told.ahead - part->ahead;
    known.first_at += told.ahead - part->ahead;
    return std::find(part->entries.begin(), part->entries.end(), known) != part->entries.end();
}

void Core::closed_elsewhere(const base::FaultId& alarm, const std::string& controller, const JournalEntry& decision,
                            Moment moment) {
    const auto& own = alarms_.internal().all();
    const auto raised = own.find(alarm);
    const bool open_here = raised != own.end() && raised->second.open();
    if (!open_here) return hold_closed(alarm, decision.at, moment);
    if (raised->second.opened_at <= decision.at)
        close_internal(alarm, decision.detail + " (at " + controller + ")", moment);
}

void Core::decided_elsewhere(const base::FaultId& fault, const std::string& controller, const JournalEntry& decision,
                             Moment moment) {
    const TrackedFault* tracked = alarms_.table().find(fault);
    if (tracked == nullptr) return;
    const Agent* agent = fleet_.find(tracked->host);
    const bool removed = decision.what == kHostRemovedEntry;
    if (removed && agent != nullptr && agent->connected && tracked->fault.open()) {
        // That controller had lost its link; the host lives.
        log::warning("host removed at another controller is connected here, its fault stays open",
                     {{"host", tracked->host}, {"at", controller}, {"fault", fault}});
        return;
    }
    clear_by_operator(fault, (removed ? std::string(kHostRemoved) : decision.detail) + " (at " + controller + ")",
                      moment);
}

void Core::removed_elsewhere(const base::FaultId& fault, const std::string& controller, const JournalEntry& decision,
                             Moment moment) {
    const auto& agents = fleet_.agents();
    const auto removed = std::find_if(agents.begin(), agents.end(),
                                      [&](const auto& entry) { return agent_lost_id(entry.first) == fault; });
    // What was decided before it was lost was about an earlier life.
    if (removed == agents.end() || removed->second.connected || removed->second.since > decision.at) return;
    const HostId host = removed->first;
    log::info("host removed at another controller", {{"host", host}, {"at", controller}});
    forget_host(host, moment);
}

bool Core::clear_by_operator(const base::FaultId& fault, const std::string& reason, Moment moment) {
    enter(moment);
    if (close_internal(fault, reason, moment)) return true;
    const TrackedFault* tracked = alarms_.table().find(fault);
    if (tracked == nullptr || !tracked->fault.open()) return false;
    log::warning("fault cleared by the operator", {{"fault", fault}, {"reason", reason}});
    alarms_.note(fault, kClosedEntry, reason, moment.wall);
    end(*tracked, kByOperator, moment);
    return true;
}

bool Core::close_internal(const base::FaultId& id, const std::string& reason, Moment moment) {
    if (const auto alarm = self_monitoring_.close(id, moment)) {
        log::warning("alarm closed by the operator", {{"alarm", id}, {"reason", reason}});
        context_.rows.put_closed_alarm(*alarm);
        alarms_.note(id, kClosedEntry, reason, moment.wall);
        alarms_.internal().deliver(*alarm);
        return true;
    }
    // Another controller has raised it: that learns of it by this one's journal.
    const Alarm* elsewhere = alarms_.internal().find(id);
    if (elsewhere == nullptr || !elsewhere->open()) return false;
    log::warning("alarm of another controller closed by the operator", {{"alarm", id}, {"reason", reason}});
    const std::string raiser = alarm_of(*alarms_.journal().find(id)).first;
    const Alarm closed = ended_alarm(*elsewhere, kClosedEntry, moment.wall);
    alarms_.note(id, kClosedEntry, reason, moment.wall);
    if (alarms_.internal().contains(id)) {  // delivered from here too
        alarms_.internal().deliver(closed);
        return true;
    }
    alarms_.note(closed);
    hold_closed(id, moment.wall, moment);
    close_for_peer(id, raiser, moment);
    return true;
}

void Core::hold_closed(const base::FaultId& id, base::WallTime closed_at, Moment moment) {
    if (const auto held = self_monitoring_.hold_closed(id, fleet_, closed_at, moment))
        context_.rows.put_closed_alarm(*held);
}

bool Core::acknowledge_by_operator(const base::FaultId& fault, const std::string& note, Moment moment) {
    const TrackedFault* tracked = alarms_.table().find(fault);
    const Alarm* internal = alarms_.internal().find(fault);
    const bool is_open = (tracked != nullptr && tracked->fault.open()) || (internal != nullptr && internal->open());
    if (is_open) alarms_.note(fault, "seen by the operator", note, moment.wall);
    return is_open;
}

}  // namespace vitalwire::controller
