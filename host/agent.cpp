#include "host/agent.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "bus/tls_context.hpp"
#include "bus/transport.hpp"
#include "runtime/notify.hpp"

namespace vitalwire::host {

using base::GuestId;
using base::TimePoint;
using wire::ChannelKind;

namespace {

/// Deadlines within this of each other are handled in one wake-up.
constexpr base::Duration kTickSpacing = std::chrono::milliseconds(1);
/// libvirt may be away when the agent starts; the service manager must not wait for it without end.
constexpr base::Duration kListingPatience = std::chrono::seconds(20);
constexpr base::Duration kStatusEvery = std::chrono::seconds(5);

constexpr std::string_view kBusSection = "[bus]";
/// What a reload takes, beside the controllers.
constexpr std::array<std::string_view, 15> kApplied = {"[agent] log_level",
                                                       "[heartbeat]",
                                                       "[limits]",
                                                       "[messaging]",
                                                       "[bus] ca",
                                                       "[bus] certificate",
                                                       "[bus] key",
                                                       "[bus] crl",
                                                       "[bus] password_file",
                                                       "[bus] password_env",
                                                       "[bus] allow_plain_tcp",
                                                       "[metrics] token_file",
                                                       "[metrics] token_env",
                                                       "[metrics] certificate",
                                                       "[metrics] key"};

/// Another one after each start of the host; empty where the kernel does not say.
std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

AgentCore::Settings settings_of(const AgentConfig& config) {
    return {config.heartbeat, {config.messaging, config.limits.group_queue}, config.actions, config.guest_agents};
}

}  // namespace

Agent::Agent(boost::asio::io_context& io, AgentConfig config, std::string version, Parts parts)
    : io_(io),
      config_(std::move(config)),
      store_(std::move(parts.store)),
      core_({{config_.host, version, ids_.uuid(), boot_id()},
             {config_.report_interval, config_.transport.silence},
             parts.controllers.finder != nullptr,
             ids_.uuid()},
            settings_of(config_), ids_, *this),
      links_(core_, std::move(parts.controllers), now, [this] { arm(); }),
      channels_(io, config_.limits, core_, [this] { arm(); }),
      certificates_(io, config_.access.tls, [this](const std::string& why) { core_.certificate_problem(why); }),
      metrics_certificate_(io, config_.metrics_tls,
                           [this](const std::string& why) { core_.metrics_certificate_problem(why); }),
      metrics_(gauges(version)),
      sources_(std::move(parts.sources)),
      deadline_(io),
      probe_(io),
      listing_(io),
      status_(io),
      api_{config_.host.str(),
           std::move(version),
           std::chrono::system_clock::now(),
           core_,
           [this] { return core_.listed() && store_->healthy(); },
           [this] { return metrics_text(); },
           [this](GuestActions::Request request, GuestActions::Done done) {
               auto asked = core_.ask_guest(std::move(request), std::move(done), now());
               arm();
               return asked;
           },
           std::move(parts.reload)},
      http_(std::make_unique<runtime::HttpServer>(
          io, runtime::HttpServer::LateHandler([router = make_router(api_)](const auto& request, const auto& respond) {
              router.route(request, respond);
          }))),
      metrics_http_(io, make_metrics_router(api_, metrics_tokens_)) {}

Agent::~Agent() = default;

base::Result<void> Agent::start(std::function<void()> on_ready) {
    on_ready_ = std::move(on_ready);
    metrics_tokens_->reader = config_.metrics_token;
    if (auto listening = http_->listen(config_.listen); !listening) return listening;
    if (auto tls = bus::use_tls(metrics_http_, config_.metrics_tls); !tls) return tls;
    for (const std::string& address : config_.metrics_listen) {
        if (auto listening = metrics_http_.listen(address); !listening) return listening;
    }
    if (!store_->set_aside().empty())
        log::error("the state could not be read: quarantined, starting empty", {{"moved_to", store_->set_aside()}});
    for (const auto& source : sources_)
        core_.add_source(source->name());
    core_.start(now());
    if (!store_->set_aside().empty()) core_.state_quarantined(store_->set_aside());
    probe();
    links_.start();
    listing_.after(kListingPatience, [this] {
        log::warning("not every source of channels could be listed yet, continuing without");
        become_ready();
    });
    for (const auto& source : sources_)
        source->start(*this);
    arm();
    return {};
}

void Agent::stop() {
    deadline_.cancel();
    probe_.cancel();
    listing_.cancel();
    status_.cancel();
    for (const auto& source : sources_)
        source->stop();
    channels_.clear();
    links_.stop();
    http_->stop();
    metrics_http_.stop();
    store_->close();
}

void Agent::reload(const AgentConfig& config) {
    log::set_level(log::parse_level(config.log_level).value_or(log::Level::info));
    config_.heartbeat = config.heartbeat;
    config_.limits = config.limits;
    config_.messaging = config.messaging;
    config_.actions = config.actions;
    config_.guest_agents = config.guest_agents;
    channels_.configure(config_.limits);
    core_.configure(settings_of(config_), now());
    reload_bus(config);
    reload_metrics(config);
    arm();
}

/// The reader of the configuration has tried the files.
void Agent::reload_metrics(const AgentConfig& config) {
    metrics_tokens_->reader = config.metrics_token;
    metrics_certificate_.watch(config.metrics_tls);
    if (config.metrics_tls.certificate.empty()) metrics_http_.use_tls({});
    if (const auto used = bus::use_tls(metrics_http_, config.metrics_tls); !used)
        log::error("the certificate of the metrics cannot be used", {{"why", used.error().message}});
}

/// Whether there are controllers at all, and whether they are found at brokers, is decided at the start.
void Agent::reload_bus(const AgentConfig& config) {
    const auto kind = [](const AgentConfig& of) {
        return std::pair(of.access.brokers.empty(), of.controllers.empty() && of.access.brokers.empty());
    };
    controllers_wait_ = kind(config) != kind(config_);
    bus::Access access = config.access;
    access.broker.name = config_.host.str();
    if (controllers_wait_) access.brokers = config_.access.brokers;
    config_.access = access;
    if (!controllers_wait_) config_.controllers = config.controllers;
    links_.change(config_.controllers, config_.access, [this](const std::string& url) {
        return bus::make_agent_link(io_, url, config_.access, config_.transport);
    });
    certificates_.watch(config_.access.tls);
}

bool Agent::applies(const std::string& section, const std::string& key) const {
    if (section == kBusSection && key == "controller") return !controllers_wait_;
    const std::string form = section + ' ' + key;
    return std::find_if(kApplied.begin(), kApplied.end(), [&](const std::string_view applied) {
               return applied == section || applied == form;
           }) != kApplied.end();
}

std::string Agent::metrics_text() {
    metrics_.update(core_, channels_.counters(), links_.dropped());
    return metrics_.text();
}

base::Moment Agent::now() {
    return {base::Clock::now(), std::chrono::system_clock::now()};
}

/// Wakes up often enough that a stall of this process is noticed before a guest is judged by it.
void Agent::probe() {
    const TimePoint steady = base::Clock::now();
    core_.probe(steady);
    arm();
    core_.store_problem(store_->healthy() ? "" : store_->problem());
    // On the grid of the challenges, so that one wake-up serves both.
    probe_.after(heartbeat::StallClock::kProbe - steady.time_since_epoch() % heartbeat::StallClock::kProbe,
                 [this] { probe(); });
}

void Agent::notify_service_manager() {
    const Monitor::Totals totals = core_.monitor().totals();
    const std::string unwatched = totals.unwatched == 0 ? "" : std::to_string(totals.unwatched) + " not watched, ";
    runtime::notify_status(std::to_string(totals.total) + " guests, " + unwatched +
                           std::to_string(totals.critical + totals.major + totals.warning) + " faults");
    status_.after(kStatusEvery, [this] { notify_service_manager(); });
}

void Agent::arm() {
    TimePoint due = core_.next_due();
    // What is to be written at once is not kept for the spacing: a guest's queue would fill up in that time.
    if (due != TimePoint::min()) due = std::max(due, last_tick_ + kTickSpacing);
    if (due >= armed_for_) return;
    armed_for_ = due;
    deadline_.after(std::max(due, base::Clock::now()) - base::Clock::now(), [this] { tick(); });
}

void Agent::tick() {
    armed_for_ = base::kNever;
    core_.tick(now());
    last_tick_ = base::Clock::now();
    arm();
}

void Agent::become_ready() {
    if (std::exchange(announced_, true)) return;
    listing_.cancel();
    on_ready_();
    notify_service_manager();
}

AgentMetrics::Gauges Agent::gauges(const std::string& version) const {
    return {[this] { return core_.monitor().totals(); },
            [this] { return static_cast<double>(channels_.up()); },
            [this] { return static_cast<double>(core_.sources_blind()); },
            [this] { return std::chrono::duration<double>(core_.clock().stalled()).count(); },
            [this] { return static_cast<double>(store_->pending()); },
            [this] { return store_->healthy() ? 1.0 : 0.0; },
            [this] { return static_cast<double>(core_.controllers().links_up()); },
            [this] { return certificates_.seconds_left(); },
            [this] { return certificates_.notice_seconds(); },
            [this] { return static_cast<double>(core_.monitor().faults().unacknowledged()); },
            [this] { return core_.monitor().round_trips(); },
            [this] { return static_cast<double>(core_.problems().size()); },
            version};
}

void Agent::await_durable() {
    store_->when_durable([this] {
        core_.durable(now());
        arm();
    });
}

void Agent::ask_machine(const GuestId& guest) {
    for (const auto& source : sources_)
        source->ask(guest);
}

void Agent::want(const WantedChannels& wanted) {
    for (const auto& source : sources_)
        source->want(wanted);
}

void Agent::on_channel(const GuestId& guest, ChannelKind kind, const std::string& path, base::Millis end_known_within) {
    channels_.found(guest, kind, path, end_known_within);
}

bool Agent::is_connected(const GuestId& guest, ChannelKind kind) {
    return channels_.is_connected(guest, kind);
}

void Agent::on_channel_gone(const GuestId& guest, ChannelKind kind) {
    channels_.removed(guest, kind);
}

void Agent::on_machine(const GuestId& guest, const heartbeat::HostEvent& event) {
    core_.machine(guest, event, now());
    arm();
}

void Agent::on_gone(const GuestId& guest, heartbeat::StopReason why) {
    channels_.gone(guest);
    core_.machine_gone(guest, why, now());
    arm();
}

void Agent::on_unreadable(const GuestId& guest, const std::string& problem) {
    core_.machine_unreadable(guest, problem);
    arm();
}

void Agent::on_listed(ChannelSource& source, const SourceListing& listing) {
    core_.source_listed(source.name(), listing, now());
    arm();
    if (core_.listed()) become_ready();
}

void Agent::on_source_problem(ChannelSource& source, const std::string& problem) {
    core_.source_problem(source.name(), problem);
    arm();
}

void Agent::on_unused_entries(ChannelSource& source, const std::string& entries) {
    core_.source_entries_unused(source.name(), entries);
    arm();
}

void Agent::on_attached(const GuestId& guest, ChannelKind kind, const std::string& failure) {
    core_.attached(guest, kind, failure);
    arm();
}

void Agent::on_unattachable(const std::set<GuestId>& guests) {
    core_.unattachable(guests);
    arm();
}

void Agent::call_guest_agent(const GuestAgentCall& call, std::int64_t challenge) {
    for (const auto& source : sources_)
        source->call_guest_agent(call, challenge);
}

bool Agent::read_io(const GuestId& guest, std::int64_t number) {
    return std::any_of(sources_.begin(), sources_.end(),
                       [&](const auto& source) { return source->read_io(guest, number); });
}

void Agent::on_io_returned(const GuestId& guest, std::int64_t number, const std::optional<IoCounters>& counters) {
    core_.io_returned(guest, number, counters, now());
    arm();
}

void Agent::on_guest_agent(const GuestId& guest, std::optional<bool> open) {
    core_.guest_agent_port(guest, open, now());
    arm();
}

void Agent::on_guest_agent_returned(const GuestId& guest, std::int64_t challenge, GuestAgentResult result) {
    core_.guest_agent_returned(guest, challenge, result, now());
    arm();
}

}  // namespace vitalwire::host
