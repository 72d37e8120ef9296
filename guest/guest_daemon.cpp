#include "guest/guest_daemon.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/unix_channel.hpp"
#include "guest/virtio_port.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::string_view kUnixChannel = "unix:";
constexpr std::chrono::seconds kServeRetry{5};
constexpr const char* kDaemonSource = "vitalwired";
constexpr const char* kStateTopic = "state";
constexpr const char* kKeepsNothing = "does not keep for a restart what was reported";
constexpr const char* kAnotherServes = "watches no applications: another vitalwired has the state file";

std::unique_ptr<Channel> make_channel(boost::asio::io_context& io, const std::string& where) {
    if (where.starts_with(kUnixChannel)) return std::make_unique<UnixChannel>(io, where.substr(kUnixChannel.size()));
    return std::make_unique<VirtioPort>(io, where);
}

std::vector<std::string> users_of(const Settings& settings) {
    std::vector<std::string> users{settings.actions.user};
    for (const CheckSettings& check : settings.checks)
        users.push_back(check.user);
    std::erase(users, "");
    return users;
}

}  // namespace

GuestDaemon::GuestDaemon(boost::asio::io_context& io, Settings settings)
    : settings_(std::move(settings)),
      clock_(io),
      channel_(make_channel(io, settings_.channel)),
      heartbeat_(clock_, *channel_, settings_.heartbeat),
      group_(*channel_),
      base_layer_(heartbeat_, group_),
      board_([this](const heartbeat::Health& overall) { health_changed(overall); }),
      children_(io),
      checks_(clock_, children_, board_),
      votes_(clock_, [this](const auto& notify, auto result,
                            const auto& reason) { heartbeat_.answer(notify, result, reason); }),
      event_script_(clock_, children_, votes_),
      applications_(clock_, board_, group_, settings_.applications, votes_),
      sdk_(io, group_, settings_.sdk),
      sdk_heartbeat_(clock_, board_, settings_.sdk.heartbeat_socket, settings_.applications, votes_),
      state_(io, settings_.applications.state, [this] { return keep(); }),
      serve_retry_(io) {
    event_script_.configure(settings_.actions);
    votes_.add(event_script_);
    votes_.add(applications_);
    votes_.add(sdk_heartbeat_);
    heartbeat_.on_asked([this](const wire::ActionNotify& notify) { votes_.asked(notify); });
    board_.set_declared_action(settings_.heartbeat.corrective_action);
    heartbeat_.on_change([this] { tell_status(); });
    channel_->on_change([this] { tell_status(); });
    applications_.on_status([this] { return overview(); });
    // What was told to somebody survives a daemon that is killed in the next moment.
    heartbeat_.on_challenge([this] { state_.write_pending(); });
    applications_.on_told([this] { state_.write_pending(); });
    // The host is to know that a restart of vitalwired may end a fault.
    state_.on_problem([this] {
        if (state_.problem().empty()) return board_.withdraw_warning(kDaemonSource, kStateTopic);
        board_.warn(kDaemonSource, kKeepsNothing, kStateTopic);
    });
    applications_.on_kept_changed([this] { state_.changed(); });
    sdk_heartbeat_.on_kept_changed([this] { state_.changed(); });
}

void GuestDaemon::start() {
    // Before the first answer to the host: a restart disproves nothing.
    serve(true);
    children_.accounts().read(users_of(settings_));
    channel_->start(base_layer_);
    checks_.configure(settings_.checks);
    log::info("started",
              {{"channel", settings_.channel},
               {"applications", settings_.applications.socket.empty() ? "none" : settings_.applications.socket},
               {"checks", checks_.size()}});
    tell_status();
}

void GuestDaemon::reload(const Settings& settings) {
    const bool needs_restart =
        settings.channel != settings_.channel || settings.applications.socket != settings_.applications.socket ||
        settings.applications.group != settings_.applications.group ||
        settings.applications.notify_socket != settings_.applications.notify_socket ||
        settings.applications.state != settings_.applications.state || settings.sdk != settings_.sdk;
    if (needs_restart) log::warning("a changed channel, socket or state file takes effect at the next start");
    settings_ = settings;
    heartbeat_.reconfigure(settings.heartbeat);
    board_.set_declared_action(settings.heartbeat.corrective_action);
    children_.accounts().read(users_of(settings));
    event_script_.configure(settings.actions);
    checks_.configure(settings.checks);
    applications_.reconfigure(settings.applications);
    sdk_heartbeat_.reconfigure(settings.applications);
    log::info("configuration reloaded", {{"checks", checks_.size()}});
}

void GuestDaemon::stop() {
    serve_retry_.cancel();
    state_.stop();
    heartbeat_.stop("vitalwired stopped");
    applications_.stop();
    sdk_.stop();
    sdk_heartbeat_.stop();
    checks_.configure({});
    votes_.stop();
    event_script_.stop();
    channel_->stop();
}

std::string GuestDaemon::status() const {
    const heartbeat::Health health = board_.overall();
    std::string text = heartbeat_.registered() ? "registered" : channel_->status();
    text += health.healthy ? ", healthy" : ", unhealthy";
    if (!health.reason.empty()) text += (health.healthy ? "; " : ": ") + base::escape(health.reason);
    return text;
}

app::Status GuestDaemon::overview() const {
    app::Status status{heartbeat_.registered(), channel_->status(), board_.overall(), 0, {}, {}};
    for (const auto& check : checks_.all()) {
        status.items.push_back({"check", check->settings().name, std::string(check->state()), check->reason(), {}, {}});
    }
    for (app::Item& each : sdk_heartbeat_.list())
        status.items.push_back(std::move(each));
    if (!state_.problem().empty()) status.items.push_back({"warning", "state", "not kept", state_.problem(), {}, {}});
    return status;
}

std::vector<Kept> GuestDaemon::keep() const {
    std::vector<Kept> all;
    checks_.keep(all);
    applications_.keep(all);
    sdk_heartbeat_.keep(all);
    // The reasons stay in the order in which they arose.
    std::vector<std::pair<std::size_t, std::size_t>> order;
    for (const Kept& each : all)
        order.emplace_back(board_.position(each.kind + ' ' + each.name), order.size());
    std::sort(order.begin(), order.end());
    std::vector<Kept> sorted;
    for (const auto& [position, index] : order)
        sorted.push_back(std::move(all[index]));
    return sorted;
}

/// Takes over from the vitalwired before this one. While that one runs, what it watches is its own: this one answers
/// the host and runs its checks, and takes the rest over when it has ended. Checks that run already know better.
void GuestDaemon::serve(bool is_first_try) {
    const auto kept = state_.load();
    if (!kept) {
        if (is_first_try)
            log::error("another vitalwired has the state file, trying again every 5 s",
                       {{"file", base::escape(settings_.applications.state)}});
        board_.warn(kDaemonSource, kAnotherServes);
        return serve_retry_.after(kServeRetry, [this] { serve(false); });
    }
    board_.withdraw_warning(kDaemonSource);
    for (const Kept& each : *kept) {
        if (each.kind == "check" && is_first_try) checks_.restore(each);
        if (each.kind == "sdk application") sdk_heartbeat_.restore(each);
        applications_.restore(each);
    }
    applications_.start();
    sdk_.start();
    sdk_heartbeat_.start();
}

void GuestDaemon::health_changed(const heartbeat::Health& overall) {
    heartbeat_.set_health(overall);
    state_.changed();
    tell_status();
}

void GuestDaemon::tell_status() {
    status_listener_(status());
}

}  // namespace vitalwire::guest
