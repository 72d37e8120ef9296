// AgentCore, as far as what the hypervisor is asked, and asked for, is concerned.
#include "host/core/agent_core.hpp"

#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::Moment;
using base::TimePoint;
using wire::ChannelKind;
using wire::Dialect;

namespace {

constexpr const char* kPlacesTable = "places";
constexpr const char* kNoPort = "guests lack a channel, and their machines a virtio-serial controller for it";
constexpr const char* kNotAttached = "guests lack a channel that cannot be attached";
constexpr const char* kMissing = "guests that were known are not found";
/// What is remembered of a guest without a fault; its place may be there later than the agent.
constexpr base::Duration kMissingKept = std::chrono::hours(1);

std::string count_of(std::size_t guests) {
    return std::to_string(guests) + (guests == 1 ? " guest, " : " guests, such as ");
}

}  // namespace

void AgentCore::guest_agent_port(const GuestId& guest, std::optional<bool> open, const Moment& at) {
    if (open) {
        guest_agents_.found(guest, GuestAgentRoute::call, *open, judged(at).now);
    } else {
        guest_agents_.lost(guest, GuestAgentRoute::call, judged(at).now);
    }
    guest_agent_routes_changed(guest, heartbeat::Closed{}.grace, at);
}

/// A guest may have two ports for its QEMU guest agent: it has one as long as either is there.
void AgentCore::guest_agent_routes_changed(const GuestId& guest, base::Millis grace, const Moment& at) {
    switch (guest_agents_.reach(guest)) {
        case GuestAgentPoller::Reach::none:
            return step(guest, heartbeat::ChannelRemoved{Dialect::guest_agent}, at);
        case GuestAgentPoller::Reach::closed:
            return step(guest, heartbeat::Closed{Dialect::guest_agent, grace}, at);
        case GuestAgentPoller::Reach::open:
            return step(guest, heartbeat::Connected{Dialect::guest_agent}, at);
    }
}

void AgentCore::guest_agent_returned(const GuestId& guest, std::int64_t challenge, GuestAgentResult result,
                                     const Moment& at) {
    at_ = at;
    guest_agents_.returned(guest, challenge, result, judged(at).now);
}

void AgentCore::ask_guest_agent(const GuestId& guest, std::int64_t challenge) {
    output_.send(GuestKey(guest), Dialect::guest_agent, wire::Challenge{{}, challenge});
}

void AgentCore::call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) {
    output_.call_guest_agent(call, challenge);
}

void AgentCore::guest_agent_result(const GuestId& guest, const heartbeat::HostEvent& event) {
    const Judged now = judged(at_);
    monitor_.step(guest, event, now.now, now.wall);
}

/// After the end of a run who answers is another one, or none.
void AgentCore::note_end_of_run(const GuestId& guest, const heartbeat::HostEvent& event, const Moment& at) {
    const bool ends_a_run = std::holds_alternative<heartbeat::Rebooted>(event) ||
                            std::holds_alternative<heartbeat::Crashed>(event) ||
                            std::holds_alternative<heartbeat::Stopped>(event);
    if (!ends_a_run) return;
    guest_agents_.restarted(guest, judged(at).now);
    io_watch_.restarted(guest);
}

void AgentCore::notify_of(const GuestId& guest, std::optional<heartbeat::Inhibit> before, bool released,
                          TimePoint now) {
    using heartbeat::Inhibit;
    using model::LifecycleEvent;
    const auto after = monitor_.inhibited(guest);
    if (heartbeat::copies_memory(after)) copied_[guest] = copied_[guest] || after == Inhibit::migrating;
    // One that is copied for very long is judged again before that is over.
    const auto copied = released && !after ? copied_.extract(guest) : decltype(copied_)::node_type();
    if (after == before && !copied) return;
    const GuestActions::Standing standing = monitor_.standing(guest);
    if (after == Inhibit::paused) actions_.began(guest, LifecycleEvent::pause);
    if (after == Inhibit::suspended) actions_.began(guest, LifecycleEvent::suspend);
    if (!standing.runs) return actions_.give_up(guest, "not_running", now);
    const auto notify = [&](LifecycleEvent event) { actions_.notify(guest, event, standing, now); };
    if (after == Inhibit::migrating) return notify(LifecycleEvent::live_migrate_begin);
    if (after == Inhibit::shutting_down) return notify(LifecycleEvent::stop);
    // That it stood still for an instant at the end is part of it.
    if (copied) return copied.mapped() ? notify(LifecycleEvent::live_migrate_end) : void();
    if (before == Inhibit::paused) return notify(LifecycleEvent::unpause);
    if (before == Inhibit::suspended) return notify(LifecycleEvent::resume);
}

void AgentCore::want_channels() {
    WantedChannels wanted;
    for (const auto& [guest, policy] : monitor_.policies()) {
        for (const std::string& name : policy.channels) {
            const auto kind = wire::channel_kind(name);
            if (kind && *kind != ChannelKind::guest_agent) wanted[guest].insert(*kind);
        }
    }
    std::erase_if(not_attached_, [&](const auto& entry) { return !wanted.contains(entry.first); });
    show_attachments();
    output_.want(wanted);
}

void AgentCore::show_guests_problem(const std::string& what, const std::map<std::string, GuestProblem>& guests) {
    const auto first = guests.begin();
    set_problem(
        what, guests.empty() ? "" : count_of(guests.size()) + first->second.guest.str() + ": " + first->second.detail);
}

void AgentCore::attached(const GuestId& guest, ChannelKind kind, const std::string& failure) {
    ++(failure.empty() ? counters_.attached : counters_.not_attached);
    if (failure.empty()) {
        not_attached_.erase(guest);
        log::info("attached a channel to a running machine", {{"guest", guest}, {"channel", wire::channel_name(kind)}});
    } else if (std::exchange(not_attached_[guest], failure) != failure) {
        log::warning("cannot attach a channel to a running machine, retrying",
                     {{"guest", guest}, {"channel", wire::channel_name(kind)}, {"why", failure}});
    }
    show_attachments();
}

void AgentCore::show_attachments() {
    const auto first = not_attached_.begin();
    set_problem(kNotAttached, not_attached_.empty()
                                  ? ""
                                  : count_of(not_attached_.size()) + first->first.str() + ": " + first->second);
}

void AgentCore::unattachable(const std::set<GuestId>& guests) {
    for (const GuestId& guest : guests) {
        if (unattachable_.contains(guest)) continue;
        ++counters_.without_controller;
        log::warning(
            "a guest lacks the channel that its flavor asks for: its machine has no virtio-serial controller, and gets "
            "none while it runs. Restart it with Nova's extension for it, or with hw_qemu_guest_agent=yes in its image",
            {{"guest", guest}});
    }
    unattachable_ = guests;
    set_problem(kNoPort, guests.empty() ? "" : count_of(guests.size()) + guests.begin()->str());
}

void AgentCore::source_entries_unused(const std::string& name, const std::string& entries) {
    set_problem("source " + name + " has entries that are not used", entries);
}

void AgentCore::watch_io() {
    std::set<GuestId> guests;
    for (const auto& [guest, policy] : monitor_.policies()) {
        if (policy.watch_io) guests.insert(guest);
    }
    io_watch_.want(guests, clock_.observe(at_.steady));
}

void AgentCore::io_returned(const GuestId& guest, std::int64_t number, const std::optional<IoCounters>& counters,
                            const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    io_watch_.returned(guest, number, counters, now.now, now.wall);
}

void AgentCore::hurry_io(const model::Fault& fault) {
    if (model::is_silence(fault.kind) && fault.open()) io_watch_.hurry(fault.guest, clock_.observe(at_.steady));
}

/// A hypervisor counts the runs of its machines from the start of the host.
heartbeat::HostEvent AgentCore::in_this_boot(const heartbeat::Found& found) const {
    return heartbeat::Found{found.run.empty() ? "" : identity_.self.boot + '/' + found.run};
}

void AgentCore::source_listed(const std::string& name, const SourceListing& listing, const Moment& at) {
    at_ = at;
    places_[name] = listing.place;
    log::info("channels listed", {{"source", name}});
    if (unlisted_.erase(name) == 0) return keep_places();
    proves_absence_ = proves_absence_ && listing.proves_absence;
    unread_.insert(listing.unread.begin(), listing.unread.end());
    if (!unlisted_.empty()) return;
    std::set<GuestId> unknown = unreadable_guests();
    unknown.merge(std::exchange(unread_, {}));
    const bool host_restarted = std::exchange(host_restarted_, false);
    const auto absence = host_restarted       ? Monitor::Absence::went_down
                         : absence_is_proof() ? Monitor::Absence::removed
                                              : Monitor::Absence::unproven;
    const Judged now = judged(at);
    monitor_.listed(unknown, absence, now.now, now.wall);
    show_missing();
    show_unwatched();
    end_recall();
    if (!missing_.empty()) forget_missing_at_ = now.now + kMissingKept;
    keep_places();
}

void AgentCore::load_places() {
    kept_places_ = output_.load(kPlacesTable);
}

/// Guests are looked for in the places in which they were known.
bool AgentCore::absence_is_proof() const {
    return proves_absence_ && kept_places_ == places_;
}

/// While guests are missing no place is known in which all of them were.
void AgentCore::keep_places() {
    const bool all_there = missing_.empty();
    std::erase_if(kept_places_, [&](const auto& kept) {
        const bool obsolete = !all_there || !places_.contains(kept.first);
        if (obsolete) output_.erase(kPlacesTable, kept.first);
        return obsolete;
    });
    if (!unlisted_.empty() || !all_there) return;
    for (const auto& [source, place] : places_) {
        const auto kept = kept_places_.find(source);
        if (kept != kept_places_.end() && kept->second == place) continue;
        kept_places_[source] = place;
        output_.put(kPlacesTable, source, place);
    }
}

/// Of a fault whose guest is not found nobody here knows how it is.
void AgentCore::show_missing() {
    if (monitor_.missing().size() == missing_.size()) return;  // they only become fewer
    const auto before = std::exchange(missing_, monitor_.missing());
    set_problem(kMissing,
                missing_.empty() ? "" : std::to_string(missing_.size()) + ", such as " + missing_.begin()->str());
    controllers_.missing_changed(before);
    keep_places();
}

/// Those whose faults are over with, or who had none: nobody waits for them.
void AgentCore::forget_missing(const std::set<GuestId>& guests) {
    const Judged now = judged(at_);
    for (const GuestId& guest : guests) {
        if (!missing_.contains(guest) || monitor_.faults().any_open(guest)) continue;
        log::info("a guest that was known is not found, and forgotten", {{"guest", guest}});
        monitor_.gone(guest, heartbeat::StopReason::removed, now.now, now.wall);
    }
    show_missing();
}

void AgentCore::forget_missing_in_time(base::TimePoint now) {
    if (now < forget_missing_at_) return;
    forget_missing(missing_);
    forget_missing_at_ = missing_.empty() ? base::kNever : now + kMissingKept;
}

}  // namespace vitalwire::host
