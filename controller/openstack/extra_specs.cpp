#include "controller/openstack/extra_specs.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>

#include "base/text.hpp"
#include "wire/heartbeat_pdu.hpp"
#include "wire/limits.hpp"

namespace vitalwire::controller {

namespace {

constexpr std::string_view kOurs = "vitalwire:";
constexpr std::size_t kShown = 64;

/// The words Nova takes.
std::optional<bool> truth(std::string word) {
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    static constexpr std::array kTrue = {"1", "t", "true", "on", "y", "yes"};
    static constexpr std::array kFalse = {"0", "f", "false", "off", "n", "no"};
    if (std::find(kTrue.begin(), kTrue.end(), word) != kTrue.end()) return true;
    if (std::find(kFalse.begin(), kFalse.end(), word) != kFalse.end()) return false;
    return std::nullopt;
}

std::optional<std::int64_t> number(const std::string& text) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stopped != end) return std::nullopt;
    return value;
}

/// Nova gives the guest a hardware watchdog, whatever it does when that fires. An unknown word is Nova's to refuse.
bool has_watchdog(const ExtraSpecs& specs) {
    const auto action = specs.find("hw:watchdog_action");
    return action != specs.end() && action->second != "disabled";
}

class SpecReader {
public:
    SpecReader(const ExtraSpecs& specs, std::vector<std::string>& problems) : specs_(specs), problems_(problems) {}

    bool boolean(const std::string& key) {
        const std::string* value = find(key);
        if (value == nullptr) return false;
        const auto parsed = truth(*value);
        if (!parsed) refuse(key, "true or false", *value);
        return parsed.value_or(false);
    }

    /// 0 when not given.
    std::int64_t integer(const std::string& key, std::int64_t min, std::int64_t max) {
        const std::string* value = find(key);
        if (value == nullptr) return 0;
        const auto parsed = number(*value);
        if (parsed && *parsed >= min && *parsed <= max) return *parsed;
        refuse(key, std::to_string(min) + " to " + std::to_string(max), *value);
        return 0;
    }

    model::CorrectiveAction corrective_action(const std::string& key) {
        const std::string* value = find(key);
        if (value == nullptr) return model::CorrectiveAction::none;
        const auto parsed = model::parse_corrective_action(*value);
        if (!parsed) refuse(key, "none, log, reboot or stop", *value);
        return parsed.value_or(model::CorrectiveAction::none);
    }

    /// Every key of our namespace that nobody asked for.
    void finish() {
        for (const auto& [key, value] : specs_) {
            const bool ours = key.starts_with(kOurs);
            if (ours && std::find(known_.begin(), known_.end(), key) == known_.end())
                problems_.push_back(base::escape(key, kShown) + ": no such key");
        }
    }

private:
    const std::string* find(const std::string& key) {
        known_.push_back(key);
        const auto at = specs_.find(key);
        return at == specs_.end() ? nullptr : &at->second;
    }
    void refuse(const std::string& key, const std::string& expected, const std::string& found) {
        problems_.push_back(key + ": expected " + expected + ", found '" + base::escape(found, kShown) + "'");
    }

    const ExtraSpecs& specs_;
    std::vector<std::string>& problems_;
    std::vector<std::string> known_;
};

}  // namespace

model::GuestPolicy read_extra_specs(const base::GuestId& guest, const ExtraSpecs& specs,
                                    std::vector<std::string>& problems) {
    SpecReader reader(specs, problems);
    model::GuestPolicy policy;
    policy.guest = guest;
    const bool heartbeat = reader.boolean("vitalwire:heartbeat");
    const bool messaging = reader.boolean("vitalwire:messaging");
    const bool cgcs_heartbeat = reader.boolean("sw:wrs:guest:heartbeat");
    const bool cgcs_messaging = reader.boolean("sw:wrs:srv_grp_messaging");
    policy.guest_agent = reader.boolean("vitalwire:heartbeat_guest_agent");
    policy.machine_faults = has_watchdog(specs);
    policy.heartbeat = heartbeat || cgcs_heartbeat || policy.guest_agent;
    policy.messaging = messaging || cgcs_messaging;
    // The native channel carries both; cgcs guests have one for each.
    if (heartbeat || messaging) policy.channels.emplace_back(wire::kNativeChannel);
    if (cgcs_heartbeat) policy.channels.emplace_back(wire::kCgcsHeartbeatChannel);
    if (cgcs_messaging) policy.channels.emplace_back(wire::kCgcsMessagingChannel);
    policy.detect_multiplier = static_cast<int>(reader.integer("vitalwire:heartbeat_detect_multiplier", 1, 10));
    policy.min_interval = base::Millis(reader.integer("vitalwire:heartbeat_min_interval_ms", 100, 3'600'000));
    policy.detection_time = base::Millis(reader.integer("vitalwire:detection_time", 200, 3'600'000));
    if (policy.detection_time.count() > 0 && policy.detection_time < 2 * policy.min_interval)
        problems.emplace_back("vitalwire:detection_time: expected at least twice vitalwire:heartbeat_min_interval_ms");
    policy.establish_timeout = std::chrono::seconds(reader.integer("vitalwire:establish_timeout_s", 10, 3600));
    policy.messages_per_second = static_cast<int>(reader.integer("vitalwire:messages_per_second", 1, 10'000));
    policy.bytes_per_second = reader.integer("vitalwire:bytes_per_second", 1024, 10'485'760);
    policy.corrective_action = reader.corrective_action("vitalwire:corrective_action");
    reader.boolean("vitalwire:action_votes");  // for Nova's extension
    reader.finish();
    return policy;
}

}  // namespace vitalwire::controller
