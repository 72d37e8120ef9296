#include "host/core/agent_core.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::Moment;
using base::TimePoint;
using wire::ChannelKind;
using wire::Dialect;

namespace {

/// A guest whose faults come and go must not fill the journal.
constexpr double kFaultLogsPerSecond = 1.0 / 6;
constexpr double kFaultLogBurst = 20;

constexpr const char* kNoController = "no controller is connected";
constexpr const char* kNoPort = "guests lack a channel, and their machines a virtio-serial controller for it";
constexpr const char* kNotAttached = "guests lack a channel that cannot be attached";
constexpr const char* kRenewCertificate = "the certificate needs renewal";
constexpr const char* kStoreProblem = "the state cannot be written";

std::string count_of(std::size_t guests) {
    return std::to_string(guests) + (guests == 1 ? " guest, " : " guests, such as ");
}

Dialect dialect_of(ChannelKind kind) {
    return kind == ChannelKind::native ? Dialect::native : Dialect::existing;
}

bool carries_heartbeat(ChannelKind kind) {
    return kind != ChannelKind::existing_messaging;
}

bool carries_groups(ChannelKind kind) {
    return kind != ChannelKind::existing_heartbeat;
}

}  // namespace

AgentCore::AgentCore(Identity identity, Settings settings, IdGenerator& ids, Output& output)
    : output_(output),
      state_(output),
      monitor_(settings.heartbeat, ids, *this),
      controllers_(std::move(identity.self), monitor_, identity.report_interval, identity.discovery, *this),
      groups_(settings.groups, *this) {}

void AgentCore::start(const Moment& at) {
    at_ = at;
    clock_.observe(at.steady);
    counters_.rows_unreadable = state_.load_into(monitor_);
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    want_channels();
    controllers_.start(at.steady);
}

void AgentCore::configure(const Settings& settings, const Moment& at) {
    at_ = at;
    groups_.configure(settings.groups);
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    const Judged now = judged(at);
    monitor_.configure(settings.heartbeat, now.now, now.wall);
}

template <class GuestRef>
void AgentCore::step(const GuestRef& guest, const heartbeat::HostEvent& event, const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    monitor_.step(guest, event, now.now, now.wall);
}

void AgentCore::channel_found(const GuestId& guest, ChannelKind kind, const Moment& at) {
    at_ = at;
    if (carries_groups(kind)) output_.allow(guest, groups_.limits(guest));
    if (not_attached_.erase(guest) > 0) show_attachments();
    monitor_.found(guest, judged(at).now);
}

void AgentCore::channel_removed(const GuestId& guest, ChannelKind kind, const Moment& at) {
    if (carries_groups(kind)) groups_.channel_down(guest, dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest, false, judged(at).now);
    step(guest, heartbeat::ChannelRemoved{dialect_of(kind)}, at);
}

void AgentCore::channel_up(const GuestKey& guest, ChannelKind kind, const Moment& at) {
    if (carries_groups(kind)) groups_.channel_up(guest.id(), dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest.id(), true, judged(at).now);
    step(guest, heartbeat::Connected{dialect_of(kind)}, at);
}

void AgentCore::channel_down(const GuestKey& guest, ChannelKind kind, const Moment& at) {
    if (carries_groups(kind)) groups_.channel_down(guest.id(), dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest.id(), false, judged(at).now);
    step(guest, heartbeat::Closed{dialect_of(kind)}, at);
}

void AgentCore::heartbeat_received(const GuestKey& guest, Dialect dialect, wire::HeartbeatPdu pdu, const Moment& at) {
    step(guest, heartbeat::Received{dialect, std::move(pdu)}, at);
}

void AgentCore::group_received(const GuestId& guest, Dialect dialect, const wire::GroupPdu& pdu, int base_version,
                               const Moment& at) {
    groups_.received(guest, dialect, pdu, base_version, at.steady);
}

void AgentCore::machine(const GuestId& guest, const heartbeat::HostEvent& event, const Moment& at) {
    step(guest, event, at);
}

void AgentCore::machine_gone(const GuestId& guest, heartbeat::StopReason why, const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    monitor_.gone(guest, why, now.now, now.wall);
    fault_logs_.erase(guest);
    if (not_attached_.erase(guest) > 0) show_attachments();
}

void AgentCore::source_listed(const std::string& name, const Moment& at) {
    at_ = at;
    unlisted_.erase(name);
    log::info("channels listed", {{"source", name}});
    if (!unlisted_.empty()) return;
    const Judged now = judged(at);
    monitor_.listed(now.now, now.wall);
}

void AgentCore::source_problem(const std::string& name, const std::string& problem) {
    if (problem.empty()) {
        blind_.erase(name);
    } else {
        blind_.insert(name);
        ++counters_.source_problems;
    }
    problems_.set("source " + name + " cannot see", problem);
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
    problems_.set(kNotAttached, not_attached_.empty()
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
    problems_.set(kNoPort, guests.empty() ? "" : count_of(guests.size()) + guests.begin()->str());
}

void AgentCore::link_up(LinkId link, const Moment& at) {
    at_ = at;
    controllers_.link_up(link, at);
}

void AgentCore::link_down(LinkId link, const std::string& why, const Moment& at) {
    at_ = at;
    controllers_.link_down(link, why, at);
}

void AgentCore::controller_sent(LinkId link, const bus::ToAgent& message, const Moment& at) {
    at_ = at;
    controllers_.received(link, message);
}

void AgentCore::certificate_problem(const std::string& problem) {
    problems_.set(kRenewCertificate, problem);
}

void AgentCore::store_problem(const std::string& problem) {
    problems_.set(kStoreProblem, problem);
}

void AgentCore::tick(const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    for (const Delivered& delivered : std::exchange(delivered_here_, {}))
        monitor_.delivered(delivered.fault, delivered.revision);
    monitor_.tick(now.now, now.wall);
    controllers_.tick(at.steady);
    groups_.tick(at.steady);
}

TimePoint AgentCore::next_due() const {
    if (!delivered_here_.empty()) return TimePoint::min();
    return std::min({clock_.to_steady(monitor_.next_deadline()), controllers_.next_due(), groups_.next_due()});
}

void AgentCore::allow(const model::GuestPolicy& policy) {
    groups_.set_policy(policy);
    output_.allow(policy.guest, groups_.limits(policy.guest));
}

void AgentCore::want_channels() {
    WantedChannels wanted;
    for (const auto& [guest, policy] : monitor_.policies()) {
        for (const std::string& name : policy.channels) {
            if (const auto kind = wire::channel_kind(name)) wanted[guest].insert(*kind);
        }
    }
    std::erase_if(not_attached_, [&](const auto& entry) { return !wanted.contains(entry.first); });
    show_attachments();
    output_.want(wanted);
}

void AgentCore::policies_changed(const bus::Policies& policies) {
    state_.keep(policies, monitor_);
    std::vector<GuestId> known;
    for (const auto& [guest, policy] : monitor_.policies())
        known.push_back(guest);
    const Judged now = judged(at_);
    monitor_.set_policies(policies, now.now, now.wall);
    for (const GuestId& guest : known) {
        if (!monitor_.policies().contains(guest)) groups_.forget(guest);
    }
    for (const model::GuestPolicy& policy : policies.policies)
        allow(policy);
    want_channels();
}

void AgentCore::faults_delivered(const bus::FaultsDelivered& delivered) {
    for (const bus::FaultsDelivered::Item& item : delivered.items) {
        if (const model::Fault* fault = monitor_.faults().find(item.fault))
            output_.fault_delivered(*fault, item.revision);
        monitor_.delivered(item.fault, item.revision);
    }
}

void AgentCore::group_message(const bus::ToAgent& message) {
    std::visit(
        [this](const auto& content) {
            if constexpr (requires { groups_.on(content); }) groups_.on(content);
            if constexpr (requires { groups_.on(content, at_.steady); }) groups_.on(content, at_.steady);
        },
        message);
}

void AgentCore::reachable_changed(bool any_up) {
    const std::string problem = output_.discovery_problem();
    const std::string why = "faults are kept until one is" + (problem.empty() ? "" : "; " + problem);
    problems_.set(kNoController, any_up ? "" : why);
}

void AgentCore::send(const GuestKey& guest, Dialect dialect, const wire::HeartbeatPdu& pdu) {
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) ++counters_.nacks[nack->code];
    output_.send(guest, dialect, pdu);
}

/// The controllers come first: neither the disk nor the log delays them.
void AgentCore::fault_changed(const model::Fault& fault) {
    controllers_.fault_changed(fault);
    if (fault.revision == 1) ++counters_.faults_opened.at(static_cast<std::size_t>(fault.kind));
    state_.keep(fault);
    log_fault(fault);
    output_.fault_changed(fault);
    if (!controllers_.any()) delivered_here_.push_back({fault.id, fault.revision});
}

void AgentCore::log_fault(const model::Fault& fault) {
    auto& bucket = fault_logs_.try_emplace(fault.guest, kFaultLogsPerSecond, kFaultLogBurst).first->second;
    if (!bucket.take(at_.steady)) return;
    const auto level = fault.open() ? log::Level::warning : log::Level::info;
    const char* what = !fault.open() ? "fault cleared" : fault.revision == 1 ? "fault opened" : "fault updated";
    log::write(level, what,
               {{"guest", fault.guest},
                {"name", fault.guest_name},
                {"kind", model::to_string(fault.kind)},
                {"detail", fault.detail},
                {"reason", fault.open() ? fault.reason : fault.clear_reason},
                {"fault", fault.id}});
}

void AgentCore::fault_forgotten(const base::FaultId& fault, bool dropped) {
    if (dropped) ++counters_.faults_dropped;
    state_.forget(fault);
}

void AgentCore::save(const GuestId& guest, const heartbeat::SaveRegistration& saved) {
    if (saved.registration) {
        ++counters_.registrations;
        log::debug("guest registered", {{"guest", guest},
                                        {"name", saved.registration->name},
                                        {"interval_ms", saved.registration->interval.count()}});
    }
    state_.keep(guest, saved);
}

}  // namespace vitalwire::host
