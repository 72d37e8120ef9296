#include "controller/sinks/kinds.hpp"

#include "base/text.hpp"

namespace vitalwire::controller {

std::set<std::string> read_kinds(runtime::ConfigReader& section) {
    static const std::set<std::string> known = {"heartbeat_lost", "vm_crashed", "unhealthy", "not_established"};
    if (!section.has("kinds")) return {"heartbeat_lost", "vm_crashed"};
    std::set<std::string> kinds;
    for (const std::string& kind : section.list("kinds")) {
        kinds.insert(kind);
        if (!known.contains(kind))
            section.refuse("kinds", "expected some of heartbeat_lost, vm_crashed, unhealthy, not_established, found '" +
                                        base::escape(kind, 64) + "'");
    }
    return kinds;
}

}  // namespace vitalwire::controller
