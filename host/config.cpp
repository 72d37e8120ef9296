#include "host/config.hpp"

#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>

#include "base/host_name.hpp"
#include "base/text.hpp"
#include "bus/certificate_check.hpp"
#include "bus/tls_config.hpp"
#include "runtime/listen_config.hpp"
#include "runtime/secret.hpp"
#include "runtime/store.hpp"

namespace vitalwire::host {

using base::Millis;
using runtime::ConfigErrors;
using runtime::ConfigFile;
using runtime::ConfigReader;

namespace {

constexpr const char* kStateFolder = "/var/lib/vitalwire/agent";  // made by the unit
constexpr const char* kDefaultDirectory = "/run/vitalwire/channels";
constexpr const char* kDefaultController = "unix:///run/vitalwire/controller.sock";

constexpr Millis kSecond{1000};
// Of a controller. The bus closes the connection of what is silent for longer.
constexpr Millis kShortestSilence{300};
constexpr Millis kLongestSilence{2000};
constexpr Millis kDay = std::chrono::hours(24);
constexpr Millis kMaxCallDeadline = std::chrono::minutes(10);

constexpr int kMostGuestAgentCalls = 64;

std::string own_host_name() {
    std::array<char, base::kMaxHostName + 2> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return {};
    return name.data();
}

void read_agent(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "agent", errors);
    config.host = base::HostId(section.text("host", own_host_name()));
    if (!base::is_host_name(config.host.str()))
        section.refuse("host", "expected 1 to 253 letters, digits, '.', '_' and '-'");
    config.state = section.text("state", config.state);
    if (section.only_checked()) section.check("state", runtime::Store::check(config.state, kStateFolder));
    config.listen = section.text("listen", config.listen);
    runtime::check_listen_address(section, "listen", config.listen);
    config.log_level = section.choice("log_level", config.log_level, {"debug", "info", "warning", "error"});
    section.finish();
}

void read_metrics(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "metrics", errors);
    config.metrics_listen = section.list("listen");
    for (const std::string& address : config.metrics_listen)
        runtime::check_listen_address(section, "listen", address);
    config.metrics_token = runtime::read_secret(section, "token");
    config.metrics_tls = bus::read_http_tls_files(section);
    if (!config.metrics_token.empty() && config.metrics_listen.empty())
        section.refuse("listen", "is missing, but a token is given");
    section.finish();
}

void read_directory(ConfigReader& section, AgentConfig& config) {
    config.directories.push_back(section.text("path", kDefaultDirectory));
    if (!config.directories.back().starts_with('/')) section.refuse("path", "expected an absolute path");
    section.finish();
}

void read_libvirt(ConfigReader& section, AgentConfig& config) {
    LibvirtOptions& libvirt = config.libvirt.emplace();
    libvirt.uri = section.text("uri", libvirt.uri);
    if (libvirt.uri.find(":///") == std::string::npos)
        section.refuse("uri", "expected a connection URI of this host's libvirt, such as qemu:///system");
    libvirt.call_deadline = section.duration("call_deadline", libvirt.call_deadline, kSecond, kMaxCallDeadline);
    libvirt.hot_plug = section.boolean("hot_plug", libvirt.hot_plug);
    libvirt.guest_agent_calls =
        static_cast<int>(section.integer("guest_agent_calls", libvirt.guest_agent_calls, 1, kMostGuestAgentCalls));
    config.guest_agents.calls = libvirt.guest_agent_calls;
    section.finish();
}

void read_source(const ConfigFile& file, const runtime::ConfigSection& found, ConfigErrors& errors,
                 AgentConfig& config) {
    ConfigReader section(file, found, errors);
    if (found.label == "directory") return read_directory(section, config);
    if (found.label == "libvirt") return read_libvirt(section, config);
    errors.push_back(
        {file.path, found.line,
         "unknown source '" + base::escape(found.label, 64) + "', expected [source directory] or [source libvirt]"});
}

void read_sources(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    const auto sections = file.sections_named("source");
    for (const auto& section : sections)
        read_source(file, section, errors, config);
    if (sections.empty()) read_source(file, {"source", "directory", runtime::kBuiltIn, {}}, errors, config);
}

void read_bus(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "bus", errors);
    for (const std::string& url : section.list("controller", {kDefaultController}))
        (bus::is_broker_url(url) ? config.access.brokers : config.controllers).push_back(url);
    if (config.controllers == std::vector<std::string>{"none"}) config.controllers.clear();
    config.access.tls = bus::read_tls_files(section);
    const auto is_tls = [](const std::string& url) { return url.starts_with("tls://"); };
    if (section.only_checked() && std::any_of(config.controllers.begin(), config.controllers.end(), is_tls))
        section.check("certificate", bus::certificate_mistake(config.access.tls.certificate,
                                                              bus::CertificateUse::client, config.host.str()));
    config.transport.silence =
        section.duration("controller_silent_after", config.transport.silence, kShortestSilence, kLongestSilence);
    config.access.allow_plain_tcp = section.boolean("allow_plain_tcp", false);
    // Making a link checks its URL and its certificates; it does not connect.
    boost::asio::io_context io;
    for (const std::string& url : config.controllers) {
        if (is_tls(url) && bus::tls_files_refused(section)) continue;
        if (const auto link = bus::make_agent_link(io, url, config.access, config.transport); !link)
            section.refuse("controller", link.error().message, url);
    }
    config.access.broker = {config.host.str(), runtime::read_secret(section, "password")};
    if (!config.access.brokers.empty()) {
        const auto finder = bus::make_controller_finder(io, config.access, config.transport);
        if (!finder) section.refuse("controller", finder.error().message);
    }
    config.report_interval = section.duration("report_interval", config.report_interval, kSecond, kDay);
    section.finish();
}

void read_guest_agent(ConfigReader& section, Monitor::Settings& heartbeat) {
    const std::string whose = section.choice("guest_agent", "flavor", {"none", "flavor", "all"});
    heartbeat.guest_agents = whose == "none"  ? Monitor::GuestAgents::none
                             : whose == "all" ? Monitor::GuestAgents::all
                                              : Monitor::GuestAgents::flavor;
    heartbeat::HostPolicy& rules = heartbeat.defaults;
    rules.guest_agent_interval =
        section.duration("guest_agent_interval", rules.guest_agent_interval, kSecond, wire::kMaxInterval);
    rules.guest_agent_detect_multiplier =
        static_cast<int>(section.integer("guest_agent_detect_multiplier", rules.guest_agent_detect_multiplier, 1, 100));
}

void read_heartbeat(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "heartbeat", errors);
    heartbeat::HostPolicy& rules = config.heartbeat.defaults;
    config.heartbeat.only_enabled = section.choice("guests", "any", {"any", "enabled"}) == "enabled";
    rules.enabled = section.boolean("enabled", rules.enabled);
    rules.native_min_interval =
        section.duration("min_interval", rules.native_min_interval, wire::kNativeMinInterval, wire::kMaxInterval);
    rules.cgcs_min_interval =
        section.duration("cgcs_min_interval", rules.cgcs_min_interval, wire::kNativeMinInterval, wire::kMaxInterval);
    rules.detection_time =
        section.duration("detection_time", rules.detection_time, 2 * wire::kNativeMinInterval, wire::kMaxInterval);
    rules.native_detect_multiplier =
        static_cast<int>(section.integer("detect_multiplier", rules.native_detect_multiplier, 1, 100));
    rules.cgcs_detect_multiplier =
        static_cast<int>(section.integer("cgcs_detect_multiplier", rules.cgcs_detect_multiplier, 1, 100));
    rules.establish_timeout = section.duration("establish_timeout", rules.establish_timeout, kSecond, kDay);
    read_guest_agent(section, config.heartbeat);
    rules.machine_faults = section.choice("machine_faults", "watched", {"watched", "all"}) == "all";
    rules.resume_grace = section.duration("resume_grace", rules.resume_grace, kSecond, kDay);
    config.actions.timeout_max =
        section.duration("action_timeout_max", config.actions.timeout_max, kSecond, model::kMaxNoticeTime);
    config.actions.votes = section.boolean("action_votes", config.actions.votes);
    section.finish();
}

void read_limits(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "limits", errors);
    ChannelLimits& limits = config.limits;
    const auto number = [&](const char* key, double fallback) {
        return static_cast<double>(section.integer(key, static_cast<std::int64_t>(fallback), 1, 1'000'000));
    };
    limits.messages_per_second = number("messages_per_second", limits.messages_per_second);
    limits.message_burst = number("message_burst", limits.message_burst);
    limits.bytes_per_second = static_cast<double>(section.size(
        "bytes_per_second", static_cast<std::uint64_t>(limits.bytes_per_second), 1024, std::uint64_t{1} << 30U));
    limits.queue = section.size("queue", limits.queue, wire::kMaxNativeMessage, std::uint64_t{16} << 20U);
    limits.nacks_per_second = number("nacks_per_second", limits.nacks_per_second);
    limits.nack_burst = number("nack_burst", limits.nack_burst);
    section.finish();
}

void read_messaging(const ConfigFile& file, ConfigErrors& errors, AgentConfig& config) {
    ConfigReader section(file, "messaging", errors);
    group::Limits& limits = config.messaging;
    limits.messages_per_second = static_cast<double>(
        section.integer("messages_per_second", static_cast<std::int64_t>(limits.messages_per_second), 1, 1'000'000));
    limits.bytes_per_second = static_cast<double>(section.size(
        "bytes_per_second", static_cast<std::uint64_t>(limits.bytes_per_second), 1024, std::uint64_t{1} << 30U));
    config.limits.group_queue =
        section.size("queue", config.limits.group_queue, wire::kMaxNativeMessage, std::uint64_t{16} << 20U);
    section.finish();
}

}  // namespace

AgentConfig read_agent_config(const ConfigFile& file, ConfigErrors& errors) {
    AgentConfig config;
    file.check_sections({"agent", "metrics", "source *", "bus", "heartbeat", "limits", "messaging"}, errors);
    read_agent(file, errors, config);
    read_metrics(file, errors, config);
    read_sources(file, errors, config);
    read_bus(file, errors, config);
    read_heartbeat(file, errors, config);
    read_limits(file, errors, config);
    read_messaging(file, errors, config);
    return config;
}

}  // namespace vitalwire::host
