#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.hpp"
#include "guest/settings.hpp"

namespace vitalwire::guest {

namespace {

std::string text_of(base::Millis time) {
    return std::to_string(time.count()) + " ms";
}

std::string text_of(CheckType type) {
    constexpr std::array names = {"exec", "http", "tcp", "unix", "systemd"};
    return names.at(static_cast<std::size_t>(type));
}

std::string text_of(CheckRole role) {
    constexpr std::array names = {"liveness", "readiness", "startup"};
    return names.at(static_cast<std::size_t>(role));
}

std::string_view target_key(CheckType type) {
    constexpr std::array<std::string_view, 5> keys = {"command", "url", "address", "path", "unit"};
    return keys.at(static_cast<std::size_t>(type));
}

/// As it stands in the file, quotes and all, where a terminal can show that.
std::string as_written(const std::string& value) {
    const bool is_text = base::is_utf8(value) && std::none_of(value.begin(), value.end(),
                                                              [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    return is_text ? value : base::escape(value, value.size());
}

/// Collects lines, each with the place in the file that its value comes from.
class Description {
public:
    explicit Description(const runtime::ConfigFile& file) : file_(file) {}

    void section(const std::string& name, const std::string& label = {}) {
        name_ = name;
        label_ = label;
        text_ += (text_.empty() ? "" : "\n") + ("[" + name + (label.empty() ? "" : " " + label) + "]\n");
    }
    /// `on_command_line`: an option wins over the file.
    void add(std::string_view key, const std::string& value, bool on_command_line = false) {
        text_ += std::string(key) + " = " + as_written(value) + "  # " +
                 (on_command_line ? "command line" : origin(key)) + "\n";
    }
    std::string take() { return std::move(text_); }

private:
    std::string origin(std::string_view key) const {
        for (const auto& section : file_.sections) {
            if (section.name != name_ || section.label != label_) continue;
            for (const auto& entry : section.entries) {
                if (entry.key == key) return base::escape(file_.path) + ":" + std::to_string(entry.line);
            }
        }
        return "default";
    }

    const runtime::ConfigFile& file_;
    std::string name_;
    std::string label_;
    std::string text_;
};

void describe_check(Description& out, const CheckSettings& check) {
    out.section("check", check.name);
    out.add("type", text_of(check.type));
    out.add(target_key(check.type), check.target);
    if (check.type == CheckType::exec) out.add("user", check.user.empty() ? "that of vitalwired" : check.user);
    out.add("role", text_of(check.role));
    out.add("interval", text_of(check.interval));
    out.add("timeout", text_of(check.timeout));
    out.add("failures", std::to_string(check.failures));
    out.add("successes", std::to_string(check.successes));
    out.add("grace", text_of(check.grace));
}

void describe_heartbeat(Description& out, const Options& options, const heartbeat::GuestSettings& heartbeat) {
    out.section("heartbeat");
    out.add("name", heartbeat.name, options.name.has_value());
    const auto given = [](const std::optional<base::Millis>& time) {
        return time ? text_of(*time) : std::string("the host's");
    };
    out.add("detection_time", given(heartbeat.declared_detection_time()));
    out.add("interval", given(heartbeat.interval), options.interval.has_value());
    out.add("response_deadline", given(heartbeat.response_deadline));
    out.add("corrective_action", std::string(to_string(heartbeat.corrective_action)));
}

void describe_actions(Description& out, const Settings& settings) {
    const model::NoticeTimes& times = settings.heartbeat.notice_times;
    out.section("actions");
    out.add("event_script", settings.actions.event_script.empty() ? "none" : settings.actions.event_script);
    out.add("user", settings.actions.user.empty() ? "that of vitalwired" : settings.actions.user);
    out.add("vote_time", text_of(times.vote));
    out.add("shutdown_notice", text_of(times.shutdown));
    out.add("suspend_notice", text_of(times.suspend));
    out.add("resume_notice", text_of(times.resume));
}

}  // namespace

std::string describe_settings(const Options& options, const Settings& settings) {
    runtime::ConfigErrors ignored;
    const auto loaded = runtime::ConfigFile::load(options.config, ignored);
    const runtime::ConfigFile file = loaded ? *loaded : runtime::ConfigFile{};
    Description out(file);
    const auto none_or = [](const std::string& text) { return text.empty() ? "none" : text; };
    out.section("channel");
    out.add("name", settings.channel, options.channel.has_value());
    describe_heartbeat(out, options, settings.heartbeat);
    describe_actions(out, settings);
    for (const CheckSettings& check : settings.checks)
        describe_check(out, check);
    out.section("applications");
    out.add("socket", none_or(settings.applications.socket), options.app_socket.has_value());
    out.add("group", settings.applications.group.empty() ? "that of vitalwired" : settings.applications.group);
    out.add("notify_socket", none_or(settings.applications.notify_socket));
    out.add("state", none_or(settings.applications.state));
    out.add("watchdog", text_of(settings.applications.watchdog));
    out.add("max", std::to_string(settings.applications.max));
    out.add("max_per_user", std::to_string(settings.applications.max_per_user));
    out.section("sdk");
    out.add("socket", none_or(settings.sdk.socket));
    out.add("application", settings.sdk.application);
    out.add("heartbeat_socket", none_or(settings.sdk.heartbeat_socket));
    out.section("log");
    constexpr std::array levels = {"debug", "info", "warning", "error"};
    out.add("level", levels.at(static_cast<std::size_t>(settings.log_level)), options.log_level.has_value());
    return out.take();
}

}  // namespace vitalwire::guest
