#include "controller/model/policy_config.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "base/text.hpp"
#include "controller/model/kinds.hpp"
#include "model/fault.hpp"

namespace vitalwire::controller {

using base::Millis;
using runtime::ConfigErrors;
using runtime::ConfigFile;
using runtime::ConfigReader;
using runtime::ConfigSection;

namespace {

constexpr std::size_t kMaxPolicyName = 64;
constexpr std::size_t kShownName = 64;
constexpr int kMostIntervals = 1000;
/// The agents read I/O each 10 s.
constexpr Millis kShortestWithoutIo = std::chrono::seconds(20);
constexpr Millis kLongestWithoutIo = std::chrono::hours(1);
constexpr Millis kLongestHoldOff = std::chrono::hours(24);

/// The number in "2 intervals"; absent when the text is something else, 0 when the number is none.
std::optional<int> intervals_in(std::string_view text) {
    const std::size_t unit = text.find("interval");
    if (unit == std::string_view::npos) return std::nullopt;
    const std::string_view word = text.substr(unit);
    if (word != "interval" && word != "intervals") return 0;
    std::string_view digits = text.substr(0, unit);
    while (digits.ends_with(' '))
        digits.remove_suffix(1);
    int intervals = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), intervals);
    const bool whole = error == std::errc{} && end == digits.data() + digits.size();
    return whole && intervals >= 1 && intervals <= kMostIntervals ? intervals : 0;
}

void read_hold_off(ConfigReader& section, Policy& policy) {
    const auto intervals = intervals_in(section.text("hold_off", ""));
    if (!intervals) {
        policy.hold_off = section.duration("hold_off", Millis(0), Millis(0), kLongestHoldOff);
        return;
    }
    policy.hold_off_intervals = *intervals;
    if (*intervals == 0) section.refuse("hold_off", "expected a time ('5 s'), or 1 to 1000 intervals ('2 intervals')");
}

/// After the kinds.
void read_without_io(ConfigReader& section, Policy& policy) {
    if (!section.has("when_no_io_for")) return;
    policy.no_io_for = section.duration("when_no_io_for", kShortestWithoutIo, kShortestWithoutIo, kLongestWithoutIo);
    const bool of_silence = std::any_of(policy.kinds.begin(), policy.kinds.end(), [](const std::string& name) {
        const auto kind = model::parse_fault_kind(name);
        return kind && model::is_silence(*kind);
    });
    if (!policy.kinds.empty() && !of_silence)
        section.refuse("when_no_io_for", "has no effect on these kinds, expected heartbeat_lost or not_established");
}

void read_sink_names(ConfigReader& section, const std::set<std::string>& sinks, Policy& policy) {
    policy.sinks = section.list("sinks");
    if (policy.sinks.empty()) section.refuse("sinks", "is missing");
    for (const std::string& sink : policy.sinks) {
        if (!sinks.contains(sink))
            section.refuse("sinks", "there is no [sink " + base::escape(sink, kShownName) + "] in this file", sink);
    }
}

Policy read_policy(const ConfigFile& file, const ConfigSection& found, const std::set<std::string>& sinks,
                   ConfigErrors& errors) {
    ConfigReader section(file, found, errors);
    Policy policy;
    policy.name = found.label;
    if (section.has("kinds")) policy.kinds = read_alarm_kinds(section);
    policy.groups = section.list("groups");
    policy.projects = section.list("projects");
    policy.flavors = section.list("flavors");
    read_hold_off(section, policy);
    read_without_io(section, policy);
    read_sink_names(section, sinks, policy);
    section.finish();
    return policy;
}

bool is_named(const std::vector<Policy>& policies, const std::string& sink) {
    return std::any_of(policies.begin(), policies.end(), [&](const Policy& policy) {
        return std::find(policy.sinks.begin(), policy.sinks.end(), sink) != policy.sinks.end();
    });
}

}  // namespace

std::vector<Policy> read_policies(const ConfigFile& file, ConfigErrors& errors) {
    const auto sink_sections = file.sections_named("sink");
    std::set<std::string> sinks;
    for (const ConfigSection& sink : sink_sections)
        sinks.insert(sink.label);
    if (sinks.empty()) sinks.insert("log");  // what there is when none is configured

    std::vector<Policy> policies;
    for (const ConfigSection& section : file.sections_named("policy")) {
        if (!base::is_plain_name(section.label, kMaxPolicyName)) {
            errors.push_back(
                {file.path, section.line, "[policy NAME]: expected a name of 1 to 64 letters, digits, '.', '_', '-'"});
            continue;
        }
        policies.push_back(read_policy(file, section, sinks, errors));
    }
    for (const ConfigSection& sink : sink_sections) {
        if (!is_named(policies, sink.label))
            errors.push_back({file.path, sink.line,
                              "[sink " + base::escape(sink.label, kShownName) +
                                  "]: no policy names it, so nothing would be delivered to it"});
    }
    return policies;
}

}  // namespace vitalwire::controller
