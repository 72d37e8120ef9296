#include "guest/guest_daemon.hpp"

#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "guest/unix_channel.hpp"
#include "guest/virtio_port.hpp"

namespace vitalwire::guest {

namespace {

constexpr std::string_view kUnixChannel = "unix:";

std::unique_ptr<Channel> make_channel(boost::asio::io_context& io, const std::string& where) {
    if (where.starts_with(kUnixChannel)) return std::make_unique<UnixChannel>(io, where.substr(kUnixChannel.size()));
    return std::make_unique<VirtioPort>(io, where);
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
      sdk_heartbeat_(clock_, board_, settings_.sdk.heartbeat_socket, settings_.applications, votes_) {
    event_script_.configure(settings_.actions);
    votes_.add(event_script_);
    votes_.add(applications_);
    votes_.add(sdk_heartbeat_);
    heartbeat_.on_asked([this](const wire::ActionNotify& notify) { votes_.asked(notify); });
    board_.set_declared_action(settings_.heartbeat.corrective_action);
    heartbeat_.on_change([this] { tell_status(); });
    channel_->on_change([this] { tell_status(); });
    applications_.on_status([this] { return overview(); });
}

void GuestDaemon::start() {
    channel_->start(base_layer_);
    applications_.start();
    sdk_.start();
    sdk_heartbeat_.start();
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
        settings.applications.notify_socket != settings_.applications.notify_socket || settings.sdk != settings_.sdk;
    if (needs_restart) log::warning("a changed channel or application socket takes effect at the next start");
    settings_ = settings;
    heartbeat_.reconfigure(settings.heartbeat);
    board_.set_declared_action(settings.heartbeat.corrective_action);
    event_script_.configure(settings.actions);
    checks_.configure(settings.checks);
    applications_.set_limits(settings.applications.max, settings.applications.max_per_user);
    sdk_heartbeat_.set_limits(settings.applications.max, settings.applications.max_per_user);
    applications_.forget_ended();
    log::info("configuration reloaded", {{"checks", checks_.size()}});
}

void GuestDaemon::stop() {
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
    return status;
}

void GuestDaemon::health_changed(const heartbeat::Health& overall) {
    heartbeat_.set_health(overall);
    tell_status();
}

void GuestDaemon::tell_status() {
    status_listener_(status());
}

}  // namespace vitalwire::guest
