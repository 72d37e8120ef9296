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
constexpr const char* kRejected = "this agent is rejected";
constexpr const char* kSameName = "several controllers have the same name";
constexpr const char* kNamedFiles = "a file that the configuration names is not in force";
constexpr const char* kRenewCertificate = "the certificate needs renewal";
constexpr const char* kRenewMetricsCertificate = "the certificate of the metrics needs renewal";
constexpr const char* kStoreProblem = "the state cannot be written";
constexpr const char* kUnreachable = "channels cannot be connected";
constexpr const char* kUnreadable = "machines cannot be read";

/// Each registration costs a write to the disk. What a guest sent while this process stood still for up to 30 s comes
/// all at once, with growing pauses in between, and its last one counts.
constexpr double kRegistrationsPerSecond = 1;
constexpr double kRegistrationBurst = 6;

/// A source that needs so long to know of a machine's end is asked; others report it by themselves.
constexpr base::Millis kToBeAsked{1000};

/// More problems than this are counted, not listed, in a message.
constexpr std::size_t kMaxProblems = 100;
/// A list of problems that changes all the time is sent no more often.
constexpr base::Duration kProblemsSpacing = std::chrono::seconds(1);

Monitor::Settings acknowledged_when_saved(Monitor::Settings settings) {
    settings.defaults.ack_when_saved = true;
    return settings;
}

bool carries_heartbeat(ChannelKind kind) {
    return kind != ChannelKind::cgcs_messaging;
}

bool carries_groups(ChannelKind kind) {
    return kind == ChannelKind::native || kind == ChannelKind::cgcs_messaging;
}

}  // namespace

AgentCore::AgentCore(Identity identity, Settings settings, IdGenerator& ids, Output& output)
    : output_(output),
      identity_(std::move(identity)),
      state_(output),
      monitor_(acknowledged_when_saved(settings.heartbeat), ids, *this),
      controllers_(identity_.self, monitor_, identity_.timing, identity_.discovery, *this),
      groups_(settings.groups, *this),
      actions_(settings.actions, ids, *this),
      maintenance_(*this),
      guest_agents_(settings.guest_agents, ids, *this),
      io_watch_(*this) {
    // The instance is another one at each start.
    constexpr std::size_t kRoom = std::size_t{1} << 52U;
    groups_.number_from(1 + std::hash<std::string>{}(identity_.self.instance) % kRoom);
}

void AgentCore::start(const Moment& at) {
    at_ = at;
    clock_.observe(at.steady);
    load_state();
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    want_channels();
    watch_io();
    start_state();
    controllers_.start(state_id_, state_starts_, lives_, at.steady);
}

void AgentCore::configure(const Settings& settings, const Moment& at) {
    at_ = at;
    groups_.configure(settings.groups);
    actions_.configure(settings.actions);
    guest_agents_.configure(settings.guest_agents);
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    const Judged now = judged(at);
    monitor_.configure(acknowledged_when_saved(settings.heartbeat), now.now, now.wall);
}

template <class GuestRef>
void AgentCore::step(const GuestRef& guest, const heartbeat::HostEvent& event, const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    monitor_.step(guest, event, now.now, now.wall);
    show_missing();
    show_unwatched();
}

void AgentCore::channel_found(const GuestId& guest, ChannelKind kind, base::Millis end_known_within, const Moment& at) {
    confirm_channel(guest, at);
    use_channel(guest, kind, end_known_within, at);
}

void AgentCore::use_channel(const GuestId& guest, ChannelKind kind, base::Millis end_known_within, const Moment& at) {
    at_ = at;
    end_known_within_[guest] = end_known_within;
    if (carries_groups(kind)) output_.allow(guest, groups_.limits(guest));
    if (not_attached_.erase(guest) > 0) show_attachments();
    monitor_.found(guest, judged(at).now);
    show_missing();
    show_unwatched();
}

void AgentCore::channel_unreachable(const GuestId& guest, ChannelKind kind, const std::string& path,
                                    const std::string& why) {
    if (monitor_.inhibited(guest) == heartbeat::Inhibit::saving) return;  // nothing of it runs
    const std::string channel(wire::channel_name(kind));
    unreachable_[guest.str() + ' ' + channel] = {guest, channel + " at " + path + ": " + why, at_.wall};
    show_guests_problem(kUnreachable, unreachable_);
}

void AgentCore::channel_barred(const GuestId& guest, ChannelKind kind, bool barred, const Moment& at) {
    if (carries_heartbeat(kind)) step(guest, heartbeat::ChannelBarred{dialect_of(kind), barred}, at);
}

void AgentCore::channel_removed(const GuestId& guest, ChannelKind kind, const Moment& at) {
    channel_reachable(guest, kind);
    forget_channel(guest, kind);
    if (carries_groups(kind)) groups_.channel_down(guest, dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest, false, judged(at).now);
    if (kind == ChannelKind::guest_agent) {
        guest_agents_.lost(guest, GuestAgentRoute::channel, judged(at).now);
        return guest_agent_routes_changed(guest, {}, at);
    }
    step(guest, heartbeat::ChannelRemoved{dialect_of(kind)}, at);
}

void AgentCore::channel_reachable(const GuestId& guest, ChannelKind kind) {
    if (unreachable_.erase(guest.str() + ' ' + std::string(wire::channel_name(kind))) > 0)
        show_guests_problem(kUnreachable, unreachable_);
}

void AgentCore::channel_up(const GuestKey& guest, ChannelKind kind, const Moment& at) {
    channel_reachable(guest.id(), kind);
    if (carries_groups(kind)) groups_.channel_up(guest.id(), dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest.id(), true, judged(at).now);
    // A guest has to register again on a new connection, also when the inits of a stall came together just before.
    registration_limits_.erase(guest.id());
    step(guest, heartbeat::Connected{dialect_of(kind)}, at);
    // A session may go on where it was: what waited for its guest does not wait for the next one.
    actions_.reachable(guest.id(), monitor_.standing(guest.id()), clock_.observe(at.steady));
    if (kind == ChannelKind::guest_agent)
        guest_agents_.found(guest.id(), GuestAgentRoute::channel, true, judged(at).now);
}

void AgentCore::channel_down(const GuestKey& guest, ChannelKind kind, const Moment& at) {
    if (carries_groups(kind)) groups_.channel_down(guest.id(), dialect_of(kind), at.steady);
    if (!carries_heartbeat(kind)) return monitor_.messaging_channel(guest.id(), false, judged(at).now);
    const auto within = end_known_within_.find(guest.id());
    const base::Millis grace = within == end_known_within_.end() ? base::Millis{} : within->second;
    if (kind == ChannelKind::guest_agent) {
        guest_agents_.found(guest.id(), GuestAgentRoute::channel, false, judged(at).now);
        guest_agent_routes_changed(guest.id(), grace, at);
    } else {
        step(guest, heartbeat::Closed{dialect_of(kind), grace}, at);
    }
    actions_.channel_closed(guest.id(), dialect_of(kind), clock_.observe(at.steady));
    if (grace >= kToBeAsked) output_.ask_machine(guest.id());
}

void AgentCore::heartbeat_received(const GuestKey& guest, Dialect dialect, wire::HeartbeatPdu pdu, const Moment& at) {
    if (dialect == Dialect::guest_agent) {
        at_ = at;
        const auto* echo = std::get_if<wire::ChallengeResponse>(&pdu);
        if (echo != nullptr) guest_agents_.answered(guest.id(), echo->value, judged(at).now);
        return;
    }
    if (const auto* init = std::get_if<wire::Init>(&pdu)) {
        auto& limit =
            registration_limits_.try_emplace(guest.id(), kRegistrationsPerSecond, kRegistrationBurst).first->second;
        if (!limit.take(at.steady)) {
            ++counters_.registrations_limited;
            wire::Nack nack;
            nack.code = base::Errc::rate_limited;
            nack.message = "more than one registration a second";
            nack.orig_msg_type = "init";
            nack.invocation_id = init->invocation_id;
            return send(guest, dialect, nack);
        }
    }
    if (const auto* response = std::get_if<wire::ActionResponse>(&pdu)) {
        at_ = at;
        return actions_.answered(guest.id(), dialect, *response, judged(at).now);
    }
    step(guest, heartbeat::Received{dialect, std::move(pdu)}, at);
}

void AgentCore::group_received(const GuestId& guest, Dialect dialect, const wire::GroupPdu& pdu, int base_version,
                               const Moment& at) {
    groups_.received(guest, dialect, pdu, base_version, at.steady);
}

void AgentCore::machine(const GuestId& guest, const heartbeat::HostEvent& event, const Moment& at) {
    // After a restart of the host that is so as a matter of course: `listed` decides.
    if (host_restarted_ && std::holds_alternative<heartbeat::FoundOff>(event)) return;
    note_end_of_run(guest, event, at);
    confirm_recalled(guest);
    const auto before = monitor_.inhibited(guest);
    const auto* found = std::get_if<heartbeat::Found>(&event);
    step(guest, found == nullptr ? event : in_this_boot(*found), at);
    notify_of(guest, before, std::holds_alternative<heartbeat::Released>(event), judged(at).now);
}

base::Result<void> AgentCore::ask_guest(GuestActions::Request request, GuestActions::Done done, const Moment& at) {
    at_ = at;
    const GuestId guest = request.guest;
    const auto event = request.event;
    request.forced = at.steady < maintenance_.forced_until(guest);
    auto logged = [guest, event, forced = request.forced,
                   done = std::move(done)](const GuestActions::Outcome& outcome) {
        log::write(outcome.rejected ? log::Level::warning : log::Level::info,
                   outcome.rejected ? "guest rejected an action" : "guest asked before an action",
                   {{"guest", guest},
                    {"event", model::to_string(event)},
                    {"answer", outcome.answer},
                    {"reason", outcome.reason},
                    {"forced", forced},
                    {"waited_ms", std::chrono::duration_cast<base::Millis>(outcome.waited).count()}});
        done(outcome);
    };
    return actions_.ask(std::move(request), monitor_.standing(guest), std::move(logged), judged(at).now);
}

void AgentCore::machine_gone(const GuestId& guest, heartbeat::StopReason why, const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    monitor_.gone(guest, why, now.now, now.wall);
    show_missing();
    show_unwatched();
    recalled_.erase(guest);
    forget_channels(guest);
    actions_.forget(guest);
    copied_.erase(guest);
    maintenance_.forget(guest);
    fault_logs_.erase(guest);
    end_known_within_.erase(guest);
    registration_limits_.erase(guest);
    guest_agents_.lost(guest, GuestAgentRoute::call, now.now);
    guest_agents_.lost(guest, GuestAgentRoute::channel, now.now);
    io_watch_.restarted(guest);
    machine_unreadable(guest, "");
    if (not_attached_.erase(guest) > 0) show_attachments();
}

std::set<GuestId> AgentCore::unreadable_guests() const {
    std::set<GuestId> guests;
    for (const auto& [key, problem] : unreadable_)
        guests.insert(problem.guest);
    return guests;
}

void AgentCore::machine_unreadable(const GuestId& guest, const std::string& problem) {
    if (problem.empty()) {
        if (unreadable_.erase(guest.str()) == 0) return;
    } else {
        unreadable_[guest.str()] = {guest, problem, at_.wall};
        const Judged now = judged(at_);
        monitor_.unreadable(guest, now.now, now.wall);
    }
    show_guests_problem(kUnreadable, unreadable_);
}

void AgentCore::set_problem(const std::string& what, const std::string& detail) {
    problems_.set(what, detail);
    problems_changed_ = true;
}

/// A problem of guests is one line on the board of this host, and one for each guest in the message.
void AgentCore::report_problems(TimePoint now) {
    if (now < problems_report_at_) return;
    problems_report_at_ = now + kProblemsSpacing;
    problems_changed_ = false;
    bus::AgentProblems report;
    for (const auto& problem : problems_.list()) {
        if (problem.what == kUnreachable || problem.what == kUnreadable) continue;
        if (problem.what == kUnwatched) {
            monitor_.for_each_unwatched([&](const model::GuestReport& guest) {
                report.problems.push_back({problem.what, "", problem.since, guest.guest});
            });
            continue;
        }
        report.problems.push_back({problem.what, problem.detail, problem.since, {}});
    }
    for (const auto& [what, guests] : {std::pair(kUnreachable, &unreachable_), std::pair(kUnreadable, &unreadable_)}) {
        for (const auto& [key, problem] : *guests)
            report.problems.push_back({what, problem.detail, problem.since, problem.guest});
    }
    if (const std::size_t count = report.problems.size(); count > kMaxProblems) {
        report.problems.resize(kMaxProblems - 1);
        report.problems.push_back({"and " + std::to_string(count - kMaxProblems + 1) + " more", "", at_.wall, {}});
    }
    controllers_.problems_changed(std::move(report));
}

void AgentCore::source_problem(const std::string& name, const std::string& problem) {
    if (problem.empty()) {
        blind_.erase(name);
    } else {
        blind_.insert(name);
        ++counters_.source_problems;
    }
    set_problem("source " + name + " cannot see", problem);
    if (!problem.empty() && unlisted_.contains(name)) recall_channels();
    show_unwatched();
}

void AgentCore::remove_link(LinkId link, const Moment& at) {
    at_ = at;
    controllers_.remove(link, at);
    controller_clocks_.lost(link);
    show_controllers();
}

void AgentCore::link_up(LinkId link, const Moment& at) {
    at_ = at;
    controllers_.link_up(link, at);
}

void AgentCore::link_down(LinkId link, const std::string& why, const Moment& at) {
    at_ = at;
    controllers_.link_down(link, why, at);
    controller_clocks_.lost(link);
    show_controllers();
}

void AgentCore::controller_sent(LinkId link, const bus::ToAgent& message, const Moment& at) {
    at_ = at;
    sender_time_ = controller_clocks_.time(link, at);
    controllers_.received(link, message, at);
    if (std::holds_alternative<bus::Rejected>(message)) show_controllers();
    const auto* welcome = std::get_if<bus::Welcome>(&message);
    if (welcome == nullptr) return;
    show_controllers();
    controller_clocks_.said(link, welcome->controller, welcome->time, at);
    show_clocks(at);
}

void AgentCore::link_alive(LinkId link, TimePoint steady) {
    controllers_.link_alive(link, steady);
}

void AgentCore::probe(TimePoint now) {
    clock_.observe(now);
    controllers_.check_silence(now);
}

void AgentCore::certificate_problem(const std::string& problem) {
    problems_.set(kRenewCertificate, problem);
}

void AgentCore::metrics_certificate_problem(const std::string& problem) {
    problems_.set(kRenewMetricsCertificate, problem);
}

void AgentCore::named_files_problem(const std::string& problem) {
    problems_.set(kNamedFiles, problem);
}

void AgentCore::store_problem(const std::string& problem) {
    if (problem == store_problem_) return;
    store_problem_ = problem;
    set_problem(kStoreProblem, problem);
}

/// A registration is acknowledged when it would survive this host, or when the disk cannot be waited for.
void AgentCore::durable(const Moment& at) {
    const auto saved = std::exchange(awaited_, std::exchange(unsaved_, {}));
    if (!awaited_.empty()) output_.await_durable();
    for (const Saved& registration : saved) {
        if (monitor_.report(registration.guest)) step(registration.guest, heartbeat::Saved{registration.session}, at);
    }
}

void AgentCore::tick(const Moment& at) {
    at_ = at;
    const Judged now = judged(at);
    if (!store_problem_.empty() && !awaited_.empty()) durable(at);
    for (const Delivered& delivered : std::exchange(delivered_here_, {}))
        monitor_.delivered(delivered.fault, delivered.revision);
    monitor_.tick(now.now, now.wall);
    actions_.tick(now.now);
    guest_agents_.tick(now.now);
    io_watch_.tick(now.now);
    controllers_.tick(at.steady);
    groups_.tick(at.steady);
    if (!unnamed_.empty()) drop_policies_of_unnamed();
    forget_missing_in_time(now.now);
    end_restarted(at.steady);
    end_state_lost(at.steady);
    if (at.steady >= show_clocks_at_) show_clocks(at);
    if (problems_changed_) report_problems(at.steady);
}

TimePoint AgentCore::next_due() const {
    const bool disk_is_away = !store_problem_.empty() && !awaited_.empty();
    if (!delivered_here_.empty() || disk_is_away) return TimePoint::min();
    const TimePoint problems =
        std::min({restarted_until_, state_lost_until_, problems_changed_ ? problems_report_at_ : base::kNever});
    return std::min({problems, show_clocks_at_, clock_.to_steady(forget_missing_at_),
                     clock_.to_steady(std::min(monitor_.next_deadline(), actions_.next_due())),
                     clock_.to_steady(std::min(guest_agents_.next_due(), io_watch_.next_due())),
                     controllers_.next_due(), groups_.next_due()});
}

void AgentCore::allow(const model::GuestPolicy& policy) {
    groups_.set_policy(policy);
    output_.allow(policy.guest, groups_.limits(policy.guest));
}

void AgentCore::handed_back(const bus::HandBack& handed) {
    if (handed.state_lost) note_state_lost(handed);
    const Judged now = judged(at_);
    const auto uptime = std::chrono::duration_cast<base::WallTime::duration>(at_.steady.time_since_epoch());
    monitor_.adopt(handed, {identity_.self.boot, at_.wall - uptime}, now.now, now.wall);
    if (unlisted_.empty()) monitor_.handed_back_listed(unreadable_guests(), now.now, now.wall);
    std::set<GuestId> ended;
    for (const model::Fault& fault : handed.faults) {
        if (!fault.open()) ended.insert(fault.guest);
    }
    forget_missing(ended);
    for (const model::Fault& fault : handed.faults) {
        if (!end_known_within_.contains(fault.guest)) output_.ask_machine(fault.guest);
    }
}

void AgentCore::faults_delivered(const bus::FaultsDelivered& delivered) {
    for (const bus::FaultsDelivered::Item& item : delivered.items) {
        if (const model::Fault* fault = monitor_.faults().find(item.fault))
            output_.fault_delivered(*fault, item.revision);
        monitor_.delivered(item.fault, item.revision, item.to);
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

void AgentCore::show_controllers() {
    set_problem(kSameName, controllers_.same_names());
    set_problem(kRejected, controllers_.rejections());
}

void AgentCore::reachable_changed(bool any) {
    const std::string problem = output_.discovery_problem();
    const std::string why = "faults are kept until one is" + (problem.empty() ? "" : "; " + problem);
    set_problem(kNoController, any ? "" : why);
}

void AgentCore::send(const GuestKey& guest, Dialect dialect, const wire::HeartbeatPdu& pdu) {
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) ++counters_.nacks[nack->code];
    const auto* ack = std::get_if<wire::InitAck>(&pdu);
    if (ack == nullptr) return output_.send(guest, dialect, pdu);
    wire::InitAck told = *ack;
    told.facts = groups_.facts_about(guest.id(), identity_.self.version);
    output_.send(guest, dialect, told);
    actions_.reachable(guest.id(), monitor_.standing(guest.id()), clock_.observe(at_.steady));
    maintenance_.registered(guest.id());
}

/// The controllers come first: neither the disk nor the log delays them.
void AgentCore::fault_changed(const model::Fault& fault) {
    count_change();
    controllers_.fault_changed(fault);
    if (fault.revision == 1) ++counters_.faults_opened.at(static_cast<std::size_t>(fault.kind));
    state_.keep(fault);
    log_fault(fault);
    output_.fault_changed(fault);
    hurry_io(fault);
    // A guest that hangs does not keep the cloud from acting on it for longer than that takes to be found.
    if (fault.kind == model::FaultKind::heartbeat_lost && fault.open())
        actions_.give_up(fault.guest, "heartbeat_lost", clock_.observe(at_.steady));
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

void AgentCore::guest_warned(const GuestId& guest, const std::string& name, const std::string& warning) {
    if (warning.empty()) return log::info("guest warns no longer", {{"guest", guest}, {"name", name}});
    log::warning("guest warns", {{"guest", guest}, {"name", name}, {"warning", warning}});
}

void AgentCore::fault_forgotten(const base::FaultId& fault, bool dropped) {
    if (dropped) ++counters_.faults_dropped;
    state_.forget(fault);
}

void AgentCore::save(const GuestId& guest, const heartbeat::SaveRegistration& saved) {
    count_change();
    if (saved.registration) {
        ++counters_.registrations;
        log::debug("guest registered", {{"guest", guest},
                                        {"name", saved.registration->name},
                                        {"interval_ms", saved.registration->interval.count()}});
    }
    state_.keep(guest, saved);
    actions_.session_changed(guest, saved.registration ? &*saved.registration : nullptr, clock_.observe(at_.steady));
    if (!saved.registration) return;
    (awaited_.empty() ? awaited_ : unsaved_).push_back({guest, saved.registration->session});
    if (awaited_.size() == 1 && unsaved_.empty()) output_.await_durable();
}

}  // namespace vitalwire::host
