#include "controller/model/policy.hpp"

#include <fnmatch.h>

#include <algorithm>

namespace vitalwire::controller {

namespace {

bool any_matches(const std::vector<std::string>& patterns, const std::string& text) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return ::fnmatch(pattern.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
    });
}

bool place_matches(const Policy& policy, const Alarm& alarm) {
    const auto allows = [](const std::vector<std::string>& patterns, const std::string& text) {
        return patterns.empty() || any_matches(patterns, text);
    };
    const bool group = allows(policy.groups, alarm.group.str()) || any_matches(policy.groups, alarm.group_name);
    return group && allows(policy.projects, alarm.project) && allows(policy.flavors, alarm.flavor);
}

base::Millis hold_off_of(const Policy& policy, base::Millis interval) {
    return policy.hold_off_intervals > 0 ? policy.hold_off_intervals * interval : policy.hold_off;
}

/// A guest's own word, and its hypervisor's, stands whatever I/O there is.
bool takes_io_into_account(const Policy& policy, const Alarm& alarm) {
    const auto kind = model::parse_fault_kind(alarm.kind);
    return policy.no_io_for > base::Millis::zero() && kind && model::is_silence(*kind);
}

bool waits_for_io(const Policy& policy, const Alarm& alarm, const IoKnowledge& io) {
    if (!takes_io_into_account(policy, alarm) || io.kind == IoKnowledge::Kind::unknown) return false;
    return io.kind == IoKnowledge::Kind::awaited || io.idle < policy.no_io_for;
}

void add_waiting(PolicyDecision& decision, base::Millis hold_off) {
    decision.io_hold_off = std::min(decision.io_hold_off.value_or(hold_off), hold_off);
    if (decision.kind != PolicyDecision::Kind::deliver) decision.kind = PolicyDecision::Kind::wait;
}

}  // namespace

PolicyDecision decide(const std::vector<Policy>& policies, const Alarm& alarm, bool inventory_known,
                      base::Millis interval, const IoKnowledge& io) {
    PolicyDecision decision{PolicyDecision::Kind::suppress, base::Millis::max()};
    for (const Policy& policy : policies) {
        if (!policy.kinds.empty() && !policy.kinds.contains(alarm.kind)) continue;
        if (policy.asks_inventory()) {
            if (alarm.guest.empty()) continue;
            if (!inventory_known) {
                if (decision.kind == PolicyDecision::Kind::suppress) decision.kind = PolicyDecision::Kind::unknown;
                continue;
            }
            if (!place_matches(policy, alarm)) continue;
        }
        const base::Millis hold_off = hold_off_of(policy, interval);
        if (waits_for_io(policy, alarm, io)) {
            add_waiting(decision, hold_off);
            continue;
        }
        decision.io_unknown |= takes_io_into_account(policy, alarm) && io.kind == IoKnowledge::Kind::unknown;
        decision.kind = PolicyDecision::Kind::deliver;
        decision.hold_off = std::min(decision.hold_off, hold_off);
    }
    if (decision.kind != PolicyDecision::Kind::deliver) decision.hold_off = {};
    return decision;
}

bool asks_io(const std::vector<Policy>& policies, const Alarm& alarm) {
    return std::any_of(policies.begin(), policies.end(), [&](const Policy& policy) {
        return policy.no_io_for > base::Millis::zero() && (!policy.asks_inventory() || place_matches(policy, alarm));
    });
}

}  // namespace vitalwire::controller
