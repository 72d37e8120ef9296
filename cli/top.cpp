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
using wire::find;
using wire::int_or;
using wire::text_or;

namespace {

constexpr std::size_t kSlowest = 5;

/// One line of the screen, its beginning in a tone: the words that tell how bad it is.
struct Item {
    std::string head;
    std::string rest;
    Tone tone = Tone::plain;
};

std::string rendered(const Item& item, const Style& style) {
    const std::string rest = item.rest.empty() ? "" : ' ' + item.rest;
    if (style.width == 0) return paint(item.head, item.tone, style) + rest;
    const std::string head = cut_to_width(item.head, style.width);
    return paint(head, item.tone, style) + cut_to_width(rest, style.width - width_of(head));
}

const json& member(const json& document, const char* key) {
    static const json empty = json::object();
    const json* found = find(document, key);
    return found == nullptr ? empty : *found;
}

std::vector<Item> fault_items(const json& faults, WallTime now) {
    auto list = listed(faults, "faults");
    const auto alarms = listed(faults, "alarms");
    list.insert(list.end(), alarms.begin(), alarms.end());
    sort_faults(list);
    std::vector<Item> out;
    for (const json* fault : list) {
        const std::string severity = text_or(*fault, "severity");
        const std::string name = name_of(*fault);
        const std::string subject = text_or(*fault, "guest").empty() ? "host " + text_or(*fault, "host")
                                    : name.empty()                   ? text_or(*fault, "guest")
                                                                     : name;
        const std::string host = text_or(*fault, "guest").empty() ? "" : text_or(*fault, "host");
        out.push_back({base::escape(severity + ' ' + text_or(*fault, "kind")),
                       base::escape(join({subject, host, human_age(opened_here(*fault), now), why(*fault)}, "  ")),
                       tone_of_severity(severity)});
    }
    return out;
}

std::vector<Item> problem_items(const json& status, WallTime now) {
    std::vector<Item> out;
    for (const json* problem : listed(status, "problems"))
        out.push_back(
            {"problem " + safe(*problem, "what"),
             base::escape(join({human_age(text_or(*problem, "since"), now), text_or(*problem, "detail")}, "  ")),
             Tone::bad});
    for (const json* sink : listed(status, "sinks")) {
        const std::string state = text_or(*sink, "state");
        if (state == "ok") continue;
        out.push_back(
            {"sink " + safe(*sink, "name") + ' ' + base::escape(state), safe(*sink, "last_error"), Tone::bad});
    }
    return out;
}

std::vector<Item> uncovered_items(const json& coverage) {
    std::vector<Item> out;
    for (const json* guest : listed(coverage, "guests")) {
        if (text_or(*guest, "coverage") != "uncovered") continue;
        out.push_back(
            {"uncovered",
             base::escape(join({text_or(*guest, "guest"), text_or(*guest, "host"), text_or(*guest, "why")}, "  ")),
             Tone::warning});
    }
    return out;
}

std::vector<Item> slowest_items(const json& guests) {
    auto list = sorted(guests, "guests", [](const json& g) { return -int_or(g, "longest_round_trip_us", -1); });
    std::vector<Item> out;
    for (const json* guest : list) {
        const std::int64_t round_trip = int_or(*guest, "longest_round_trip_us", -1);
        if (round_trip < 0 || out.size() == kSlowest) break;
        const std::string near = near_deadline(*guest);
        const std::string name = name_of(*guest);
        out.push_back(
            {"longest round trip " + (near.empty() ? human_micros(round_trip) : near),
             base::escape(join({name.empty() ? text_or(*guest, "guest") : name, text_or(*guest, "host")}, "  ")),
             near.empty() ? Tone::plain : Tone::warning});
    }
    return out;
}

/// "sinks ok: inspector, log".
std::string good_sinks(const json& status) {
    std::string names;
    for (const json* sink : listed(status, "sinks")) {
        if (text_or(*sink, "state") == "ok") names = join({names, safe(*sink, "name")}, ", ");
    }
    return names.empty() ? "" : "sinks ok: " + names;
}

/// "all, host compute-1": of what faults are kept back.
std::string maintained(const json& status) {
    std::string names;
    for (const json* window : listed(status, "maintenance"))
        names = join({names, join({safe(*window, "scope"), safe(*window, "name")}, " ")}, ", ");
    return names;
}

std::string totals(const json& status) {
    const json& agents = member(status, "agents");
    const std::string faults = counts_of(status, "faults_open", kSeverities);
    const std::string guests = counts_of(status, "guests", kStates);
    std::string known;
    if (agents.contains("known"))
        known = "agents " + std::to_string(int_or(agents, "connected", 0)) + '/' +
                std::to_string(int_or(agents, "known", 0));
    return join({faults.empty() ? "no open faults" : "faults: " + faults, guests, known}, " | ");
}

}  // namespace

Lines top_view(const json& document, WallTime now, const Style& style, std::size_t rows) {
    const json& status = member(document, "status");
    const bool healthy = bool_or(status, "healthy", false);
    Lines out = {rendered({healthy ? "healthy" : "not healthy",
                           join({safe(status, "program"),
                                 text_or(status, "host").empty() ? "" : "on " + safe(status, "host"), human_time(now)},
                                " "),
                           healthy ? Tone::good : Tone::bad},
                          style)};
    add_line(out, totals(status), style);
    if (const std::string of = maintained(status); !of.empty())
        out.push_back(rendered({"maintenance keeps faults back:", of, Tone::warning}, style));
    const std::string sinks = good_sinks(status);
    std::vector<Item> items = fault_items(member(document, "faults"), now);
    for (const std::vector<Item>& more : {problem_items(status, now), uncovered_items(member(document, "coverage")),
                                          slowest_items(member(document, "guests"))})
        items.insert(items.end(), more.begin(), more.end());
    const std::size_t used = out.size() + (sinks.empty() ? 0 : 1);
    const std::size_t room = rows > used ? rows - used : 0;
    const bool all_fit = items.size() <= room;
    const std::size_t shown = all_fit ? items.size() : (room > 0 ? room - 1 : 0);
    for (std::size_t i = 0; i < shown; ++i)
        out.push_back(rendered(items[i], style));
    if (!all_fit)
        add_line(out, "... and " + counted(static_cast<std::int64_t>(items.size() - shown), "more line"), style);
    if (!sinks.empty()) add_line(out, sinks, style);
    if (out.size() > rows) out.resize(rows);
    return out;
}

}  // namespace vitalwire::cli
