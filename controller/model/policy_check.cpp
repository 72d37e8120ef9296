#include "controller/model/policy_check.hpp"

#include <fnmatch.h>

#include <algorithm>

#include "model/alarm_kind.hpp"

namespace vitalwire::controller {

namespace {

bool of_hosts_only(const Policy& policy) {
    const auto of_host = [](const std::string& kind) {
        const model::AlarmKind* known = model::find_alarm_kind(kind);
        return known != nullptr && known->of_host;
    };
    return !policy.kinds.empty() && std::all_of(policy.kinds.begin(), policy.kinds.end(), of_host);
}

/// Every text that `pattern` matches is matched by one of `patterns`; false when that is not certain.
bool matched_by(const std::string& pattern, const std::vector<std::string>& patterns) {
    const bool plain = pattern.find_first_of("*?[") == std::string::npos;
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& other) {
        return other == pattern || other == "*" ||
               (plain && ::fnmatch(other.c_str(), pattern.c_str(), FNM_NOESCAPE) == 0);
    });
}

bool matched_by(const std::vector<std::string>& patterns, const std::vector<std::string>& others) {
    if (others.empty()) return true;
    return !patterns.empty() && std::all_of(patterns.begin(), patterns.end(),
                                            [&](const std::string& pattern) { return matched_by(pattern, others); });
}

/// Of two policies that match, the shorter hold-off counts.
bool as_early(const Policy& other, const Policy& policy) {
    if (other.no_io_for > policy.no_io_for) return false;
    if (other.hold_off_intervals == 0 && other.hold_off == base::Millis(0)) return true;
    if ((other.hold_off_intervals > 0) != (policy.hold_off_intervals > 0)) return false;
    return other.hold_off_intervals > 0 ? other.hold_off_intervals <= policy.hold_off_intervals
                                        : other.hold_off <= policy.hold_off;
}

/// At this sink `other` decides alone, whatever `policy` has.
bool decides_for(const Policy& other, const Policy& policy, const std::string& sink) {
    const bool named = std::find(other.sinks.begin(), other.sinks.end(), sink) != other.sinks.end();
    const bool kinds =
        other.kinds.empty() || (!policy.kinds.empty() && std::includes(other.kinds.begin(), other.kinds.end(),
                                                                       policy.kinds.begin(), policy.kinds.end()));
    return named && kinds && matched_by(policy.groups, other.groups) && matched_by(policy.projects, other.projects) &&
           matched_by(policy.flavors, other.flavors) && as_early(other, policy);
}

/// Of two that cover each other, the one that stands first has the effect.
const Policy* covered_by(const Policy& policy, const std::vector<Policy>& policies, const std::string& sink) {
    bool earlier = true;
    for (const Policy& other : policies) {
        if (other.name == policy.name) {
            earlier = false;
        } else if (decides_for(other, policy, sink) && (earlier || !decides_for(policy, other, sink))) {
            return &other;
        }
    }
    return nullptr;
}

std::string joined_names(const std::set<std::string>& names) {
    std::string out;
    for (const std::string& name : names)
        out += (out.empty() ? "" : ", ") + name;
    return out;
}

}  // namespace

std::string why_without_effect(const Policy& policy, const std::vector<Policy>& policies,
                               const std::set<std::string>& guests_only) {
    if (of_hosts_only(policy)) {
        if (policy.asks_inventory())
            return "can never match: alarms of a whole host (" + joined_names(policy.kinds) +
                   ") are of no group, project or flavor, expected kinds of guests or none of these keys";
        if (std::all_of(policy.sinks.begin(), policy.sinks.end(),
                        [&](const std::string& sink) { return guests_only.contains(sink); }))
            return "can never match: its sinks take no alarms of a whole host (" + joined_names(policy.kinds) +
                   "), expected kinds of guests or another sink";
    }
    std::set<std::string> covering;
    for (const std::string& sink : policy.sinks) {
        const Policy* other = covered_by(policy, policies, sink);
        if (other == nullptr) return {};
        covering.insert("[policy " + other->name + "]");
    }
    if (covering.empty()) return {};
    return "has no effect: " + joined_names(covering) +
           " sends the same and more to its sinks, as early; expected something that only this policy matches";
}

}  // namespace vitalwire::controller
