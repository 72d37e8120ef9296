#include <nlohmann/json.hpp>
#include <tuple>

#include "cli/answer.hpp"
#include "cli/events.hpp"
#include "cli/human.hpp"
#include "cli/round_trips.hpp"
#include "cli/views.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using base::WallTime;
using nlohmann::json;
using wire::bool_or;
using wire::int_or;
using wire::text_or;

namespace {

/// Enough to name a fault on the command line. An alarm's id is a name, whose beginning many have.
constexpr std::size_t kShortId = 8;

Cell short_id(const json& fault, const Style& style) {
    const std::string id = text_or(fault, "id");
    const bool whole = style.wide || id.find('.') != std::string::npos;
    return {whole ? id : id.substr(0, kShortId), id};
}

Cell count(const json& object, const char* key) {
    return Cell::number(int_or(object, key, 0), number(object, key));
}

std::string clear_reason(const json& fault) {
    return text_or(fault, "clear_reason");
}

}  // namespace

Table guests_table(const json& document, WallTime now, const Style& style) {
    Table table({"STATE",
                 "GUEST",
                 "NAME",
                 "HOST",
                 "GROUP",
                 "REGISTERED",
                 "INTERVAL",
                 "ROUND TRIP",
                 "LONGEST",
                 "MISSED",
                 "LATE",
                 "REFUSED",
                 "NOTE",
                 {"OWN NAME", true},
                 {"CLOUD STATE", true}});
    const auto order = [](const json& guest) {
        return std::tuple(rank(kStates, text_or(guest, "state")), text_or(guest, "host"), text_or(guest, "guest"));
    };
    for (const json* guest : sorted(document, "guests", order)) {
        const std::string state = text_or(*guest, "state");
        const std::string stale = human_age(text_or(*guest, "stale_since"), now);
        const std::int64_t interval = int_or(*guest, "interval_ms", 0);
        const std::int64_t round_trip = int_or(*guest, "last_round_trip_us", -1);
        const std::int64_t longest = int_or(*guest, "longest_round_trip_us", -1);
        const std::string near = near_deadline(*guest);
        table.add({{state, tone_of_state(state)},
                   text_or(*guest, "guest"),
                   name_of(*guest),
                   text_or(*guest, "host"),
                   text_or(*guest, "group"),
                   Cell::time(text_or(*guest, "registered_since"), now, style),
                   Cell::number(interval, human_interval(interval)),
                   Cell::number(round_trip, human_micros(round_trip)),
                   Cell::number(longest, human_micros(longest)),
                   count(*guest, "misses"),
                   count(*guest, "late"),
                   count(*guest, "refused"),
                   join({text_or(*guest, "hold"), wire::find(*guest, "maintenance") == nullptr ? "" : "maintenance",
                         stale.empty() ? "" : "agent lost " + stale, near.empty() ? "" : "near its deadline: " + near,
                         text_or(*guest, "warning")},
                        ", "),
                   text_or(*guest, "name"),
                   text_or(*guest, "cloud_state")});
    }
    return table;
}

Table faults_table(const json& document, WallTime now, const Style& style) {
    Table table({"SEVERITY",
                 "ID",
                 "FAULT",
                 "GUEST",
                 "NAME",
                 "HOST",
                 "OPENED",
                 "CLEARED",
                 "DETAIL",
                 "DELIVERY",
                 {"CLEAR REASON", true},
                 {"REVISION", true}});
    auto faults = listed(document, "faults");
    const auto alarms = listed(document, "alarms");
    faults.insert(faults.end(), alarms.begin(), alarms.end());
    sort_faults(faults);
    for (const json* fault : faults) {
        const std::string severity = text_or(*fault, "severity");
        const bool cleared = text_or(*fault, "state") == "cleared";
        Cell end = Cell::time(cleared_here(*fault), now, style);
        const std::string unconfirmed = cleared ? "" : human_age(text_or(*fault, "unconfirmed_since"), now);
        if (cleared && !style.wide) end.text = join({end.text, clear_reason(*fault)}, ", ");
        table.add({{severity, cleared ? Tone::plain : tone_of_severity(severity)},
                   short_id(*fault, style),
                   text_or(*fault, "kind"),
                   text_or(*fault, "guest"),
                   name_of(*fault),
                   text_or(*fault, "host"),
                   Cell::time(opened_here(*fault), now, style),
                   std::move(end),
                   join({why(*fault), unconfirmed.empty() ? "" : "unconfirmed, last confirmed " + unconfirmed}, "; "),
                   delivery_of(*fault),
                   clear_reason(*fault),
                   count(*fault, "revision")});
    }
    return table;
}

Table agents_table(const json& document, WallTime now, const Style& style) {
    Table table({"STATE", "HOST", "VERSION", "PEER", "SINCE", "LAST SEEN", "PRIMARY", "GUESTS", "FAULTS"});
    const auto order = [](const json& agent) {
        return std::pair(bool_or(agent, "connected", false), text_or(agent, "host"));
    };
    for (const json* agent : sorted(document, "agents", order)) {
        const bool connected = bool_or(*agent, "connected", false);
        table.add({{connected ? "connected" : "lost", connected ? Tone::good : Tone::bad},
                   text_or(*agent, "host"),
                   text_or(*agent, "version"),
                   text_or(*agent, "peer"),
                   Cell::time(text_or(*agent, "since"), now, style),
                   Cell::time(text_or(*agent, "last_seen"), now, style),
                   bool_or(*agent, "primary", false) ? "primary" : "",
                   std::to_string(int_or(*agent, "guests", 0)),
                   count(*agent, "faults")});
    }
    return table;
}

Table groups_table(const json& document, WallTime, const Style&) {
    Table table({"GROUP", "NAME", "PROJECT", "MEMBERS", "BROADCASTS", "DELIVERIES", "NOTIFICATIONS", "QUERIES"});
    for (const json* group : sorted(document, "groups", [](const json& entry) { return text_or(entry, "id"); })) {
        table.add({text_or(*group, "id"), text_or(*group, "name"), text_or(*group, "project"),
                   std::to_string(int_or(*group, "members", 0)), count(*group, "broadcasts"),
                   count(*group, "deliveries"), count(*group, "notifications"), count(*group, "queries")});
    }
    return table;
}

Table coverage_table(const json& document, WallTime, const Style&) {
    Table table({"COVERAGE", "GUEST", "HOST", "WHY"});
    const auto order = [](const json& guest) {
        return std::tuple(rank(kCoverages, text_or(guest, "coverage")), text_or(guest, "host"),
                          text_or(guest, "guest"));
    };
    for (const json* guest : sorted(document, "guests", order)) {
        const std::string coverage = text_or(*guest, "coverage");
        table.add({{coverage, coverage == "watched" ? Tone::good : Tone::warning},
                   text_or(*guest, "guest"),
                   text_or(*guest, "host"),
                   text_or(*guest, "why")});
    }
    return table;
}

Table maintenance_table(const json& document, WallTime now, const Style& style) {
    Table table({"STATE", "SCOPE", "NAME", "SINCE", "UNTIL", "GUESTS", "BY", "REASON", {"ID", true}});
    const auto order = [](const json& window) { return std::tuple(text_or(window, "until"), text_or(window, "id")); };
    for (const json* window : sorted(document, "maintenance", order)) {
        const bool active = wire::bool_or(*window, "active", false);
        table.add({{active ? "active" : "over", active ? Tone::warning : Tone::plain},
                   text_or(*window, "scope"),
                   text_or(*window, "label").empty() ? text_or(*window, "name") : text_or(*window, "label"),
                   Cell::time(text_or(*window, "since"), now, style),
                   Cell::until(text_or(*window, "until"), now, style),
                   join({bool_or(*window, "notify", false) ? "notified" : "",
                         bool_or(*window, "force", false) ? "forced" : ""},
                        " "),
                   text_or(*window, "by"),
                   text_or(*window, "reason"),
                   text_or(*window, "id")});
    }
    return table;
}

Table events_table(const json& document, WallTime now, const Style& style) {
    Table table({"TIME", "EVENT", "SEVERITY", "FAULT", "GUEST", "NAME", "HOST", "DETAIL", {"ID", true}});
    for (const json* event : listed(document, "events")) {
        const json empty = json::object();
        const json* found = wire::find(*event, "fault");
        const json& fault = found == nullptr ? empty : *found;
        const std::string what = text_or(*event, "event");
        const std::string severity = text_or(fault, "severity");
        table.add({Cell::time(text_or(*event, "time"), now, style),
                   {what, what == "cleared" ? Tone::good : Tone::plain},
                   {severity, what == "cleared" ? Tone::plain : tone_of_severity(severity)},
                   text_or(fault, "kind"),
                   text_or(fault, "guest"),
                   name_of(fault),
                   text_or(fault, "host"),
                   join({what == "cleared" ? clear_reason(fault) : why(fault), time_by_host(*event, fault)}, "; "),
                   text_or(fault, "id")});
    }
    return table;
}

}  // namespace vitalwire::cli
