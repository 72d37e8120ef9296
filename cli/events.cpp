#include "cli/events.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "cli/answer.hpp"
#include "cli/human.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::cli {

using base::WallTime;
using nlohmann::json;
using wire::int_or;
using wire::text_or;

namespace {

std::vector<const json*> entries_of(const json& document) {
    auto out = listed(document, "faults");
    const auto alarms = listed(document, "alarms");
    out.insert(out.end(), alarms.begin(), alarms.end());
    return out;
}

const std::string& or_else(const std::string& time, const std::string& otherwise) {
    return time.empty() ? otherwise : time;
}

}  // namespace

json make_event(const char* event, const std::string& time, const json& fault) {
    return {{"time", time}, {"event", event}, {"fault", fault}};
}

json history(const json& faults, std::optional<WallTime> since, std::optional<WallTime> until) {
    std::vector<json> events;
    const auto add = [&](const char* event, const std::string& time, const json& fault) {
        const WallTime at = base::from_iso8601(time);
        if (at == WallTime{} || (since && at < *since) || (until && at > *until)) return;
        events.push_back(make_event(event, time, fault));
    };
    // An alarm of a host has one id whenever its cause comes.
    const auto add_earlier = [&](const json& times, json alarm) {
        alarm.erase("earlier");
        alarm.update(times);
        alarm["state"] = "cleared";
        add("opened", text_or(times, "opened_at"), alarm);
        add("cleared", text_or(times, "cleared_at"), alarm);
    };
    for (const json* fault : entries_of(faults)) {
        add("opened", opened_here(*fault), *fault);
        if (text_or(*fault, "state") == "cleared") {
            add("cleared", cleared_here(*fault), *fault);
        } else if (text_or(*fault, "updated_at") != text_or(*fault, "opened_at")) {
            add("updated", updated_here(*fault), *fault);
        }
        for (const json* earlier : listed(*fault, "earlier"))
            add_earlier(*earlier, *fault);
    }
    std::stable_sort(events.begin(), events.end(),
                     [](const json& a, const json& b) { return text_or(a, "time") < text_or(b, "time"); });
    return {{"events", std::move(events)}};
}

OpenFaults open_faults(const json& faults) {
    OpenFaults out;
    for (const json* fault : entries_of(faults)) {
        if (text_or(*fault, "state") != "cleared") out[text_or(*fault, "id")] = *fault;
    }
    return out;
}

Changes changes(const OpenFaults& before, const OpenFaults& now, const std::string& time) {
    Changes out;
    for (const auto& [id, fault] : now) {
        const auto earlier = before.find(id);
        if (earlier == before.end()) {
            out.events.push_back(make_event("opened", or_else(opened_here(fault), time), fault));
        } else if (int_or(fault, "revision", 0) != int_or(earlier->second, "revision", 0)) {
            out.events.push_back(make_event("updated", or_else(updated_here(fault), time), fault));
        }
    }
    for (const auto& [id, fault] : before) {
        if (!now.contains(id)) out.gone.push_back(fault);
    }
    return out;
}

std::string time_by_host(const json& event, const json& fault) {
    const std::string what = text_or(event, "event");
    const char* key = what == "opened" ? "opened_at" : what == "cleared" ? "cleared_at" : "updated_at";
    return by_its_host(text_or(fault, key), text_or(event, "time"));
}

std::string event_line(const json& event) {
    const json empty = json::object();
    const json* found = wire::find(event, "fault");
    const json& fault = found == nullptr ? empty : *found;
    const std::string what = text_or(event, "event");
    const std::string reason =
        join({what == "cleared" ? text_or(fault, "clear_reason") : why(fault), time_by_host(event, fault)}, "; ");
    return human_time(base::from_iso8601(text_or(event, "time"))) + ' ' + base::escape(what) + ' ' +
           safe(fault, "severity") + ' ' + safe(fault, "kind") + " of " + base::escape(subject_of(fault)) +
           (reason.empty() ? "" : ", " + base::escape(reason));
}

}  // namespace vitalwire::cli
