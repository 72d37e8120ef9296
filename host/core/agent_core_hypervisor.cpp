// AgentCore, as far as what the hypervisor is asked, and asked for, is concerned.
#include "host/core/agent_core.hpp"

#include "base/log.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::Moment;
using wire::ChannelKind;
using wire::Dialect;

void AgentCore::guest_agent_port(const GuestId& guest, std::optional<bool> open, const Moment& at) {
    if (!open) {
        guest_agents_.lost(guest, GuestAgentRoute::call);
        return step(guest, heartbeat::ChannelRemoved{Dialect::guest_agent}, at);
    }
    if (*open) {
        step(guest, heartbeat::Connected{Dialect::guest_agent}, at);
    } else {
        step(guest, heartbeat::Closed{Dialect::guest_agent}, at);
    }
    guest_agents_.found(guest, GuestAgentRoute::call, *open, judged(at).now);
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

void AgentCore::source_listed(const std::string& name, bool made, const Moment& at, const std::set<GuestId>& unread) {
    at_ = at;
    unlisted_.erase(name);
    log::info("channels listed", {{"source", name}});
    if (made) made_ = name;
    unread_.insert(unread.begin(), unread.end());
    if (!unlisted_.empty()) return;
    std::set<GuestId> unknown = unreadable_guests();
    unknown.merge(std::exchange(unread_, {}));
    // After a restart of the host the place is empty as a matter of course, and the guests are known to be down.
    if (!made_.empty() && !host_restarted_) unknown.merge(monitor_.restored());
    const Judged now = judged(at);
    monitor_.listed(unknown, std::exchange(host_restarted_, false), now.now, now.wall);
    show_missing();
}

void AgentCore::show_missing() {
    if (made_.empty()) return;
    const std::size_t missing = monitor_.restored().size();
    set_problem("source " + made_ + " cannot see",
                missing == 0 ? ""
                             : "its directory was missing; guests that were known and are not found: " +
                                   std::to_string(missing));
    if (missing == 0) made_.clear();
}

}  // namespace vitalwire::host
