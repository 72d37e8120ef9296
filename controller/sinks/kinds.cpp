#include "controller/sinks/kinds.hpp"

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

namespace {

const std::vector<std::string> kGuestKinds = {"heartbeat_lost", "vm_crashed", "unhealthy", "not_established"};

std::set<std::string> read_some_of(runtime::ConfigReader& section, const std::vector<std::string>& known) {
    std::string names;
    for (const std::string& kind : known)
        names += (names.empty() ? "" : ", ") + kind;
    std::set<std::string> kinds;
    for (const std::string& kind : section.list("kinds")) {
        kinds.insert(kind);
        if (std::find(known.begin(), known.end(), kind) == known.end())
            section.refuse("kinds", "expected some of " + names + ", found '" + base::escape(kind, 64) + "'");
    }
    return kinds;
}

}  // namespace

std::set<std::string> read_kinds(runtime::ConfigReader& section) {
    if (!section.has("kinds")) return {"heartbeat_lost", "vm_crashed"};
    return read_some_of(section, kGuestKinds);
}

std::set<std::string> read_alarm_kinds(runtime::ConfigReader& section) {
    std::vector<std::string> kinds = kGuestKinds;
    kinds.insert(kinds.end(), {kAgentLost, kSinkFailing});
    return read_some_of(section, kinds);
}

}  // namespace vitalwire::controller
