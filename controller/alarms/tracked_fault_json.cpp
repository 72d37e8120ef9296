#include "controller/alarms/tracked_fault_json.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "bus/json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;

namespace {

/// Only what is not empty.
json to_row(const AlarmNames& names) {
    json row = {{"host", names.host.str()},       {"display_name", names.display_name}, {"group", names.group.str()},
                {"group_name", names.group_name}, {"project", names.project},           {"flavor", names.flavor}};
    std::erase_if(row.get_ref<json::object_t&>(), [](const auto& item) { return item.second == ""; });
    return row;
}

AlarmNames names_from(const json& row) {
    const json* object = wire::find(row, "names");
    if (object == nullptr) return {};
    const auto text = [&](const char* key) { return wire::text_or(*object, key); };
    return {base::HostId(text("host")), text("display_name"), base::GroupId(text("group")),
            text("group_name"),         text("project"),      text("flavor")};
}

}  // namespace

json to_json(const TrackedFault& tracked) {
    json row = {{"host", tracked.host.str()},
                {"fault", bus::to_json(tracked.fault)},
                {"received_at", base::to_iso8601(tracked.received_at)}};
    if (tracked.changed_at != base::WallTime{}) row["changed_at"] = base::to_iso8601(tracked.changed_at);
    if (tracked.withheld) row["withheld"] = true;
    if (json names = to_row(tracked.names); !names.empty()) row["names"] = std::move(names);
    if (tracked.unconfirmed) {
        row["unconfirmed_since"] = base::to_iso8601(tracked.unconfirmed->since);
        row["unconfirmed_why"] = tracked.unconfirmed->why;
    }
    return row;
}

std::optional<TrackedFault> tracked_fault_from_json(const json& row) {
    const json* object = wire::find(row, "fault");
    const std::string host = wire::text_or(row, "host");
    if (object == nullptr || host.empty()) return std::nullopt;
    const auto fault = bus::fault_from_json(*object);
    if (!fault) return std::nullopt;
    TrackedFault tracked{*fault,
                         base::HostId(host),
                         base::from_iso8601(wire::text_or(row, "received_at")),
                         {},
                         wire::bool_or(row, "withheld", false),
                         names_from(row)};
    tracked.changed_at = base::from_iso8601(wire::text_or(row, "changed_at"));
    const base::WallTime since = base::from_iso8601(wire::text_or(row, "unconfirmed_since"));
    if (since != base::WallTime{}) tracked.unconfirmed = Unconfirmed{since, wire::text_or(row, "unconfirmed_why")};
    return tracked;
}

}  // namespace vitalwire::controller
