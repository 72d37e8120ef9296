#include "controller/model/maintenance.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "wire/field_reader.hpp"

namespace vitalwire::controller {

namespace {
constexpr std::array<std::string_view, 4> kScopes = {"guest", "host", "group", "all"};
constexpr std::size_t kMaxWindowId = 64;
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTime = 64;
constexpr std::size_t kMaxMembers = 10'000;

/// Those that cannot be read are left out: they are covered by the inventory only.
void read_members(const nlohmann::json& object, Maintenance& window) {
    const nlohmann::json* list = wire::find(object, "members");
    if (list == nullptr || !list->is_array()) return;
    for (const nlohmann::json& entry : *list) {
        if (entry.is_string()) window.members.emplace_back(entry.get<std::string>());
        if (window.members.size() == kMaxMembers) break;
    }
    std::sort(window.members.begin(), window.members.end());
}

}  // namespace

std::string_view to_string(MaintenanceScope scope) {
    return kScopes.at(static_cast<std::size_t>(scope));
}

std::optional<MaintenanceScope> parse_maintenance_scope(std::string_view name) {
    const auto at = std::find(kScopes.begin(), kScopes.end(), name);
    if (at == kScopes.end()) return std::nullopt;
    return static_cast<MaintenanceScope>(at - kScopes.begin());
}

nlohmann::json to_json(const Maintenance& window) {
    nlohmann::json object{{"id", window.id},
                          {"scope", std::string(to_string(window.scope))},
                          {"name", window.name},
                          {"since", base::to_iso8601(window.since)},
                          {"until", base::to_iso8601(window.until)},
                          {"reason", window.reason},
                          {"by", window.by},
                          {"label", window.label},
                          {"revision", window.revision},
                          {"notify", window.notify},
                          {"force", window.force}};
    for (const base::GuestId& member : window.members)
        object["members"].push_back(member.str());
    return object;
}

base::Result<Maintenance> maintenance_from_json(const nlohmann::json& object) {
    wire::FieldReader in(object);
    Maintenance window;
    window.id = in.plain_name("id", kMaxWindowId);
    const auto scope = parse_maintenance_scope(in.text("scope", 1, kMaxWindowId));
    if (!scope) in.refuse(base::Errc::bad_field, "key 'scope': expected guest, host, group or all");
    window.scope = scope.value_or(MaintenanceScope::all);
    window.name = in.text("name", window.scope == MaintenanceScope::all ? 0 : 1, kMaxName);
    window.since = base::from_iso8601(in.text("since", 1, kMaxTime));
    window.until = base::from_iso8601(in.text("until", 1, kMaxTime));
    // However far apart: one that is asked for again lasts from its first beginning.
    if (window.since == base::WallTime{} || window.until < window.since)
        in.refuse(base::Errc::bad_field, "keys 'since', 'until': expected two times in this order");
    window.reason = in.text("reason", 1, kMaxMaintenanceText);
    window.by = in.text("by", 0, kMaxName);
    window.label = in.text_or("label", kMaxName);
    window.revision = static_cast<std::uint64_t>(in.integer("revision", 1, INT32_MAX));
    read_members(object, window);
    window.notify = in.boolean_or("notify", false);
    window.force = in.boolean_or("force", false);
    return in.finish(std::move(window));
}

}  // namespace vitalwire::controller
