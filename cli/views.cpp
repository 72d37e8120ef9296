#include "cli/views.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <tuple>

#include "base/text.hpp"
#include "cli/human.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using base::WallTime;
using nlohmann::json;
using wire::bool_or;
using wire::int_or;
using wire::text_or;

namespace {

/// Position in a list that begins with the worst; unknown words are the worst: nobody should overlook them.
template <std::size_t N>
std::size_t rank(const std::array<std::string_view, N>& worst_first, std::string_view word) {
    const auto at = std::find(worst_first.begin(), worst_first.end(), word);
    return at == worst_first.end() ? 0 : static_cast<std::size_t>(at - worst_first.begin()) + 1;
}

constexpr std::array<std::string_view, 6> kStates = {"crashed", "lost",         "unhealthy",
                                                     "held",    "unregistered", "registered"};
constexpr std::array<std::string_view, 3> kSeverities = {"critical", "major", "warning"};

Tone tone_of_state(std::string_view state) {
    if (state == "registered") return Tone::good;
    if (state == "crashed" || state == "lost") return Tone::bad;
    return state == "unregistered" ? Tone::plain : Tone::warning;
}

Tone tone_of_heartbeat(std::string_view heartbeat) {
    if (heartbeat == "healthy") return Tone::good;
    if (heartbeat == "lost") return Tone::bad;
    return heartbeat == "unhealthy" ? Tone::warning : Tone::plain;
}

Tone tone_of_severity(std::string_view severity) {
    return severity == "critical" ? Tone::bad : Tone::warning;
}

/// The members of the array `key`, sorted by `key_of`; none when it is no array.
template <class KeyOf>
std::vector<const json*> sorted(const json& document, const char* key, KeyOf key_of) {
    std::vector<const json*> out;
    const json* list = wire::find(document, key);
    if (list == nullptr || !list->is_array()) return out;
    for (const json& entry : *list)
        out.push_back(&entry);
    std::stable_sort(out.begin(), out.end(), [&](const json* a, const json* b) { return key_of(*a) < key_of(*b); });
    return out;
}

std::vector<const json*> listed(const json& document, const char* key) {
    return sorted(document, key, [](const json&) { return 0; });
}

std::string number(const json& object, const char* key) {
    const std::int64_t value = int_or(object, key, 0);
    return value == 0 ? "" : std::to_string(value);
}

std::string name_of(const json& guest) {
    const std::string display_name = text_or(guest, "display_name");
    return display_name.empty() ? text_or(guest, "name") : display_name;
}

std::string join(std::initializer_list<std::string> parts, const char* separator) {
    std::string out;
    for (const std::string& part : parts) {
        if (part.empty()) continue;
        if (!out.empty()) out += separator;
        out += part;
    }
    return out;
}

/// "990 registered, 3 lost" of an object of counts, in the order of `words`; zeros are left out.
template <std::size_t N>
std::string counts_of(const json& document, const char* key, const std::array<std::string_view, N>& words) {
    const json* counts = wire::find(document, key);
    if (counts == nullptr) return {};
    std::string out;
    for (const std::string_view word : words) {
        const std::int64_t count = int_or(*counts, std::string(word).c_str(), 0);
        if (count != 0) out += (out.empty() ? "" : ", ") + std::to_string(count) + ' ' + std::string(word);
    }
    return out;
}

std::string safe(const json& object, const char* key) {
    return base::escape(text_or(object, key));
}

/// True when nothing about it is to be done by this controller any more.
bool is_done(const std::string& delivery) {
    return delivery == "suppressed" || delivery == "skipped" || delivery == "acknowledged_by_peer" ||
           delivery == "pending_at_peer";
}

/// "2 acknowledged, doctor retries: connection refused".
std::string delivery_of(const json& fault) {
    std::int64_t acknowledged = 0;
    std::string waiting;
    for (const json* delivery : listed(fault, "deliveries")) {
        const std::string state = text_or(*delivery, "state");
        if (state == "acknowledged" || state == "acknowledged_by_peer") ++acknowledged;
        if (state == "acknowledged" || is_done(state)) continue;
        const std::string error = text_or(*delivery, "last_error");
        waiting =
            join({waiting, text_or(*delivery, "sink") + ' ' + (error.empty() ? state : "retries: " + error)}, ", ");
    }
    return join({acknowledged == 0 ? "" : std::to_string(acknowledged) + " acknowledged", waiting}, ", ");
}

Lines with_note_when_empty(const Table& table, const Style& style, const char* note) {
    return table.empty() ? Lines{note} : table.lines(style);
}

void add_line(Lines& out, const std::string& text, const Style& style) {
    out.push_back(style.width == 0 ? text : cut_to_width(text, style.width));
}

void add_headline(Lines& out, const json& document, WallTime now, const Style& style) {
    const std::string since = human_age(text_or(document, "since"), now);
    add_line(out,
             join({safe(document, "program"), safe(document, "version"),
                   text_or(document, "host").empty() ? "" : "on " + safe(document, "host"),
                   since.empty() ? "" : "started " + since},
                  " "),
             style);
    const bool healthy = bool_or(document, "healthy", false);
    out.push_back(paint(healthy ? "healthy" : "not healthy", healthy ? Tone::good : Tone::bad, style));
}

void add_section(Lines& out, const Table& table, const Style& style) {
    if (table.empty()) return;
    out.emplace_back();
    const Lines lines = table.lines(style);
    out.insert(out.end(), lines.begin(), lines.end());
}

/// Of an agent: what nobody has been told yet as far as it knows.
void add_undelivered(Lines& out, const json& document, WallTime now, const Style& style) {
    const json* undelivered = wire::find(document, "undelivered");
    const std::int64_t faults = undelivered == nullptr ? 0 : int_or(*undelivered, "faults", 0);
    if (faults == 0) return;
    const std::string oldest = human_age(text_or(*undelivered, "oldest"), now);
    add_line(
        out,
        "not delivered yet: " + join({counted(faults, "fault"), oldest.empty() ? "" : "the oldest " + oldest}, ", "),
        style);
}

Table sinks_table(const json& document, WallTime now) {
    Table table({"SINK", "TYPE", "STATE", "SINCE", "QUEUED", "OLDEST", "HELD", "DELIVERED", "FAILED", "LAST ERROR"});
    for (const json* sink : listed(document, "sinks")) {
        const std::string state = text_or(*sink, "state");
        table.add({text_or(*sink, "name"),
                   text_or(*sink, "type"),
                   {state, state == "ok" ? Tone::good : Tone::bad},
                   human_age(text_or(*sink, "since"), now),
                   std::to_string(int_or(*sink, "queued", 0)),
                   human_age(text_or(*sink, "oldest_waiting"), now),
                   number(*sink, "held"),
                   std::to_string(int_or(*sink, "delivered", 0)),
                   number(*sink, "failed_attempts"),
                   text_or(*sink, "last_error")});
    }
    return table;
}

Table lost_agents_table(const json& document, WallTime now) {
    Table table({"LOST AGENT", "SINCE", "GUESTS", "FAULTS"});
    const json* agents = wire::find(document, "agents");
    if (agents == nullptr) return table;
    for (const json* agent : listed(*agents, "lost")) {
        table.add({{text_or(*agent, "host"), Tone::bad},
                   human_age(text_or(*agent, "since"), now),
                   std::to_string(int_or(*agent, "guests", 0)),
                   number(*agent, "faults")});
    }
    return table;
}

Table links_table(const json& document, WallTime now) {
    Table table({"CONTROLLER", "LINK", "SINCE", "LEAD", "LAST ERROR"});
    for (const json* link : listed(document, "links")) {
        const bool up = bool_or(*link, "up", false);
        table.add({text_or(*link, "name"),
                   {up ? "up" : "down", up ? Tone::good : Tone::bad},
                   human_age(text_or(*link, "since"), now),
                   bool_or(*link, "lead", false) ? "lead" : "",
                   text_or(*link, "last_error")});
    }
    return table;
}

Table problems_table(const json& document, WallTime now) {
    Table table({"PROBLEM", "SINCE", "DETAIL"});
    for (const json* problem : listed(document, "problems"))
        table.add({{text_or(*problem, "what"), Tone::bad},
                   human_age(text_or(*problem, "since"), now),
                   text_or(*problem, "detail")});
    return table;
}

void keep(json& document, const char* key, const auto& wanted) {
    const auto list = document.find(key);
    if (list == document.end() || !list->is_array()) return;
    json kept = json::array();
    for (json& entry : *list) {
        if (wanted(entry)) kept.push_back(std::move(entry));
    }
    *list = std::move(kept);
}

}  // namespace

void apply_filters(json& document, const Options& options) {
    const auto matches = [](const json& entry, const char* key, const std::string& wanted) {
        return wanted.empty() || text_or(entry, key) == wanted;
    };
    keep(document, "guests", [&](const json& guest) {
        return matches(guest, "host", options.host) && matches(guest, "group", options.group) &&
               matches(guest, "state", options.state);
    });
    keep(document, "faults", [&](const json& fault) {
        return matches(fault, "guest", options.guest) || text_or(fault, "guest_name") == options.guest;
    });
}

Lines status_view(const json& document, WallTime now, const Style& style) {
    Lines out;
    add_headline(out, document, now, style);
    const json* guests = wire::find(document, "guests");
    const std::string total = counted(guests == nullptr ? 0 : int_or(*guests, "total", 0), "guest");
    add_line(out, join({total, counts_of(document, "guests", kStates)}, ": "), style);
    const std::string faults = counts_of(document, "faults_open", kSeverities);
    add_line(out, faults.empty() ? "no open faults" : "open faults: " + faults, style);
    add_undelivered(out, document, now, style);
    if (const json* agents = wire::find(document, "agents"); agents != nullptr) {
        add_line(out,
                 "agents: " + std::to_string(int_or(*agents, "connected", 0)) + " connected of " +
                     std::to_string(int_or(*agents, "known", 0)),
                 style);
    }
    add_section(out, problems_table(document, now), style);
    add_section(out, lost_agents_table(document, now), style);
    add_section(out, sinks_table(document, now), style);
    add_section(out, links_table(document, now), style);
    return out;
}

Lines guests_view(const json& document, WallTime now, const Style& style) {
    Table table({"STATE", "GUEST", "NAME", "HOST", "GROUP", "REGISTERED", "INTERVAL", "ROUND TRIP", "MISSED", "LATE",
                 "REFUSED", "NOTE"});
    const auto order = [](const json& guest) {
        return std::tuple(rank(kStates, text_or(guest, "state")), text_or(guest, "host"), text_or(guest, "guest"));
    };
    for (const json* guest : sorted(document, "guests", order)) {
        const std::string state = text_or(*guest, "state");
        const std::string stale = human_age(text_or(*guest, "stale_since"), now);
        table.add({{state, tone_of_state(state)},
                   text_or(*guest, "guest"),
                   name_of(*guest),
                   text_or(*guest, "host"),
                   text_or(*guest, "group"),
                   human_age(text_or(*guest, "registered_since"), now),
                   human_interval(int_or(*guest, "interval_ms", 0)),
                   human_micros(int_or(*guest, "last_round_trip_us", -1)),
                   number(*guest, "misses"),
                   number(*guest, "late"),
                   number(*guest, "refused"),
                   join({text_or(*guest, "hold"), stale.empty() ? "" : "agent lost " + stale}, ", ")});
    }
    return with_note_when_empty(table, style, "no guests");
}

Lines faults_view(const json& document, WallTime now, const Style& style) {
    Table table({"SEVERITY", "FAULT", "GUEST", "NAME", "HOST", "OPENED", "CLEARED", "DETAIL", "DELIVERY"});
    auto faults = listed(document, "faults");
    std::stable_sort(faults.begin(), faults.end(), [](const json* a, const json* b) {
        const auto key = [](const json& fault) {
            return std::pair(text_or(fault, "state") == "cleared", rank(kSeverities, text_or(fault, "severity")));
        };
        // Of the same rank the newest first; times in this form sort as text.
        return std::pair(key(*a), text_or(*b, "opened_at")) < std::pair(key(*b), text_or(*a, "opened_at"));
    });
    for (const json* fault : faults) {
        const std::string severity = text_or(*fault, "severity");
        const bool cleared = text_or(*fault, "state") == "cleared";
        const std::string age = human_age(text_or(*fault, "cleared_at"), now);
        table.add({{severity, cleared ? Tone::plain : tone_of_severity(severity)},
                   text_or(*fault, "kind"),
                   text_or(*fault, "guest"),
                   text_or(*fault, "guest_name"),
                   text_or(*fault, "host"),
                   human_age(text_or(*fault, "opened_at"), now),
                   cleared ? join({age, text_or(*fault, "clear_reason")}, ", ") : "",
                   join({text_or(*fault, "detail"), text_or(*fault, "reason")}, ": "),
                   delivery_of(*fault)});
    }
    return with_note_when_empty(table, style, "no faults");
}

Lines agents_view(const json& document, WallTime now, const Style& style) {
    Table table({"STATE", "HOST", "VERSION", "PEER", "SINCE", "LAST SEEN", "LEAD", "GUESTS", "FAULTS"});
    const auto order = [](const json& agent) {
        return std::pair(bool_or(agent, "connected", false), text_or(agent, "host"));
    };
    for (const json* agent : sorted(document, "agents", order)) {
        const bool connected = bool_or(*agent, "connected", false);
        table.add({{connected ? "connected" : "lost", connected ? Tone::good : Tone::bad},
                   text_or(*agent, "host"),
                   text_or(*agent, "version"),
                   text_or(*agent, "peer"),
                   human_age(text_or(*agent, "since"), now),
                   human_age(text_or(*agent, "last_seen"), now),
                   bool_or(*agent, "lead", false) ? "lead" : "",
                   std::to_string(int_or(*agent, "guests", 0)),
                   number(*agent, "faults")});
    }
    return with_note_when_empty(table, style, "no agents");
}

Lines groups_view(const json& document, WallTime, const Style& style) {
    Table table({"GROUP", "NAME", "PROJECT", "MEMBERS", "BROADCASTS", "DELIVERIES", "NOTIFICATIONS", "QUERIES"});
    for (const json* group : sorted(document, "groups", [](const json& entry) { return text_or(entry, "id"); })) {
        table.add({text_or(*group, "id"), text_or(*group, "name"), text_or(*group, "project"),
                   std::to_string(int_or(*group, "members", 0)), number(*group, "broadcasts"),
                   number(*group, "deliveries"), number(*group, "notifications"), number(*group, "queries")});
    }
    return with_note_when_empty(table, style, "no groups");
}

Lines group_view(const json& document, WallTime, const Style& style) {
    Lines out;
    const std::string project = safe(document, "project");
    add_line(
        out,
        join({"group " + safe(document, "id"), safe(document, "name"), project.empty() ? "" : "project " + project},
             ", "),
        style);
    add_line(out,
             counted(int_or(document, "broadcasts", 0), "broadcast") + " to " +
                 counted(int_or(document, "deliveries", 0), "receiver") + ", " +
                 counted(int_or(document, "notifications", 0), "notification") + ", " +
                 std::to_string(int_or(document, "queries", 0)) + " queries",
             style);
    Table table({"HEARTBEAT", "GUEST", "NAME", "STATE", "TASK", "HOST", "MESSAGING", "REFUSED"});
    for (const json* guest : sorted(document, "guests", [](const json& g) { return text_or(g, "instance_id"); })) {
        const std::string heartbeat = text_or(*guest, "heartbeat");
        const json* channels = wire::find(*guest, "channels");
        const bool connected = channels != nullptr && channels->is_array() && !channels->empty();
        const bool enabled = bool_or(*guest, "messaging", false);
        table.add({{heartbeat, tone_of_heartbeat(heartbeat)},
                   text_or(*guest, "instance_id"),
                   text_or(*guest, "display_name"),
                   text_or(*guest, "state"),
                   text_or(*guest, "state_description"),
                   text_or(*guest, "host"),
                   !enabled    ? "off"
                   : connected ? "connected"
                               : "no channel",
                   number(*guest, "refused")});
    }
    add_section(out, table, style);
    return out;
}

Lines sent_view(const json& document, WallTime, const Style& style) {
    Lines out;
    add_line(out, "sent to " + counted(int_or(document, "guests", 0), "guest") + " of group " + safe(document, "group"),
             style);
    return out;
}

std::string json_text(const json& document, bool one_line) {
    return document.dump(one_line ? -1 : 2, ' ', true, json::error_handler_t::replace);
}

}  // namespace vitalwire::cli
