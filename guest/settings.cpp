#include "guest/settings.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/text.hpp"
#include "guest/accounts.hpp"
#include "guest/endpoint.hpp"

namespace vitalwire::guest {

using base::Millis;
using runtime::ConfigErrors;
using runtime::ConfigFile;
using runtime::ConfigReader;

namespace {

constexpr std::string_view kDefaultSocket = "/run/vitalwire/guest.sock";
constexpr std::string_view kNone = "none";
constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::size_t kMaxSocketPath = 107;  // of sockaddr_un
constexpr std::size_t kMaxPortName = 255;
constexpr std::size_t kMaxStatePath = 255;
constexpr std::size_t kDefaultApplications = 32;
constexpr std::size_t kMostApplications = 1024;
/// A check's name is part of the reason that the host is told.
constexpr std::size_t kMaxCheckName = 32;
constexpr std::size_t kMaxCommand = 4096;
constexpr std::size_t kMaxUnitName = 255;
constexpr std::int64_t kMaxInARow = 1000;
constexpr Millis kSmallestSum = 2 * wire::kNativeMinInterval;  ///< of interval and deadline
constexpr Millis kSmallestCheckTime{100};
constexpr Millis kLargestCheckTime = std::chrono::hours(24);
constexpr Millis kDefaultCheckInterval = std::chrono::seconds(10);
constexpr Millis kDefaultCheckTimeout = std::chrono::seconds(5);
constexpr Millis kDefaultWatchdog = std::chrono::seconds(30);
constexpr Millis kDefaultNoticeTime = std::chrono::seconds(8);
constexpr Millis kLargestGrace = std::chrono::hours(1);

std::string host_name() {
    std::array<char, 256> name{};
    const std::string none = "(none)";  // what the kernel says before anybody has named the machine
    if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0' || name.data() == none ||
        !base::is_utf8(name.data())) {
        return "localhost";
    }
    return base::cut_utf8(name.data(), wire::kMaxName);
}

constexpr const char* kChannelForms = "expected the name of a virtio-serial port, /dev/... or unix:PATH";
constexpr const char* kSocketForms = "expected an absolute path of at most 107 bytes, or none";
constexpr const char* kGuestNameForm = "expected 1 to 64 bytes of UTF-8";

bool is_channel(std::string_view text) {
    if (text.starts_with(kUnixPrefix))
        return text.size() > kUnixPrefix.size() && text.size() - kUnixPrefix.size() <= kMaxSocketPath;
    return text.starts_with('/') || base::is_plain_name(text, kMaxPortName);
}

bool is_socket(std::string_view text) {
    return text == kNone || (text.starts_with('/') && text.size() <= kMaxSocketPath);
}

bool is_state(std::string_view text) {
    return text == kNone || (text.starts_with('/') && text.size() <= kMaxStatePath);
}

bool is_unit_name(std::string_view text) {
    const auto is_allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("@._:-").find(c) != std::string_view::npos;
    };
    return text.size() <= kMaxUnitName && text.find('.') != std::string_view::npos && text.front() != '-' &&
           std::all_of(text.begin(), text.end(), is_allowed);
}

bool is_guest_name(std::string_view text) {
    return !text.empty() && text.size() <= wire::kMaxName && base::is_utf8(text);
}

void read_target(ConfigReader& in, CheckSettings& check) {
    const std::string type = in.choice("type", "exec", {"exec", "http", "tcp", "unix", "systemd"});
    const auto require = [&](std::string_view key, CheckType kind, auto is_good, const std::string& form) {
        check.type = kind;
        check.target = in.required_text(key);
        if (!check.target.empty() && !is_good(check.target)) in.refuse(key, form);
    };
    if (type == "http") {
        require("url", CheckType::http, parse_http_url,
                "expected http://HOST[:PORT][/PATH] with an IP address or localhost");
    } else if (type == "tcp") {
        require("address", CheckType::tcp, parse_endpoint, "expected HOST:PORT with an IP address or localhost");
    } else if (type == "unix") {
        require("path", CheckType::unix_socket, unix_endpoint, "expected an absolute path of at most 107 bytes");
    } else if (type == "systemd") {
        require("unit", CheckType::systemd, is_unit_name, "expected the name of a unit such as nginx.service");
    } else {
        require(
            "command", CheckType::exec, [](const std::string& text) { return text.size() <= kMaxCommand; },
            "expected at most " + std::to_string(kMaxCommand) + " bytes");
        check.user = in.text("user", "");
        if (!check.user.empty() && !find_user(check.user))
            in.refuse("user", "there is no local user '" + base::escape(check.user) + "'");
    }
}

CheckSettings read_check(ConfigReader in) {
    CheckSettings check;
    check.name = in.label();
    read_target(in, check);
    const std::string role = in.choice("role", "liveness", {"liveness", "readiness", "startup"});
    check.role = role == "readiness" ? CheckRole::readiness
                 : role == "startup" ? CheckRole::startup
                                     : CheckRole::liveness;
    check.failures = static_cast<int>(in.integer("failures", 1, 1, kMaxInARow));
    check.successes = static_cast<int>(in.integer("successes", 1, 1, kMaxInARow));
    check.interval = in.duration("interval", kDefaultCheckInterval, kSmallestCheckTime, kLargestCheckTime);
    check.timeout = in.duration("timeout", kDefaultCheckTimeout, kSmallestCheckTime, kLargestCheckTime);
    check.grace = in.duration("grace", Millis(0), Millis(0), kLargestGrace);
    in.finish();
    return check;
}

/// Two of the three decide the third one.
void read_times(ConfigReader& in, heartbeat::GuestSettings& heartbeat) {
    const auto read = [&](const char* key, Millis min) -> std::optional<Millis> {
        if (!in.has(key)) return std::nullopt;
        const Millis time = in.duration(key, Millis(0), min, wire::kMaxInterval);
        // A mistake was named already.
        return time == Millis(0) ? std::nullopt : std::optional(time);
    };
    heartbeat.detection_time = read("detection_time", kSmallestSum);
    heartbeat.interval = read("interval", wire::kNativeMinInterval);
    heartbeat.response_deadline = read("response_deadline", wire::kSmallestDeadline);
    const Millis interval = heartbeat.interval.value_or(wire::kNativeMinInterval);
    const Millis deadline = heartbeat.response_deadline.value_or(wire::kSmallestDeadline);
    if (!heartbeat.detection_time) {
        // A host would refuse it, and the machine would never be watched.
        const bool too_small = heartbeat.interval && heartbeat.response_deadline && interval + deadline < kSmallestSum;
        if (too_small || (heartbeat.response_deadline && interval + deadline > wire::kMaxInterval))
            in.refuse("response_deadline", "expected 200 ms to 1 h together with interval");
        return;
    }
    const Millis left = *heartbeat.detection_time - interval - deadline;
    const bool all = heartbeat.interval && heartbeat.response_deadline;
    if (left < Millis(0) || (all && left != Millis(0)))
        in.refuse("detection_time", "expected the sum of interval and response_deadline");
}

heartbeat::GuestSettings read_heartbeat(ConfigReader in) {
    heartbeat::GuestSettings heartbeat;
    heartbeat.name = in.text("name", host_name());
    if (!is_guest_name(heartbeat.name)) in.refuse("name", kGuestNameForm);
    read_times(in, heartbeat);
    const std::string action = in.choice("corrective_action", "none", {"none", "log", "reboot", "stop"});
    heartbeat.corrective_action = model::parse_corrective_action(action).value_or(model::CorrectiveAction::none);
    in.finish();
    return heartbeat;
}

/// A file of that name in the same folder as `socket`; none where there is no socket.
std::string beside(const std::string& socket, std::string_view name) {
    const std::size_t slash = socket.rfind('/');
    return slash == std::string::npos ? std::string(kNone) : socket.substr(0, slash + 1) + std::string(name);
}

/// guest.state for guest.sock: no other daemon's, as the socket is no other's.
std::string state_of(const std::string& socket) {
    if (socket == kNone) return socket;
    const std::size_t size = socket.ends_with(".sock") ? socket.size() - 5 : socket.size();
    return socket.substr(0, size) + ".state";
}

ApplicationSettings read_applications(ConfigReader in) {
    ApplicationSettings applications;
    applications.socket = in.text("socket", std::string(kDefaultSocket));
    if (!is_socket(applications.socket)) in.refuse("socket", kSocketForms);
    applications.group = in.text("group", "");
    // It may be made later: the socket waits for it, and the heartbeat does not wait for the socket.
    if (!applications.group.empty() && !is_group(applications.group))
        in.check("group", "there is no local group '" + base::escape(applications.group) + "'");
    applications.max = static_cast<std::size_t>(in.integer("max", static_cast<std::int64_t>(kDefaultApplications), 1,
                                                           static_cast<std::int64_t>(kMostApplications)));
    applications.notify_socket = in.text("notify_socket", beside(applications.socket, "notify"));
    if (!is_socket(applications.notify_socket)) in.refuse("notify_socket", kSocketForms);
    applications.state = in.text("state", state_of(applications.socket));
    if (in.has("state") && !is_state(applications.state))
        in.refuse("state", "expected an absolute path of at most 255 bytes, or none");
    applications.watchdog = in.duration("watchdog", kDefaultWatchdog, kSmallestCheckTime, kLargestGrace);
    const auto half = static_cast<std::int64_t>((applications.max + 1) / 2);
    applications.max_per_user =
        static_cast<std::size_t>(in.integer("max_per_user", half, 1, static_cast<std::int64_t>(applications.max)));
    in.finish();
    return applications;
}

std::string read_abstract_name(ConfigReader& in, std::string_view key, std::string_view fallback) {
    std::string name = in.text(key, std::string(fallback));
    if (!base::is_plain_name(name, kMaxSocketPath))
        in.refuse(key, "expected at most 107 letters, digits, '.', '_' and '-'");
    return name;
}

SdkSettings read_sdk(ConfigReader in) {
    SdkSettings sdk;
    sdk.socket = read_abstract_name(in, "socket", kNone);
    sdk.application = read_abstract_name(in, "application", wire::kCgcsGroupAddress);
    sdk.heartbeat_socket = in.text("heartbeat_socket", std::string(kNone));
    if (!is_socket(sdk.heartbeat_socket)) in.refuse("heartbeat_socket", kSocketForms);
    in.finish();
    if (sdk.socket == kNone) sdk.socket.clear();
    if (sdk.heartbeat_socket == kNone) sdk.heartbeat_socket.clear();
    return sdk;
}

ActionSettings read_actions(ConfigReader in, model::NoticeTimes& times) {
    ActionSettings actions;
    actions.event_script = in.text("event_script", "");
    if (actions.event_script.size() > kMaxCommand)
        in.refuse("event_script", "expected at most " + std::to_string(kMaxCommand) + " bytes");
    actions.user = in.text("user", "");
    if (!actions.user.empty() && !find_user(actions.user))
        in.refuse("user", "there is no local user '" + base::escape(actions.user) + "'");
    const auto time = [&](const char* key) {
        return in.duration(key, kDefaultNoticeTime, Millis(0), model::kMaxNoticeTime);
    };
    times = {time("vote_time"), time("shutdown_notice"), time("suspend_notice"), time("resume_notice")};
    in.finish();
    return actions;
}

std::string read_channel(ConfigReader in) {
    std::string name = in.text("name", std::string(wire::kNativeChannel));
    if (!is_channel(name)) in.refuse("name", kChannelForms);
    in.finish();
    return name;
}

log::Level read_log_level(ConfigReader in) {
    const std::string name = in.choice("level", "info", {"debug", "info", "warning", "error"});
    in.finish();
    return log::parse_level(name).value_or(log::Level::info);
}

Settings read_file(const ConfigFile& file, ConfigErrors& errors) {
    file.check_sections({"channel", "heartbeat", "actions", "check *", "applications", "sdk", "log"}, errors);
    Settings settings;
    settings.channel = read_channel({file, "channel", errors});
    settings.heartbeat = read_heartbeat({file, "heartbeat", errors});
    settings.actions = read_actions({file, "actions", errors}, settings.heartbeat.notice_times);
    for (const auto& section : file.sections_named("check")) {
        if (section.label.empty()) continue;  // named by check_sections
        if (!base::is_plain_name(section.label, kMaxCheckName)) {
            errors.push_back({file.path, section.line,
                              "[check NAME]: expected a name of at most " + std::to_string(kMaxCheckName) +
                                  " letters, digits, '.', '_' and '-', found " + base::escape(section.label)});
        }
        settings.checks.push_back(read_check({file, section, errors}));
    }
    settings.applications = read_applications({file, "applications", errors});
    settings.sdk = read_sdk({file, "sdk", errors});
    settings.log_level = read_log_level({file, "log", errors});
    return settings;
}

void put_over(const Options& options, Settings& settings, ConfigErrors& errors) {
    const auto refuse = [&](const std::string& mistake) { errors.push_back({"command line", 0, mistake}); };
    if (options.channel) settings.channel = *options.channel;
    if (!is_channel(settings.channel)) refuse(std::string("--channel: ") + kChannelForms);
    if (options.name) settings.heartbeat.name = *options.name;
    if (!is_guest_name(settings.heartbeat.name)) refuse(std::string("--name: ") + kGuestNameForm);
    if (options.app_socket) {
        // Where the file does not name it, the other socket goes with this one.
        if (settings.applications.notify_socket == beside(settings.applications.socket, "notify"))
            settings.applications.notify_socket = beside(*options.app_socket, "notify");
        if (settings.applications.state == state_of(settings.applications.socket))
            settings.applications.state = state_of(*options.app_socket);
        settings.applications.socket = *options.app_socket;
    }
    if (!is_socket(settings.applications.socket)) refuse(std::string("--app-socket: ") + kSocketForms);
    if (options.log_level) {
        const auto level = log::parse_level(*options.log_level);
        if (!level) refuse("--log-level: expected one of debug, info, warning, error");
        settings.log_level = level.value_or(settings.log_level);
    }
    if (!options.detection_time && !options.interval) return;
    // The times of the file belong together; the command line's replace them all.
    settings.heartbeat.detection_time = options.detection_time;
    settings.heartbeat.interval = options.interval;
    settings.heartbeat.response_deadline.reset();
    if (options.detection_time && options.interval &&
        *options.detection_time - *options.interval < wire::kSmallestDeadline)
        refuse("--interval: expected at least 50 ms less than --detection-time");
}

/// Where the file has the value; line 0 for a default and for what the command line has put over it.
int line_of(const ConfigFile& file, const std::string& section, const std::string& key) {
    for (const auto& each : file.sections) {
        if (each.name != section) continue;
        for (const auto& entry : each.entries) {
            if (entry.key == key) return entry.line;
        }
    }
    return 0;
}

/// Two sockets, or a socket and a file, at one path: only one of them would be there.
void refuse_shared_paths(const ConfigFile& file, const Settings& settings, ConfigErrors& errors) {
    struct Place {
        std::string section;
        std::string key;
        std::string path;
    };
    const bool is_unix = settings.channel.starts_with(kUnixPrefix);
    const std::vector<Place> places = {
        {"channel", "name", is_unix ? settings.channel.substr(kUnixPrefix.size()) : settings.channel},
        {"applications", "socket", settings.applications.socket},
        {"applications", "notify_socket", settings.applications.notify_socket},
        {"applications", "state", settings.applications.state},
        {"sdk", "heartbeat_socket", settings.sdk.heartbeat_socket}};
    for (auto second = places.begin(); second != places.end(); ++second) {
        if (!second->path.starts_with('/')) continue;
        const auto first =
            std::find_if(places.begin(), second, [&](const Place& each) { return each.path == second->path; });
        if (first == second) continue;
        const int line =
            std::max(line_of(file, first->section, first->key), line_of(file, second->section, second->key));
        errors.push_back({line > 0 ? file.path : "command line", line,
                          "[" + second->section + "] " + second->key + ": expected another path than that of [" +
                              first->section + "] " + first->key + ", found " + base::escape(second->path)});
    }
}

ConfigFile load_file(const Options& options, ConfigErrors& errors) {
    if (!options.config_given && ::access(options.config.c_str(), F_OK) != 0) return {};
    auto file = ConfigFile::load(options.config, errors);
    if (file) {
        file->only_checked = options.check_config;
        return std::move(*file);
    }
    errors.push_back({"command line", 0, "--config: " + file.error().message});
    return {};
}

}  // namespace

std::optional<Settings> load_settings(const Options& options, ConfigErrors& errors) {
    const ConfigFile file = load_file(options, errors);
    Settings settings = read_file(file, errors);
    // A file's mistakes would come again as the command line's.
    if (errors.empty()) put_over(options, settings, errors);
    if (errors.empty()) refuse_shared_paths(file, settings, errors);
    std::stable_sort(errors.begin(), errors.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
    if (!errors.empty()) return std::nullopt;
    if (settings.applications.socket == kNone) settings.applications.socket.clear();
    if (settings.applications.notify_socket == kNone) settings.applications.notify_socket.clear();
    if (settings.applications.state == kNone) settings.applications.state.clear();
    return settings;
}

}  // namespace vitalwire::guest
