#include "host/agent.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.hpp"
#include "host/http/agent_api.hpp"
#include "runtime/notify.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using model::Fault;
using wire::ChannelKind;
using wire::Dialect;

namespace {

/// Deadlines within this of each other are handled in one wake-up.
constexpr base::Duration kTickSpacing = std::chrono::milliseconds(1);
/// libvirt may be away when the agent starts; the service manager must not wait for it for ever.
constexpr base::Duration kListingPatience = std::chrono::seconds(20);
/// A guest whose faults come and go must not fill the journal.
constexpr double kFaultLogsPerSecond = 1.0 / 6;
constexpr double kFaultLogBurst = 20;

constexpr base::Duration kStatusEvery = std::chrono::seconds(5);

constexpr const char* kNoController = "no controller is connected";
constexpr const char* kNoPort = "guests lack a channel, and their machines a virtio-serial controller for it";
constexpr const char* kNotAttached = "guests lack a channel that cannot be attached";
constexpr const char* kRenewCertificate = "the certificate needs renewal";
constexpr const char* kStoreProblem = "the state cannot be written";

std::string count_of(std::size_t guests) {
    return std::to_string(guests) + (guests == 1 ? " guest, " : " guests, such as ");
}

std::string source_problem(const ChannelSource& source) {
    return "source " + source.name() + " cannot see";
}

ChannelKind heartbeat_kind(Dialect dialect) {
    return dialect == Dialect::existing ? ChannelKind::existing_heartbeat : ChannelKind::native;
}

ChannelKind group_kind(Dialect dialect) {
    return dialect == Dialect::existing ? ChannelKind::existing_messaging : ChannelKind::native;
}

bool beats(const Channel& channel) {
    return channel.kind() != ChannelKind::existing_messaging;
}

}  // namespace

Agent::Agent(boost::asio::io_context& io, AgentConfig config, std::string version, Parts parts)
    : io_(io),
      config_(std::move(config)),
      version_(std::move(version)),
      started_at_(std::chrono::system_clock::now()),
      store_(std::move(parts.store)),
      state_(*store_),
      monitor_(config_.heartbeat, ids_, *this),
      certificates_(io, config_.tls, [this](const std::string& why) { problems_.set(kRenewCertificate, why); }),
      controllers_(std::make_unique<Controllers>(
          io, Controllers::Identity{config_.host, version_, ids_.uuid()}, monitor_, config_.report_interval,
          Controllers::Callbacks{
              [this](const bus::Policies& policies) { on_policies(policies); },
              [this](const bus::FaultsDelivered& delivered) { on_delivered(delivered); },
              [this](bool any) { groups_.lead_changed(any); },
              [this](const bus::ToAgent& message) { on_group_message(message); },
              [this](bool any_up) { problems_.set(kNoController, any_up ? "" : why_unreachable()); }})),
      groups_(io, config_.messaging,
              {[this](const bus::ToController& message) { return controllers_->send_to_lead(message); },
               [this](const GuestId& guest) { return group_channel(guest); },
               [this](const GuestId& guest, Dialect dialect) { return channel(guest, group_kind(dialect)); }}),
      metrics_(gauges()),
      sources_(std::move(parts.sources)),
      deadline_(io),
      probe_(io),
      listing_(io),
      status_(io),
      http_(std::make_unique<runtime::HttpServer>(io, make_router(*this))) {
    for (auto& link : parts.links)
        controllers_->add(std::move(link));
    if (parts.finder) controllers_->find_by(std::move(parts.finder));
}

Agent::~Agent() = default;

base::Result<void> Agent::start(std::function<void()> on_ready) {
    on_ready_ = std::move(on_ready);
    if (auto listening = http_->listen(config_.listen); !listening) return listening;
    if (!store_->set_aside().empty())
        log::error("the state could not be read and was set aside, beginning anew", {{"path", store_->set_aside()}});
    metrics_.rows_unreadable(state_.load_into(monitor_));
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    want_channels();
    probe();
    controllers_->start();
    for (const auto& source : sources_)
        unlisted_.insert(source.get());
    await_listing();
    for (const auto& source : sources_)
        source->start(*this);
    return {};
}

void Agent::stop() {
    deadline_.cancel();
    probe_.cancel();
    listing_.cancel();
    status_.cancel();
    for (const auto& source : sources_)
        source->stop();
    guests_.clear();
    controllers_->stop();
    http_->stop();
    store_->close();
}

void Agent::reload(const AgentConfig& config) {
    config_.heartbeat = config.heartbeat;
    config_.limits = config.limits;
    config_.messaging = config.messaging;
    groups_.configure(config_.messaging);
    for (const auto& [guest, policy] : monitor_.policies())
        allow(policy);
    const Now at = now();
    monitor_.configure(config_.heartbeat, at.judged, at.wall);
    arm();
}

std::string Agent::metrics_text() {
    metrics_.update(monitor_.counters(), clock_.stalls(), controllers_->messages_sent(), controllers_->links_lost(),
                    controllers_->messages_dropped());
    metrics_.update(groups_.rate_limiter_counters(), groups_.counters());
    return metrics_.text();
}

Agent::Now Agent::now() {
    return {clock_.observe(base::Clock::now()), std::chrono::system_clock::now()};
}

/// Wakes up often enough that a stall of this process is seen before anybody is judged by it.
void Agent::probe() {
    now();
    problems_.set(kStoreProblem, store_->healthy() ? "" : store_->problem());
    // On the grid of the beats, so that one wake-up serves both.
    const base::Duration since = base::Clock::now().time_since_epoch();
    probe_.expires_at(TimePoint(since - since % heartbeat::StallClock::kProbe + heartbeat::StallClock::kProbe));
    probe_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) probe();
    });
}

void Agent::tell_service_manager() {
    const Monitor::Totals totals = monitor_.totals();
    runtime::notify_status(std::to_string(totals.total) + " guests, " +
                           std::to_string(totals.critical + totals.major + totals.warning) + " faults");
    status_.expires_after(kStatusEvery);
    status_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) tell_service_manager();
    });
}

template <class GuestRef>
void Agent::step(const GuestRef& guest, const heartbeat::HostEvent& event) {
    const Now at = now();
    monitor_.step(guest, event, at.judged, at.wall);
    arm();
}

void Agent::arm() {
    const TimePoint due = std::max(clock_.to_steady(monitor_.next_deadline()), last_tick_ + kTickSpacing);
    if (due >= armed_for_) return;
    armed_for_ = due;
    deadline_.expires_at(due);
    deadline_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) tick();
    });
}

void Agent::tick() {
    const Now at = now();
    armed_for_ = base::kNever;
    monitor_.tick(at.judged, at.wall);
    last_tick_ = base::Clock::now();
    arm();
}

void Agent::await_listing() {
    listing_.expires_after(kListingPatience);
    listing_.async_wait([this](const boost::system::error_code& ec) {
        if (ec || announced_) return;
        log::warning("not every source of channels could be listed yet, going on without");
        become_ready();
    });
}

void Agent::become_ready() {
    if (std::exchange(announced_, true)) return;
    listing_.cancel();
    on_ready_();
    tell_service_manager();
}

template <class GuestRef>
Channel* Agent::channel(const GuestRef& guest, ChannelKind kind) {
    Guest* known = guests_.find(guest);
    return known == nullptr ? nullptr : known->channels.at(static_cast<std::size_t>(kind)).get();
}

void Agent::log_fault(const Fault& fault) {
    Guest* guest = guests_.find(fault.guest);
    if (guest != nullptr && !guest->fault_log.take(base::Clock::now())) return;
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

void Agent::on_policies(const bus::Policies& policies) {
    const Now at = now();
    state_.keep(policies, monitor_);
    std::vector<GuestId> known;
    for (const auto& [guest, policy] : monitor_.policies())
        known.push_back(guest);
    monitor_.set_policies(policies, at.judged, at.wall);
    for (const GuestId& guest : known) {
        if (!monitor_.policies().contains(guest)) groups_.forget(guest);
    }
    for (const model::GuestPolicy& policy : policies.policies)
        allow(policy);
    want_channels();
    arm();
}

void Agent::want_channels() {
    WantedChannels wanted;
    for (const auto& [guest, policy] : monitor_.policies()) {
        for (const std::string& name : policy.channels) {
            if (const auto kind = wire::channel_kind(name)) wanted[guest].insert(*kind);
        }
    }
    std::erase_if(not_attached_, [&](const auto& entry) { return !wanted.contains(entry.first); });
    show_attachments();
    for (const auto& source : sources_)
        source->want(wanted);
}

void Agent::allow(const model::GuestPolicy& policy) {
    groups_.set_policy(policy);
    for (const Dialect dialect : {Dialect::native, Dialect::existing}) {
        if (Channel* way = channel(policy.guest, group_kind(dialect))) way->allow(groups_.limits(policy.guest));
    }
}

std::string Agent::why_unreachable() const {
    const std::string problem = controllers_->problem();
    return "faults are kept until one is" + (problem.empty() ? "" : "; " + problem);
}

void Agent::on_delivered(const bus::FaultsDelivered& delivered) {
    for (const bus::FaultsDelivered::Item& item : delivered.items)
        monitor_.delivered(item.fault, item.revision);
}

void Agent::on_group_message(const bus::ToAgent& message) {
    std::visit(
        [this](const auto& content) {
            if constexpr (requires { groups_.on(content); }) groups_.on(content);
        },
        message);
}

/// A guest may have both channels; it takes part on the native one when it speaks there, or has no other.
Channel* Agent::group_channel(const GuestId& guest) {
    Channel* native = channel(guest, ChannelKind::native);
    Channel* existing = channel(guest, ChannelKind::existing_messaging);
    const bool native_up = native != nullptr && native->up();
    const bool existing_up = existing != nullptr && existing->up();
    if (native_up && (native->heard() || !existing_up)) return native;
    return existing_up ? existing : nullptr;
}

AgentMetrics::Gauges Agent::gauges() const {
    AgentMetrics::Gauges gauges;
    gauges.totals = [this] { return monitor_.totals(); };
    gauges.channels_up = [this] { return static_cast<double>(channels_up_); };
    gauges.sources_blind = [this] { return static_cast<double>(blind_.size()); };
    gauges.stalled_seconds = [this] { return std::chrono::duration<double>(clock_.stalled()).count(); };
    gauges.store_pending = [this] { return static_cast<double>(store_->pending()); };
    gauges.store_healthy = [this] { return store_->healthy() ? 1.0 : 0.0; };
    gauges.certificate_seconds_left = [this] { return certificates_.seconds_left(); };
    gauges.controllers_up = [this] {
        const auto links = controllers_->status();
        return static_cast<double>(std::count_if(links.begin(), links.end(), [](const auto& link) { return link.up; }));
    };
    gauges.faults_unconfirmed = [this] {
        double unconfirmed = 0;
        monitor_.faults().for_each(
            [&](const Fault& fault) { unconfirmed += fault.delivered < fault.revision ? 1 : 0; });
        return unconfirmed;
    };
    return gauges;
}

void Agent::send(const GuestKey& guest, Dialect dialect, const wire::HeartbeatPdu& pdu) {
    if (const auto* nack = std::get_if<wire::Nack>(&pdu)) metrics_.nack_sent(nack->code);
    if (Channel* way = channel(guest, heartbeat_kind(dialect))) way->send(pdu);
}

void Agent::final_drain(const GuestKey& guest, Dialect dialect) {
    if (Channel* way = channel(guest, heartbeat_kind(dialect))) way->read_now();
}

void Agent::fault_changed(const Fault& fault) {
    if (fault.revision == 1) metrics_.fault_opened(fault.kind);
    state_.keep(fault);
    controllers_->fault_changed(fault);
    log_fault(fault);
    if (controllers_->any()) return;
    // Nobody but the log and this host's operator is to be told: done.
    boost::asio::post(io_, [this, id = fault.id, revision = fault.revision] { monitor_.delivered(id, revision); });
}

void Agent::fault_delivered(const Fault& fault) {
    state_.keep(fault);
}

void Agent::fault_forgotten(const base::FaultId& fault, bool dropped) {
    if (dropped) metrics_.fault_dropped();
    state_.forget(fault);
}

void Agent::guest_changed(const GuestId& guest) {
    controllers_->guest_changed(guest);
}

void Agent::guest_gone(const GuestId& guest) {
    controllers_->guest_gone(guest);
}

void Agent::save(const GuestId& guest, const heartbeat::SaveRegistration& saved) {
    if (saved.registration) {
        metrics_.registered();
        log::debug("guest registered", {{"guest", guest},
                                        {"name", saved.registration->name},
                                        {"interval_ms", saved.registration->interval.count()}});
    }
    state_.keep(guest, saved);
}

void Agent::on_connected(Channel& channel) {
    ++channels_up_;
    metrics_.channel_connected();
    log::debug("channel connected", {{"guest", channel.guest()}, {"channel", wire::channel_name(channel.kind())}});
    if (!beats(channel)) return monitor_.messaging_channel(channel.guest(), true, now().judged);
    step(channel.guest_key(), heartbeat::Connected{channel.dialect()});
}

void Agent::on_closed(Channel& channel, const std::string& why) {
    --channels_up_;
    metrics_.channel_closed();
    log::debug("channel closed",
               {{"guest", channel.guest()}, {"channel", wire::channel_name(channel.kind())}, {"why", why}});
    if (!beats(channel)) return monitor_.messaging_channel(channel.guest(), false, now().judged);
    step(channel.guest_key(), heartbeat::Closed{channel.dialect()});
}

void Agent::on_heartbeat(Channel& channel, wire::HeartbeatPdu pdu) {
    step(channel.guest_key(), heartbeat::Received{channel.dialect(), std::move(pdu)});
}

void Agent::on_garbled_response(Channel& channel) {
    step(channel.guest(), heartbeat::GarbledResponse{});
}

void Agent::on_group(Channel& channel, const wire::GroupPdu& pdu, int base_version) {
    groups_.received(channel, pdu, base_version);
}

void Agent::on_dropped(Channel& channel, Drop reason, std::uint64_t count) {
    metrics_.dropped(reason, count);
    monitor_.count_refused(channel.guest(), count);
}

void Agent::on_channel(const GuestId& guest, ChannelKind kind, const std::string& path) {
    Guest& entry = guests_.emplace(guest, Guest{{}, base::TokenBucket(kFaultLogsPerSecond, kFaultLogBurst)});
    auto& slot = entry.channels.at(static_cast<std::size_t>(kind));
    if (slot && slot->path() == path) return slot->retry_now();
    if (slot) on_channel_gone(guest, kind);
    Channel::Handler& events = *this;
    slot = std::make_unique<Channel>(io_, guest, kind, path, config_.limits, events);
    slot->allow(groups_.limits(guest));
    slot->start();
    if (not_attached_.erase(guest) > 0) show_attachments();
    monitor_.found(guest, now().judged);
    arm();
}

void Agent::on_channel_gone(const GuestId& guest, ChannelKind kind) {
    Guest* known = guests_.find(guest);
    if (known == nullptr) return;
    const auto gone = std::move(known->channels.at(static_cast<std::size_t>(kind)));
    if (!gone) return;
    if (gone->up()) --channels_up_;
    if (!beats(*gone)) return monitor_.messaging_channel(guest, false, now().judged);
    step(guest, heartbeat::ChannelRemoved{gone->dialect()});
}

void Agent::on_machine(const GuestId& guest, const heartbeat::HostEvent& event) {
    step(guest, event);
}

void Agent::on_gone(const GuestId& guest, heartbeat::StopReason why) {
    for (const ChannelKind kind :
         {ChannelKind::native, ChannelKind::existing_heartbeat, ChannelKind::existing_messaging})
        on_channel_gone(guest, kind);
    const Now at = now();
    monitor_.gone(guest, why, at.judged, at.wall);
    guests_.erase(guest);
    if (not_attached_.erase(guest) > 0) show_attachments();
    arm();
}

void Agent::on_listed(ChannelSource& source) {
    unlisted_.erase(&source);
    log::info("channels listed", {{"source", source.name()}});
    if (!unlisted_.empty()) return;
    const Now at = now();
    monitor_.listed(at.judged, at.wall);
    arm();
    become_ready();
}

void Agent::on_source_problem(ChannelSource& source, const std::string& problem) {
    if (problem.empty()) {
        blind_.erase(&source);
    } else {
        blind_.insert(&source);
        metrics_.source_problem();
    }
    problems_.set(source_problem(source), problem);
}

void Agent::on_attached(const GuestId& guest, ChannelKind kind, const std::string& failure) {
    metrics_.channel_attached(failure.empty());
    if (failure.empty()) {
        not_attached_.erase(guest);
        log::info("attached a channel to a running machine", {{"guest", guest}, {"channel", wire::channel_name(kind)}});
    } else if (std::exchange(not_attached_[guest], failure) != failure) {
        log::warning("cannot attach a channel to a running machine, trying again",
                     {{"guest", guest}, {"channel", wire::channel_name(kind)}, {"why", failure}});
    }
    show_attachments();
}

void Agent::show_attachments() {
    const auto first = not_attached_.begin();
    problems_.set(kNotAttached, not_attached_.empty()
                                    ? ""
                                    : count_of(not_attached_.size()) + first->first.str() + ": " + first->second);
}

void Agent::on_unattachable(const std::set<GuestId>& guests) {
    for (const GuestId& guest : guests) {
        if (unattachable_.contains(guest)) continue;
        metrics_.machine_without_controller();
        log::warning(
            "a guest lacks the channel that its flavor asks for: its machine has no virtio-serial controller, and gets "
            "none while it runs. Start it anew with Nova's extension for it, or with hw_qemu_guest_agent=yes in its "
            "image",
            {{"guest", guest}});
    }
    unattachable_ = guests;
    problems_.set(kNoPort, guests.empty() ? "" : count_of(guests.size()) + guests.begin()->str());
}

}  // namespace vitalwire::host
