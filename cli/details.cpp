#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/answer.hpp"
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

/// "since            3 s ago": one property of a thing.
class Properties {
public:
    explicit Properties(const Style& style) : style_(style) {}

    void add(const char* name, const std::string& value, Tone tone = Tone::plain) {
        if (value.empty()) return;
        std::string label = name;
        label.resize(kLabelWidth, ' ');
        const std::string text = base::escape(value);
        const std::size_t room = style_.width > kLabelWidth ? style_.width - kLabelWidth : 0;
        lines_.push_back(label + paint(style_.width == 0 ? text : cut_to_width(text, room), tone, style_));
    }
    Lines take() { return std::move(lines_); }

private:
    static constexpr std::size_t kLabelWidth = 18;
    const Style& style_;
    Lines lines_;
};

Table links_table(const json& document, WallTime now, const Style& style) {
    Table table({"CONTROLLER", "LINK", "SINCE", "PRIMARY", "LAST ERROR"});
    for (const json* link : listed(document, "links")) {
        const bool up = bool_or(*link, "up", false);
        table.add({text_or(*link, "name"),
                   {up ? "up" : "down", up ? Tone::good : Tone::bad},
                   Cell::time(text_or(*link, "since"), now, style),
                   bool_or(*link, "primary", false) ? "primary" : "",
                   text_or(*link, "last_error")});
    }
    return table;
}

Table sinks_table(const json& document, WallTime now, const Style& style) {
    Table table({"SINK", "TYPE", "STATE", "SINCE", "QUEUED", "OLDEST", "HELD", "DELIVERED", "FAILED", "LAST ERROR"});
    for (const json* sink : listed(document, "sinks")) {
        const std::string state = text_or(*sink, "state");
        table.add({text_or(*sink, "name"),
                   text_or(*sink, "type"),
                   {state, state == "ok" ? Tone::good : Tone::bad},
                   Cell::time(text_or(*sink, "since"), now, style),
                   std::to_string(int_or(*sink, "queued", 0)),
                   Cell::time(text_or(*sink, "oldest_waiting"), now, style),
                   number(*sink, "held"),
                   std::to_string(int_or(*sink, "delivered", 0)),
                   number(*sink, "failed_attempts"),
                   text_or(*sink, "last_error")});
    }
    return table;
}

Table lost_agents_table(const json& document, WallTime now, const Style& style) {
    Table table({"LOST AGENT", "SINCE", "GUESTS", "FAULTS"});
    const json* agents = wire::find(document, "agents");
    if (agents == nullptr) return table;
    for (const json* agent : listed(*agents, "lost")) {
        table.add({{text_or(*agent, "host"), Tone::bad},
                   Cell::time(text_or(*agent, "since"), now, style),
                   std::to_string(int_or(*agent, "guests", 0)),
                   number(*agent, "faults")});
    }
    return table;
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

/// Of an agent: what no controller has acknowledged.
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

std::string time_text(const std::string& text, WallTime now) {
    const WallTime time = base::from_iso8601(text);
    return time == WallTime{} ? "" : human_time(time) + ", " + human_age(text, now);
}

std::string time_of(const json& object, const char* key, WallTime now) {
    return time_text(text_or(object, key), now);
}

Table journal_table(const json& fault, WallTime now, const Style& style) {
    Table table({"TIME", "EVENT", "SINK", "TIMES", "CONTROLLER", "DETAIL"});
    const json* journal = wire::find(fault, "journal");
    if (journal == nullptr) return table;
    for (const json* entry : listed(*journal, "entries")) {
        table.add({Cell::time(text_or(*entry, "at"), now, style), text_or(*entry, "what"), text_or(*entry, "sink"),
                   number(*entry, "times"), text_or(*entry, "controller"), text_or(*entry, "detail")});
    }
    return table;
}

Table deliveries_table(const json& fault) {
    Table table({"SINK", "STATE", "REVISION", "ATTEMPTS", "LAST ERROR"});
    for (const json* delivery : listed(fault, "deliveries")) {
        table.add({text_or(*delivery, "sink"), text_or(*delivery, "state"), number(*delivery, "revision"),
                   number(*delivery, "attempts"), text_or(*delivery, "last_error")});
    }
    return table;
}

/// "until 2026-11-30 12:00:00Z, by eva: new disks; its guests are notified; their votes do not count".
std::string maintenance_text(const json& window) {
    const std::string until = human_time(base::from_iso8601(text_or(window, "until")));
    const std::string what = "until " + until + ", by " + text_or(window, "by") + ": " + text_or(window, "reason");
    return join({what, bool_or(window, "notify", false) ? "its guests are notified" : "",
                 bool_or(window, "force", false) ? "their votes do not count" : ""},
                "; ");
}

/// Of a guest, host or fault that one covers.
std::string maintenance_of(const json& entry) {
    const json* window = wire::find(entry, "maintenance");
    return window == nullptr ? "" : maintenance_text(*window);
}

}  // namespace

void add_line(Lines& out, const std::string& text, const Style& style) {
    out.push_back(style.width == 0 ? text : cut_to_width(text, style.width));
}

void add_section(Lines& out, const Table& table, const Style& style) {
    if (table.empty()) return;
    out.emplace_back();
    const Lines lines = table.lines(style);
    out.insert(out.end(), lines.begin(), lines.end());
}

Table problems_table(const json& document, WallTime now, const Style& style) {
    Table table({"PROBLEM", "SINCE", "DETAIL"});
    for (const json* problem : listed(document, "problems"))
        table.add({{text_or(*problem, "what"), Tone::bad},
                   Cell::time(text_or(*problem, "since"), now, style),
                   text_or(*problem, "detail")});
    return table;
}

Lines status_view(const json& document, WallTime now, const Style& style) {
    Lines out;
    add_headline(out, document, now, style);
    const json* guests = wire::find(document, "guests");
    const std::string total = counted(guests == nullptr ? 0 : int_or(*guests, "total", 0), "guest");
    add_line(out, join({total, counts_of(document, "guests", kStates)}, ": "), style);
    const std::string faults = counts_of(document, "faults_open", kSeverities);
    add_line(out, faults.empty() ? "no open faults" : "open faults: " + faults, style);
    for (const json* window : listed(document, "maintenance"))
        add_line(out,
                 "maintenance of " +
                     base::escape(
                         join({text_or(*window, "scope"), text_or(*window, "name"), maintenance_text(*window)}, " ")),
                 style);
    add_undelivered(out, document, now, style);
    if (const json* agents = wire::find(document, "agents"); agents != nullptr) {
        add_line(out,
                 "agents: " + std::to_string(int_or(*agents, "connected", 0)) + " connected of " +
                     std::to_string(int_or(*agents, "known", 0)),
                 style);
    }
    add_section(out, problems_table(document, now, style), style);
    add_section(out, lost_agents_table(document, now, style), style);
    add_section(out, sinks_table(document, now, style), style);
    add_section(out, links_table(document, now, style), style);
    return out;
}

Lines guest_view(const json& document, WallTime now, const Style& style) {
    const json empty = json::object();
    const json* found = wire::find(document, "guest");
    const json& guest = found == nullptr ? empty : *found;
    const std::string state = text_or(guest, "state");
    const std::string own_name = text_or(guest, "name");
    Properties properties(style);
    properties.add("guest", text_or(guest, "guest"));
    properties.add("name", name_of(guest));
    if (own_name != name_of(guest)) properties.add("its own name", own_name);
    properties.add("state", join({state, text_or(guest, "hold")}, ", "), tone_of_state(state));
    properties.add("warning", text_or(guest, "warning"), Tone::warning);
    properties.add("in the cloud", text_or(guest, "cloud_state"));
    properties.add("maintenance", maintenance_of(guest), Tone::warning);
    properties.add("host", text_or(guest, "host"));
    properties.add("host's agent",
                   text_or(guest, "stale_since").empty() ? "" : "lost since " + time_of(guest, "stale_since", now),
                   Tone::bad);
    properties.add("server group", text_or(guest, "group"));
    properties.add("registered", time_of(guest, "registered_since", now));
    properties.add("interval", human_interval(int_or(guest, "interval_ms", 0)));
    properties.add("deadline", human_interval(int_or(guest, "response_deadline_ms", 0)));
    properties.add("round trip", human_micros(int_or(guest, "last_round_trip_us", -1)));
    properties.add("longest (1 h)", human_micros(int_or(guest, "longest_round_trip_us", -1)),
                   near_deadline(guest).empty() ? Tone::plain : Tone::warning);
    properties.add("missed deadlines", number(guest, "misses"), Tone::warning);
    properties.add("late answers", number(guest, "late"), Tone::warning);
    properties.add("refused messages", number(guest, "refused"), Tone::warning);
    Lines out = properties.take();
    const Table faults = faults_table(document, now, style);
    if (faults.empty()) out.emplace_back("no faults");
    add_section(out, faults, style);
    add_section(out, round_trips_table({&guest}), style);
    return out;
}

Lines fault_view(const json& document, WallTime now, const Style& style) {
    const std::string severity = text_or(document, "severity");
    const std::string state = text_or(document, "state");
    Properties properties(style);
    properties.add("fault", text_or(document, "id"));
    properties.add("kind", join({severity, text_or(document, "kind")}, " "),
                   state == "cleared" ? Tone::plain : tone_of_severity(severity));
    properties.add("of", subject_of(document));
    properties.add("state", state);
    properties.add("unconfirmed", time_of(document, "unconfirmed_since", now), Tone::warning);
    properties.add("because", text_or(document, "unconfirmed_why"), Tone::warning);
    properties.add("maintenance", maintenance_of(document), Tone::warning);
    properties.add("detail", why(document));
    properties.add("wanted action", text_or(document, "corrective_action"));
    const auto when = [&](const std::string& here, const char* key) {
        return join({time_text(here, now), by_its_host(text_or(document, key), here)}, ", ");
    };
    const std::string cleared = cleared_here(document);
    properties.add("opened", when(opened_here(document), "opened_at"));
    if (cleared.empty()) properties.add("updated", when(updated_here(document), "updated_at"));
    properties.add("cleared", join({when(cleared, "cleared_at"), text_or(document, "clear_reason")}, ": "));
    Lines out = properties.take();
    add_section(out, deliveries_table(document), style);
    add_section(out, journal_table(document, now, style), style);
    return out;
}

Lines host_view(const json& document, WallTime now, const Style& style) {
    Lines out;
    const Lines agent = agents_table(document, now, style).lines(style);
    out.insert(out.end(), agent.begin(), agent.end());
    add_section(out, problems_table(document, now, style), style);
    add_section(out, faults_table(document, now, style), style);
    add_section(out, guests_table(document, now, style), style);
    add_section(out, round_trips_table(listed(document, "guests")), style);
    return out;
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

Lines reload_view(const json& document) {
    Lines lines;
    for (const auto& [key, what] :
         {std::pair("applied", "applied: "), std::pair("needs_restart", "needs a restart: ")}) {
        const json* changes = wire::find(document, key);
        if (changes == nullptr || !changes->is_array()) continue;
        for (const json& change : *changes) {
            if (change.is_string()) lines.push_back(what + base::escape(change.get<std::string>()));
        }
    }
    if (lines.empty()) lines.emplace_back("read again, no value of the file has changed");
    return lines;
}

}  // namespace vitalwire::cli
