#include "controller/model/alarm_json.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

namespace {
constexpr std::size_t kMaxAlarmText = 4096;
}

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

std::optional<Alarm> alarm_from_json(const nlohmann::json& row) {
    const auto text = [&](const char* key) { return base::cut_utf8(wire::text_or(row, key), kMaxAlarmText); };
    Alarm alarm;
    alarm.id = base::FaultId(text("id"));
    alarm.kind = text("kind");
    alarm.severity = text("severity");
    alarm.host = base::HostId(text("host"));
    alarm.guest = base::GuestId(text("guest"));
    alarm.detail = text("detail");
    alarm.reason = text("reason");
    const auto revision = wire::int_or(row, "revision", 0);
    if (alarm.id.empty() || alarm.kind.empty() || alarm.host.empty() || revision <= 0) return std::nullopt;
    alarm.revision = static_cast<std::uint64_t>(revision);
    alarm.opened_at = base::from_iso8601(text("opened_at"));
    alarm.updated_at = base::from_iso8601(text("updated_at"));
    const std::string cleared = text("cleared_at");
    if (!cleared.empty()) alarm.cleared_at = base::from_iso8601(cleared);
    alarm.clear_reason = text("clear_reason");
    return alarm;
}

}  // namespace vitalwire::controller
