#include "controller/model/kinds.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "controller/model/alarm.hpp"

namespace vitalwire::controller {

namespace {

/// Those of guests, or all.
std::vector<std::string_view> kinds_known(bool of_hosts_too) {
    std::vector<std::string_view> known;
    for (const model::AlarmKind& kind : model::alarm_kinds()) {
        if (of_hosts_too || !kind.of_host) known.push_back(kind.name);
    }
    return known;
}

std::set<std::string> read_some_of(runtime::ConfigReader& section, const std::vector<std::string_view>& known) {
    std::string names;
    for (const std::string_view kind : known)
        names += (names.empty() ? "" : ", ") + std::string(kind);
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
    if (!section.has("kinds")) return {"heartbeat_lost", "vm_crashed", "stopped_by_host"};
    return read_some_of(section, kinds_known(false));
}

std::set<std::string> read_alarm_kinds(runtime::ConfigReader& section) {
    return read_some_of(section, kinds_known(true));
}

}  // namespace vitalwire::controller
