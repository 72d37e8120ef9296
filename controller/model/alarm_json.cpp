#include "controller/model/alarm_json.hpp"

#include <nlohmann/json.hpp>

namespace vitalwire::controller {

nlohmann::json to_json(const Alarm& alarm) {
    nlohmann::json out = {{"id", alarm.id.str()},
                          {"guest", alarm.guest.str()},
                          {"guest_name", alarm.guest_name},
                          {"display_name", alarm.display_name},
                          {"host", alarm.host.str()},
                          {"group", alarm.group.str()},
                          {"project", alarm.project},
                          {"flavor", alarm.flavor},
                          {"kind", alarm.kind},
                          {"severity", alarm.severity},
                          {"state", alarm.open() ? "open" : "cleared"},
                          {"detail", alarm.detail},
                          {"reason", alarm.reason},
                          {"corrective_action", alarm.corrective_action},
                          {"revision", alarm.revision},
                          {"opened_at", base::to_iso8601(alarm.opened_at)},
                          {"updated_at", base::to_iso8601(alarm.updated_at)}};
    if (alarm.cleared_at) {
        out["cleared_at"] = base::to_iso8601(*alarm.cleared_at);
        out["clear_reason"] = alarm.clear_reason;
    }
    return out;
}

}  // namespace vitalwire::controller
