// What a controller takes of a changed configuration while it runs.
#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "bus/tls_context.hpp"
#include "controller/controller.hpp"
#include "controller/delivery/sink_worker.hpp"

namespace vitalwire::controller {

namespace {

constexpr std::array kApplied = {"[controller] log_level",
                                 "[controller] history",
                                 "[controller] remove_agent_after",
                                 "[self_monitoring] agent_lost_after",
                                 "[self_monitoring] sink_failing_after",
                                 "[bus] ca",
                                 "[bus] certificate",
                                 "[bus] key",
                                 "[bus] crl",
                                 "[bus] password_file",
                                 "[bus] password_env",
                                 "[bus] allow_plain_tcp",
                                 "[http] certificate",
                                 "[http] key",
                                 "[http] reader_token_file",
                                 "[http] reader_token_env",
                                 "[http] operator_token_file",
                                 "[http] operator_token_env",
                                 "[notifications] password_file",
                                 "[notifications] password_env",
                                 "[notifications] ca_file",
                                 "[notifications] certificate",
                                 "[notifications] key"};
/// As long as the cloud and the user are the same.
constexpr std::array kOfUser = {"clouds_file",
                                "password_file",
                                "password_env",
                                "application_credential_secret_file",
                                "application_credential_secret_env",
                                "cacert"};
constexpr std::string_view kSinkSection = "[sink ";
constexpr std::string_view kPolicySection = "[policy ";
constexpr std::string_view kPeersSection = "[peers]";
constexpr std::string_view kBusSection = "[bus]";
constexpr std::string_view kOpenstackSection = "[openstack]";

const SinkConfig* find(const std::vector<SinkConfig>& sinks, const std::string& name) {
    const auto at = std::find_if(sinks.begin(), sinks.end(), [&](const SinkConfig& sink) { return sink.name == name; });
    return at == sinks.end() ? nullptr : &*at;
}

/// What the receiver before has acknowledged says nothing of the new one, which is notified of all that is open. The
/// cloud of those in OpenStack is another one only after a restart.
bool has_other_receiver(const SinkConfig& before, const SinkConfig& now) {
    return before.type == now.type && !sink_type(now.type)->needs_openstack && before.receiver != now.receiver;
}

}  // namespace

bool Controller::applies(const std::string& section, const std::string& key) const {
    if (section.starts_with(kPolicySection) || section == kPeersSection) return true;
    if (section.starts_with(kSinkSection))
        return !waiting_sinks_.contains(section.substr(kSinkSection.size(), section.size() - kSinkSection.size() - 1));
    if (section == kBusSection && key == "listen") return !ports_wait_;
    if (section == kOpenstackSection && std::find(kOfUser.begin(), kOfUser.end(), key) != kOfUser.end())
        return !openstack_waits_;
    const std::string form = section + ' ' + key;
    return std::find(kApplied.begin(), kApplied.end(), form) != kApplied.end();
}

void Controller::reload(const ControllerConfig& changed) {
    log::set_level(log::parse_level(changed.log_level).value_or(log::Level::info));
    config_.agent_lost_after = changed.agent_lost_after;
    config_.sink_failing_after = changed.sink_failing_after;
    config_.history = changed.history;
    config_.remove_agent_after = changed.remove_agent_after;
    core_.set_limits(core_options());
    *http_tokens_ = changed.http_tokens;
    reload_bus(changed);
    reload_http_tls(changed.http_tls);
    peers_.configure(changed.peers);
    reload_openstack(changed);
    reload_sinks(changed.sinks);
    arm();
    source_->reload();
}

/// Whether agents are met at brokers is decided at the start.
void Controller::reload_bus(const ControllerConfig& changed) {
    ports_wait_ = changed.access.brokers.empty() != config_.access.brokers.empty();
    bus::Access access = changed.access;
    access.broker.name = config_.host.str();
    if (ports_wait_) access.brokers = config_.access.brokers;
    config_.access = access;
    if (!ports_wait_) config_.bus_listen = changed.bus_listen;
    certificates_.watch(access.tls);
    const auto done =
        ports_.change(config_.bus_listen, access, [this](const std::string& url) { return make_port(url); });
    if (done) return;
    ports_wait_ = true;
    log::error("the bus cannot be used as configured", {{"why", done.error().message}});
}

/// The reader of the configuration has tried the files.
void Controller::reload_http_tls(const bus::TlsFiles& files) {
    config_.http_tls = files;
    http_certificate_.watch(files);
    if (files.certificate.empty()) http_server_.use_tls({});
    if (const auto used = bus::use_tls(http_server_, files); !used)
        log::error("the certificate of the HTTP interface cannot be used", {{"why", used.error().message}});
}

void Controller::reload_openstack(const ControllerConfig& changed) {
    if (nova_ != nullptr && changed.nova) nova_->use(changed.nova->feed.access);
    if (!config_.openstack || !changed.openstack) return;
    openstack_waits_ = !same_user(*config_.openstack, *changed.openstack);
    if (openstack_waits_) return;
    config_.openstack = changed.openstack;
    keystone_->change(*changed.openstack);
}

void Controller::named_files(const std::string& why) {
    problems_.set("a file that the configuration names is not in force", why);
}

void Controller::reload_sinks(const std::vector<SinkConfig>& changed) {
    waiting_sinks_.clear();
    std::vector<SinkConfig> running;
    for (const SinkConfig& sink : std::exchange(config_.sinks, {})) {
        if (find(changed, sink.name) == nullptr) {
            core_.alarms().receiver_goes(sink.name, sink.receiver);
            remove_sink(sink.name);
        } else {
            running.push_back(sink);
        }
    }
    for (const SinkConfig& sink : changed) {
        const SinkConfig* before = find(running, sink.name);
        if (before != nullptr && has_other_receiver(*before, sink)) {
            core_.alarms().receiver_changes(sink.name, before->receiver);
            remove_sink(sink.name);
            before = nullptr;
        }
        const bool done = before == nullptr ? add_sink_while_running(sink) : change_sink(*before, sink);
        if (!done) waiting_sinks_.insert(sink.name);
        if (done || before != nullptr) config_.sinks.push_back(done ? sink : *before);
        if (Notifier* worker = core_.alarms().find_sink(sink.name)) worker->queue().set_policies(sink.policies);
    }
    core_.sinks_changed();
}

/// Its rows and its metrics go with it.
void Controller::remove_sink(const std::string& name) {
    log::info("sink removed", {{"sink", name}});
    removed_sinks_.push_back(core_.alarms().remove_sink(name));
    metrics_.remove("sink", name);
    problems_.clear("sink " + name + " cannot deliver");
    problems_.clear("sink " + name + " cannot be compared with its receiver");
}

/// One that listens could find its address taken; Keystone is there only when it was needed at the start.
bool Controller::add_sink_while_running(const SinkConfig& sink) {
    const SinkType& type = *sink_type(sink.type);
    if (type.listens || (type.needs_openstack && keystone_ == nullptr)) return false;
    log::info("sink added", {{"sink", sink.name}, {"type", sink.type}});
    add_sink(sink);
    const bool started = core_.alarms().find_sink(sink.name)->start().has_value();
    core_.alarms().receiver_returns(sink.name, sink.receiver);
    return started;
}

bool Controller::change_sink(const SinkConfig& before, const SinkConfig& sink) {
    Notifier* worker = core_.alarms().find_sink(sink.name);
    const bool same = before.type == sink.type && before.settings == sink.settings;
    if (before.type != sink.type || (!same && sink_type(sink.type)->listens)) return false;
    worker->queue().set_limits(sink.delivery);
    if (same) return true;
    log::info("sink configured again", {{"sink", sink.name}});
    worker->replace(sink.make(sink_context(sink.name)));
    return true;
}

}  // namespace vitalwire::controller
