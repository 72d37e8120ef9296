#include "cli/queries.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cli/answer.hpp"
#include "cli/events.hpp"
#include "cli/select.hpp"
#include "wire/json_reader.hpp"
#include "wire/limits.hpp"

namespace vitalwire::cli {

using base::Result;
using nlohmann::json;

namespace {

constexpr std::int64_t kMaxGuestsOnScreen = 1000;

/// Where guests, hosts or groups are listed.
struct Place {
    const char* page;
    const Kind& kind;
};

// Guests, hosts and groups as entries of other lists name them.
const Kind kHostsOfGuests = {"host", "guests", "host", {}};
const Kind kGroupsOfGuests = {"group", "guests", "group", {}};
const Kind kHostsOfFaults = {"host", "faults", "host", {}};
const Kind kHostsOfAlarms = {"host", "alarms", "host", {}};
const Kind kGuestsOfFaults = {"guest", "faults", "guest", {"display_name"}};
const Kind kOwnNamesOfFaults = {"guest", "faults", "guest_name", {}};

/// What a filter means: one that is in the answer as it was given, else the id of the only one that is called or
/// begins so. A filter by what does not exist must not look like an answer.
Result<void> resolve(Client& client, const json& answer, std::initializer_list<const Kind*> shown,
                     std::initializer_list<Place> places, std::string& wanted) {
    const auto is_shown = [&](const Kind* kind) { return has_one(answer, *kind, wanted); };
    if (wanted.empty() || std::any_of(shown.begin(), shown.end(), is_shown)) return {};
    base::Error error{base::Errc::not_found, {}};
    for (const Place& place : places) {
        auto known = client.get(place.page);
        if (!known && known.error().code == base::Errc::permission) continue;  // an agent has no such page
        if (!known) return tl::make_unexpected(known.error());
        if (has_one(*known, place.kind, wanted) && wanted.ends_with('*')) return {};
        const auto found = select(*known, place.kind, wanted);
        if (found) {
            wanted = wire::text_or(*found, place.kind.id);
            return {};
        }
        error = found.error();
        if (error.code != base::Errc::not_found) break;
    }
    return tl::make_unexpected(error);
}

/// A status has the alarms that are open; an agent's has none.
void move_alarms(json& status, json& faults) {
    if (const auto alarms = status.find("alarms"); alarms != status.end()) faults["alarms"] = std::move(*alarms);
}

/// The faults of that page, and the alarms of hosts that are open.
Result<json> with_alarms(Client& client, const std::string& page, bool ended) {
    auto faults = client.get(page);
    if (!faults) return faults;
    auto status = client.get(ended ? "/v1/status?all=1" : "/v1/status");
    if (!status) return status;
    if (ended && wire::text_or(*status, "program") == "vitalwire-agent")
        return base::fail(base::Errc::permission,
                          "an agent keeps no history, only what no controller has acknowledged: ask a controller");
    move_alarms(*status, *faults);
    return faults;
}

/// The members `from` of `document` whose `key` is `value`.
json only(const json& document, const char* from, const char* key, const std::string& value) {
    json out = json::array();
    const json* entries = wire::find(document, from);
    if (entries == nullptr || !entries->is_array()) return out;
    for (const json& entry : *entries) {
        if (wire::text_or(entry, key) == value) out.push_back(entry);
    }
    return out;
}

Result<json> guests(Client& client, Options options) {
    auto answer = client.get("/v1/guests");
    if (!answer) return answer;
    auto resolved = resolve(client, *answer, {&kHostsOfGuests}, {{"/v1/agents", kAgents}}, options.host);
    if (resolved) resolved = resolve(client, *answer, {&kGroupsOfGuests}, {{"/v1/groups", kGroups}}, options.group);
    if (!resolved) return tl::make_unexpected(resolved.error());
    apply_filters(*answer, options);
    return answer;
}

Result<json> faults(Client& client, Options options) {
    auto answer = faults_and_alarms(client, options.all);
    if (!answer) return answer;
    const auto host = resolve(client, *answer, {&kHostsOfFaults, &kHostsOfAlarms},
                              {{"/v1/agents", kAgents}, {"/v1/guests", kHostsOfGuests}}, options.host);
    if (!host) return tl::make_unexpected(host.error());
    const auto guest = resolve(client, *answer, {&kGuestsOfFaults}, {{"/v1/guests", kGuests}}, options.guest);
    // One that is gone may have had no name but its own.
    if (!guest && !has_one(*answer, kOwnNamesOfFaults, options.guest)) return tl::make_unexpected(guest.error());
    apply_filters(*answer, options);
    return answer;
}

Result<json> guest(Client& client, const Options& options) {
    auto guests = client.get("/v1/guests");
    if (!guests) return guests;
    auto found = select(*guests, kGuests, options.target);
    if (!found) return found;
    auto faults = client.get("/v1/faults?all=1");
    if (!faults) return faults;
    const std::string id = wire::text_or(*found, "guest");
    return json{{"guest", std::move(*found)}, {"faults", only(*faults, "faults", "guest", id)}};
}

Result<json> select_fault(Client& client, const Options& options, bool ended_too) {
    auto faults = faults_and_alarms(client, ended_too);
    if (!faults) return faults;
    json both = json::array();
    for (const char* key : {"faults", "alarms"}) {
        for (const json* entry : listed(*faults, key))
            both.push_back(*entry);
    }
    return select({{"faults", std::move(both)}}, kFaults, options.target);
}

/// The fault of a guest, or the alarm of a host, that is meant: an open one where there is one.
Result<json> fault_or_alarm(Client& client, const Options& options, bool ended_too) {
    auto open = select_fault(client, options, false);
    const bool is_over = !open && open.error().code == base::Errc::not_found;
    return is_over && ended_too ? select_fault(client, options, true) : open;
}

Result<json> fault(Client& client, const Options& options) {
    auto found = fault_or_alarm(client, options, true);
    if (!found) return found;
    // An agent has no journals, and no page for each fault.
    auto whole = client.get("/v1/faults/" + wire::text_or(*found, "id"));
    return whole || whole.error().code != base::Errc::permission ? whole : found;
}

Result<json> close(Client& client, const Options& options) {
    auto found = fault_or_alarm(client, options, false);
    if (!found) return found;
    return client.post("/v1/faults/" + wire::text_or(*found, "id") + "/clear", options.message);
}

Result<json> ack(Client& client, const Options& options) {
    auto found = fault_or_alarm(client, options, false);
    if (!found) return found;
    return client.post("/v1/faults/" + wire::text_or(*found, "id") + "/ack", options.message);
}

Result<json> forget(Client& client, const Options& options) {
    auto agents = client.get("/v1/agents");
    if (!agents) return agents;
    auto found = select(*agents, kAgents, options.target);
    if (!found) return found;
    return client.post("/v1/agents/" + wire::text_or(*found, "host") + "/forget", "");
}

std::string operator_name() {
    const passwd* user = getpwuid(getuid());  // NOLINT(concurrency-mt-unsafe): one thread
    return user == nullptr ? std::to_string(getuid()) : user->pw_name;
}

/// Every answer has the shape of a list: the window, and those of the same name that last beside it.
Result<json> as_list(Result<json> window) {
    if (!window) return window;
    json windows = json::array();
    for (const json* other : listed(*window, "others"))
        windows.push_back(*other);
    window->erase("others");
    windows.insert(windows.begin(), std::move(*window));
    return json{{"maintenance", std::move(windows)}};
}

/// The guest, host or group that is meant, under the name that a beginning is of. What is not found is for the
/// controller to judge: the inventory may have hosts that no agent has come from yet.
Result<std::string> maintained(Client& client, const Options& options) {
    const std::map<std::string, Place> places = {
        {"guest", {"/v1/guests", kGuests}}, {"host", {"/v1/agents", kAgents}}, {"group", {"/v1/groups", kGroups}}};
    const auto place = places.find(options.action);
    if (place == places.end()) return options.target;
    const Kind& kind = place->second.kind;
    auto known = client.get(place->second.page);
    if (!known) return tl::make_unexpected(known.error());
    const auto found = select(*known, kind, options.target);
    if (!found && found.error().code != base::Errc::not_found) return tl::make_unexpected(found.error());
    if (!found) return options.target;
    const std::string id = wire::text_or(*found, kind.id);
    const std::string name = wire::text_or(*found, options.action == "group" ? "name" : "display_name");
    return !id.starts_with(options.target) && name.starts_with(options.target) ? name : id;
}

Result<json> maintenance(Client& client, const Options& options) {
    if (options.action == "list") return client.get("/v1/maintenance");
    if (options.action == "end") {
        auto windows = client.get("/v1/maintenance");
        if (!windows) return windows;
        json active = json::array();
        for (const json* window : listed(*windows, "maintenance")) {
            if (!wire::bool_or(*window, "active", false)) continue;
            active.push_back(*window);
            // What is worked on has no other name.
            if (wire::text_or(*window, "scope") == "all") active.back()["name"] = "all";
        }
        auto found = select({{"maintenance", std::move(active)}}, kMaintenance, options.target);
        if (!found) return found;
        return as_list(client.post("/v1/maintenance/" + wire::text_or(*found, "id") + "/end", ""));
    }
    const auto name = maintained(client, options);
    if (!name) return tl::make_unexpected(name.error());
    const json body = {
        {"scope", options.action},  {"name", *name},          {"seconds", options.seconds}, {"reason", options.message},
        {"notify", options.notify}, {"force", options.force}, {"by", operator_name()}};
    return as_list(client.post("/v1/maintenance", wire::dump(body)));
}

/// Without --all only what needs somebody.
Result<json> coverage(Client& client, const Options& options) {
    auto answer = client.get("/v1/coverage");
    if (!answer || options.all || options.machine_readable()) return answer;
    (*answer)["guests"] = only(*answer, "guests", "coverage", "uncovered");
    return answer;
}

Result<json> host(Client& client, const Options& options) {
    auto agents = client.get("/v1/agents");
    if (!agents) return agents;
    auto found = select(*agents, kAgents, options.target);
    if (!found) return found;
    const std::string name = wire::text_or(*found, "host");
    auto guests = client.get("/v1/guests");
    if (!guests) return guests;
    auto faults = faults_and_alarms(client, false);
    if (!faults) return faults;
    return json{{"agents", {std::move(*found)}},
                {"guests", only(*guests, "guests", "host", name)},
                {"faults", only(*faults, "faults", "host", name)},
                {"alarms", only(*faults, "alarms", "host", name)}};
}

/// The page of the group that is meant.
Result<std::string> group_page(Client& client, const Options& options) {
    auto groups = client.get("/v1/groups");
    if (!groups) return tl::make_unexpected(groups.error());
    auto found = select(*groups, kGroups, options.target);
    if (!found) return tl::make_unexpected(found.error());
    return "/v1/groups/" + wire::text_or(*found, "id");
}

/// One byte more than fits is enough for the controller to reject it.
std::string message_of(const Options& options) {
    if (options.message != "-") return options.message;
    std::string text(wire::kMaxPayload + 1, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), stdin));
    return text;
}

Result<json> group(Client& client, const Options& options) {
    const auto page = group_page(client, options);
    return page ? client.get(*page) : tl::make_unexpected(page.error());
}

Result<json> send(Client& client, const Options& options) {
    const auto page = group_page(client, options);
    return page ? client.post(*page + "/send", message_of(options)) : tl::make_unexpected(page.error());
}

Result<json> events(Client& client, const Options& options) {
    auto faults = faults_and_alarms_of(client, options.since, options.until);
    return faults ? Result<json>(history(*faults, options.since, options.until)) : faults;
}

}  // namespace

Result<json> query(Client& client, const Options& options) {
    switch (options.command) {
        case Command::guests:
            return guests(client, options);
        case Command::guest:
            return guest(client, options);
        case Command::faults:
            return faults(client, options);
        case Command::fault:
            return fault(client, options);
        case Command::agents:
            return client.get("/v1/agents");
        case Command::host:
            return host(client, options);
        case Command::groups:
            return client.get("/v1/groups");
        case Command::group:
            return group(client, options);
        case Command::send:
            return send(client, options);
        case Command::coverage:
            return coverage(client, options);
        case Command::close:
            return close(client, options);
        case Command::ack:
            return ack(client, options);
        case Command::forget:
            return forget(client, options);
        case Command::maintenance:
            return maintenance(client, options);
        case Command::reload:
            return client.post("/v1/reload", "");
        case Command::events:
            return events(client, options);
        case Command::status:
        case Command::top:
        case Command::watch:
        case Command::doctor:
            break;
    }
    return client.get("/v1/status");
}

Result<json> faults_and_alarms(Client& client, bool all) {
    return with_alarms(client, all ? "/v1/faults?all=1" : "/v1/faults", all);
}

/// A release that does not know these two sends all.
Result<json> faults_and_alarms_of(Client& client, std::optional<base::WallTime> since,
                                  std::optional<base::WallTime> until) {
    std::string page = "/v1/faults?all=1";
    if (since) page += "&since=" + base::to_iso8601(*since);
    if (until) page += "&until=" + base::to_iso8601(*until);
    return with_alarms(client, page, true);
}

Result<json> overview(Client& client) {
    auto status = client.get("/v1/status");
    if (!status) return status;
    auto faults = client.get("/v1/faults");
    if (!faults) return faults;
    move_alarms(*status, *faults);
    json out = {{"status", std::move(*status)}, {"faults", std::move(*faults)}};
    const json* counts = wire::find(out["status"], "guests");
    if (counts == nullptr || wire::int_or(*counts, "total", 0) > kMaxGuestsOnScreen) return out;
    auto guests = client.get("/v1/guests");
    if (!guests) return guests;
    out["guests"] = std::move(*guests);
    if (auto coverage = client.get("/v1/coverage")) out["coverage"] = std::move(*coverage);  // an agent has none
    return out;
}

}  // namespace vitalwire::cli
