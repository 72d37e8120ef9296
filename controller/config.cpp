#include "controller/config.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "base/host_name.hpp"
#include "base/text.hpp"
#include "bus/certificate_check.hpp"
#include "bus/tls_config.hpp"
#include "controller/model/policy_check.hpp"
#include "controller/model/policy_config.hpp"
#include "controller/sources/inventory_file.hpp"
#include "runtime/file.hpp"
#include "runtime/listen.hpp"
#include "runtime/listen_config.hpp"
#include "runtime/listen_holder.hpp"
#include "runtime/secret.hpp"
#include "runtime/store.hpp"

namespace vitalwire::controller {

using base::Millis;
using runtime::ConfigErrors;
using runtime::ConfigFile;
using runtime::ConfigReader;
using runtime::ConfigSection;

namespace {

constexpr const char* kStateFolder = "/var/lib/vitalwire/controller";  // made by the unit
constexpr std::string_view kUnixUrl = "unix://";
constexpr std::string_view kTlsUrl = "tls://";
constexpr std::size_t kMaxSinkName = 64;  // becomes a metric label and a key in the store
/// A ping may come late by two thirds of it. Of what is silent for longer the bus closes the connection.
constexpr Millis kShortestSilence{300};
constexpr Millis kLongestSilence{2000};
constexpr std::size_t kMaxNamedFile = 1 << 20;
constexpr Millis kDay = std::chrono::hours(24);

std::string own_host_name() {
    std::array<char, base::kMaxHostName + 2> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return {};
    return name.data();
}

void read_controller(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "controller", errors);
    config.host = base::HostId(section.text("host", own_host_name()));
    if (!base::is_host_name(config.host.str()))
        section.refuse("host", "expected 1 to 253 letters, digits, '.', '_' and '-'");
    config.state = section.text("state", config.state);
    if (section.only_checked()) section.check("state", runtime::Store::check(config.state, kStateFolder));
    config.log_level = section.choice("log_level", config.log_level, {"debug", "info", "warning", "error"});
    config.history = static_cast<std::size_t>(section.integer("history", 10'000, 0, 1'000'000));
    config.resume_grace = section.duration("resume_grace", config.resume_grace, Millis(0), std::chrono::minutes(10));
    config.remove_agent_after =
        section.duration("remove_agent_after", config.remove_agent_after, std::chrono::minutes(1), 365 * kDay);
    section.finish();
}

void read_self_monitoring(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "self_monitoring", errors);
    config.agent_lost_after =
        section.duration("agent_lost_after", config.agent_lost_after, std::chrono::seconds(1), kDay);
    config.host_unreachable_after =
        section.duration("host_unreachable_after", config.host_unreachable_after, kShortestSilence, kLongestSilence);
    config.transport.silence = config.host_unreachable_after;
    config.sink_failing_after =
        section.duration("sink_failing_after", config.sink_failing_after, std::chrono::seconds(1), kDay);
    section.finish();
}

void read_bus(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "bus", errors);
    for (const std::string& url :
         section.list("listen", {"unix:///run/vitalwire/controller.sock", "tcp://127.0.0.1:8991"}))
        (bus::is_broker_url(url) ? config.access.brokers : config.bus_listen).push_back(url);
    config.access.tls = bus::read_tls_files(section);
    config.access.allow_plain_tcp = section.boolean("allow_plain_tcp", false);
    boost::asio::io_context unused;  // nothing listens yet: this finds what cannot work
    for (const std::string& url : config.bus_listen) {
        if (url.starts_with(kTlsUrl) && bus::tls_files_refused(section)) continue;
        const auto port = bus::make_controller_port(unused, url, config.access, config.transport);
        if (!port) section.refuse("listen", port.error().message, url);
        if (port && url.starts_with(kUnixUrl))
            runtime::check_socket_path(section, "listen", url.substr(kUnixUrl.size()), url);
        if (port && section.only_checked() && url.find("://") != std::string::npos && !url.starts_with(kUnixUrl))
            section.check("listen", runtime::held_by_another(url.substr(url.find("://") + 3)), url);
    }
    config.access.broker = {config.host.str(), runtime::read_secret(section, "password")};
    if (!config.access.brokers.empty()) {
        const auto port = bus::make_broker_port(unused, config.access, config.transport);
        if (!port) section.refuse("listen", port.error().message);
    }
    const auto is_tls = [](const std::string& url) { return url.starts_with(kTlsUrl); };
    if (section.only_checked() && std::any_of(config.bus_listen.begin(), config.bus_listen.end(), is_tls))
        section.check("certificate", bus::certificate_mistake(config.access.tls.certificate,
                                                              bus::CertificateUse::server, std::string()));
    section.finish();
}

void read_http(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "http", errors);
    config.http_listen = section.list("listen", config.http_listen);
    for (const std::string& address : config.http_listen)
        runtime::check_listen_address(section, "listen", address);
    config.http_tls = bus::read_http_tls_files(section);
    config.http_tokens.reader = runtime::read_secret(section, "reader_token");
    config.http_tokens.operators = runtime::read_secret(section, "operator_token");
    section.finish();
}

void read_peers(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "peers", errors);
    for (std::string url : section.list("url")) {
        while (url.ends_with('/'))
            url.pop_back();
        if (const auto good = runtime::check_http_url(url); !good) section.refuse("url", good.error().message, url);
        config.peers.urls.push_back(std::move(url));
    }
    config.peers.token = runtime::read_secret(section, "token");
    config.peers.ca_file = section.file("ca_file");
    config.peers.poll_interval =
        section.duration("poll_interval", config.peers.poll_interval, std::chrono::seconds(1), std::chrono::hours(1));
    section.finish();
}

/// What reading it would find at the start.
void check_inventory(ConfigReader& section, ConfigErrors& errors, const ControllerConfig& config) {
    if (!config.inventory_required && ::access(config.inventory.c_str(), F_OK) != 0) return;
    const auto file = ConfigFile::load(config.inventory, errors);
    if (!file) return section.refuse("file", file.error().message);
    read_inventory(*file, errors);
}

void read_inventory_section(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    ConfigReader section(file, "inventory", errors);
    const bool nova = section.choice("type", "file", {"file", "nova"}) == "nova";
    config.inventory_required = section.has("file");
    config.inventory = section.text("file", config.inventory);
    if (section.only_checked() && !nova) check_inventory(section, errors, config);
    NovaInventoryConfig of_nova;
    of_nova.poll_interval = section.duration("poll_interval", of_nova.poll_interval, std::chrono::seconds(1), kDay);
    of_nova.full_poll_interval =
        section.duration("full_poll_interval", of_nova.full_poll_interval, of_nova.poll_interval, kDay);
    if (nova) config.nova = std::move(of_nova);
    section.finish();
}

void read_notifications(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    const auto sections = file.sections_named("notifications");
    if (!config.nova) {
        if (!sections.empty())
            errors.push_back({file.path, sections.front().line, "[notifications]: only with [inventory] type = nova"});
        return;
    }
    ConfigReader section(file, "notifications", errors);
    config.nova->feed = read_notification_feed(section);
    config.nova->feed.queue = "vitalwire.notifications." + config.host.str();
    section.finish();
}

std::string type_names() {
    std::string names;
    for (const SinkType& type : sink_types())
        names += (names.empty() ? "" : ", ") + std::string(type.name);
    return names;
}

void read_delivery(ConfigReader& section, DeliveryOptions& options) {
    options.parallel = static_cast<int>(section.integer("parallel", options.parallel, 1, 256));
    options.longest_backoff = section.duration("longest_backoff", options.longest_backoff, options.first_backoff, kDay);
    options.burst = static_cast<int>(section.integer("guest_burst", options.burst, 2, 10'000));
    options.pace = section.duration("guest_pace", options.pace, Millis(10), kDay);
}

constexpr std::array kDeliveryKeys = {"parallel", "longest_backoff", "guest_burst", "guest_pace"};

std::vector<std::string> settings_of(const ConfigSection& section) {
    std::vector<std::string> settings;
    for (const runtime::ConfigEntry& entry : section.entries) {
        if (std::find(kDeliveryKeys.begin(), kDeliveryKeys.end(), entry.key) != kDeliveryKeys.end()) continue;
        settings.push_back(entry.key + " = " + entry.value);
        if (!entry.key.ends_with("_file")) continue;
        const auto content = runtime::read_file(entry.value, kMaxNamedFile);
        settings.push_back(std::to_string(std::hash<std::string>{}(content.value_or(""))));
    }
    return settings;
}

/// "webhook https://pager/hook"; that of a cloud is completed when [openstack] is read.
std::string receiver_of(const ConfigSection& section) {
    std::string receiver;
    for (const runtime::ConfigEntry& entry : section.entries) {
        if (entry.key == "type") receiver.insert(0, entry.value);
        if (entry.key == "url") receiver += ' ' + entry.value;
    }
    return receiver;
}

void read_sink(const ConfigFile& file, const ConfigSection& found, ConfigErrors& errors, ControllerConfig& config) {
    if (!base::is_plain_name(found.label, kMaxSinkName)) {
        errors.push_back(
            {file.path, found.line, "[sink NAME]: expected a name of 1 to 64 letters, digits, '.', '_', '-'"});
        return;
    }
    ConfigReader section(file, found, errors);
    const std::string name = section.required_text("type");
    const SinkType* type = sink_type(name);
    if (type == nullptr) {
        if (!name.empty())
            section.refuse("type", "expected one of " + type_names() + ", found '" + base::escape(name, 64) + "'");
        return;  // which keys are right depends on the type
    }
    SinkConfig sink{found.label, name, type->configure(section), {}, {}, settings_of(found), receiver_of(found)};
    read_delivery(section, sink.delivery);
    section.finish();
    config.sinks.push_back(std::move(sink));
}

void read_sinks(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    const auto sections = file.sections_named("sink");
    for (const ConfigSection& section : sections)
        read_sink(file, section, errors, config);
    if (sections.empty()) read_sink(file, {"sink", "log", 0, {{"type", "log", runtime::kBuiltIn}}}, errors, config);
}

/// What can be told of policies that never do anything.
void check_policies(const ConfigFile& file, ConfigErrors& errors, const std::vector<Policy>& policies,
                    const std::vector<SinkConfig>& sinks) {
    std::set<std::string> guests_only;
    for (const SinkConfig& sink : sinks) {
        if (sink_type(sink.type)->guests_only) guests_only.insert(sink.name);
    }
    for (const ConfigSection& section : file.sections_named("policy")) {
        for (const Policy& policy : policies) {
            if (policy.name != section.label) continue;
            const char* key = policy.kinds.empty() ? "sinks" : "kinds";
            ConfigReader(file, section, errors).check(key, why_without_effect(policy, policies, guests_only));
        }
    }
}

/// To each sink those that name it. Nothing would be delivered to one that none names.
void share_out_policies(const ConfigFile& file, ConfigErrors& errors, ControllerConfig& config) {
    if (file.sections_named("policy").empty()) return;
    const std::size_t mistakes = errors.size();
    const std::vector<Policy> policies = read_policies(file, errors);
    if (errors.size() == mistakes) check_policies(file, errors, policies, config.sinks);
    for (SinkConfig& sink : config.sinks) {
        sink.policies.emplace();
        for (const Policy& policy : policies) {
            const bool named = std::find(policy.sinks.begin(), policy.sinks.end(), sink.name) != policy.sinks.end();
            if (named) sink.policies->push_back(policy);
        }
    }
}

bool needs_openstack(const SinkConfig& sink) {
    return sink_type(sink.type)->needs_openstack;
}

void read_openstack(const ConfigFile& file, ConfigErrors& errors, const Environment& environment,
                    ControllerConfig& config) {
    const bool needed = config.nova || !file.sections_named("openstack").empty() ||
                        std::any_of(config.sinks.begin(), config.sinks.end(), needs_openstack);
    if (!needed) return;
    ConfigReader section(file, "openstack", errors);
    config.openstack = read_cloud_access(section, environment);
    section.finish();
    for (SinkConfig& sink : config.sinks) {
        if (!needs_openstack(sink)) continue;
        sink.receiver += " of " + config.openstack->auth_url;
        if (!config.openstack->region.empty()) sink.receiver += ", region " + config.openstack->region;
    }
}

/// What is listened on: "/path" of a UNIX socket, "10.0.0.1:8991" by TCP; empty for brokers, and for a port that the
/// kernel chooses.
std::string listened_on(std::string address) {
    if (bus::is_broker_url(address)) return {};
    if (address.starts_with(kUnixUrl)) return address.substr(kUnixUrl.size());
    if (address.starts_with("unix:")) return address.substr(5);
    if (const std::size_t scheme = address.find("://"); scheme != std::string::npos) address.erase(0, scheme + 3);
    return address.ends_with(":0") ? std::string() : address;
}

/// Whether the second would fail because of the first: they are alike, or one of them is all addresses with that port.
bool overlap(const std::string& a, const std::string& b) {
    if (a == b) return true;
    const auto one = runtime::parse_host_port(a);
    const auto other = runtime::parse_host_port(b);
    if (!one || !other || one->port != other->port) return false;
    const auto takes = [](const std::string& all, const std::string& host) {
        return all == "::" || (all == "0.0.0.0" && host.find(':') == std::string::npos);
    };
    return takes(one->host, other->host) || takes(other->host, one->host);
}

/// Two sections that listen on one address: the second would fail at the start.
void check_listeners(const ConfigFile& file, ConfigErrors& errors) {
    std::vector<std::pair<std::string, int>> taken;
    const auto check = [&](const std::string& address, int line) {
        const auto same =
            std::find_if(taken.begin(), taken.end(), [&](const auto& item) { return overlap(item.first, address); });
        if (same == taken.end()) {
            taken.emplace_back(address, line);
            return;
        }
        const std::string other = std::to_string(same->second);
        const std::string by = same->first == address ? "" : ", which listens on " + base::escape(same->first);
        errors.push_back({file.path, line, "listen: " + base::escape(address) + " is taken by line " + other + by});
    };
    for (const ConfigSection& section : file.sections) {
        for (const runtime::ConfigEntry& entry : section.entries) {
            if (entry.key != "listen") continue;
            std::istringstream addresses(entry.value);
            for (std::string address; addresses >> address;) {
                address = listened_on(address);
                if (!address.empty()) check(address, entry.line);
            }
        }
    }
}

}  // namespace

ControllerConfig read_controller_config(const ConfigFile& file, ConfigErrors& errors, const Environment& environment) {
    ControllerConfig config;
    file.check_sections({"controller", "self_monitoring", "bus", "http", "peers", "inventory", "notifications",
                         "openstack", "sink *", "policy *"},
                        errors);
    read_controller(file, errors, config);
    read_self_monitoring(file, errors, config);
    read_bus(file, errors, config);
    read_http(file, errors, config);
    read_peers(file, errors, config);
    read_inventory_section(file, errors, config);
    read_notifications(file, errors, config);
    read_sinks(file, errors, config);
    share_out_policies(file, errors, config);
    read_openstack(file, errors, environment, config);
    check_listeners(file, errors);
    return config;
}

}  // namespace vitalwire::controller
