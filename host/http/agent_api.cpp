#include "host/http/agent_api.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bus/json.hpp"
#include "runtime/http/http_list.hpp"
#include "wire/field_reader.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::host {

using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr std::size_t kMaxEvent = 64;

std::string event_names() {
    std::string names;
    for (const auto event : model::all_lifecycle_events())
        names += (names.empty() ? "" : ", ") + std::string(model::to_string(event));
    return names;
}

HttpResponse reply(const json& body, int status = 200) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

json problems_of(const ApiContext& context) {
    json out = json::array();
    for (const auto& problem : context.core.problems().list()) {
        out.push_back({{"what", problem.what}, {"since", base::to_iso8601(problem.since)}, {"detail", problem.detail}});
    }
    return out;
}

json guests_of(const Monitor::Totals& totals) {
    return {{"total", totals.total + totals.unwatched},
            {"registered", totals.registered},
            {"lost", totals.lost},
            {"unhealthy", totals.unhealthy},
            {"held", totals.held},
            {"crashed", totals.crashed},
            {"unregistered", totals.unregistered},
            {"unwatched", totals.unwatched}};
}

json faults_of(const Monitor::Totals& totals) {
    return {{"critical", totals.critical}, {"major", totals.major}, {"warning", totals.warning}};
}

/// What no controller has confirmed to be told yet.
json undelivered_of(const Monitor& monitor) {
    std::size_t count = 0;
    std::optional<base::WallTime> oldest;
    monitor.faults().for_each([&](const model::Fault& fault) {
        if (fault.delivered >= fault.revision) return;
        ++count;
        if (!oldest || fault.updated_at < *oldest) oldest = fault.updated_at;
    });
    json out = {{"faults", count}};
    if (oldest) out["oldest"] = base::to_iso8601(*oldest);
    return out;
}

HttpResponse healthz(const ApiContext&, const HttpRequest&) {
    return reply({{"status", "ok"}});
}

HttpResponse readyz(const ApiContext& context, const HttpRequest&) {
    return reply({{"ready", context.ready()}, {"problems", problems_of(context)}}, context.ready() ? 200 : 503);
}

HttpResponse metrics(const ApiContext& context, const HttpRequest&) {
    return {200, "text/plain; version=0.0.4", context.metrics_text()};
}

HttpResponse status(const ApiContext& context, const HttpRequest&) {
    const Monitor::Totals totals = context.core.monitor().totals();
    json links = json::array();
    for (const ControllerSync::LinkStatus& link : context.core.controllers().status()) {
        json entry = {{"name", link.name},
                      {"up", link.up},
                      {"primary", link.primary},
                      {"since", base::to_iso8601(link.since)},
                      {"last_error", link.last_error}};
        if (link.clock_ahead) entry["clock_ahead_ms"] = link.clock_ahead->count();
        links.push_back(std::move(entry));
    }
    return reply({{"program", "vitalwire-agent"},
                  {"version", context.version},
                  {"host", context.host},
                  {"since", base::to_iso8601(context.started_at)},
                  {"healthy", context.core.problems().empty() && totals.unwatched == 0},
                  {"problems", problems_of(context)},
                  {"guests", guests_of(totals)},
                  {"faults_open", faults_of(totals)},
                  {"undelivered", undelivered_of(context.core.monitor())},
                  {"links", std::move(links)}});
}

/// Entries by their ids, which are in order: one that ends in between is left out.
HttpResponse list_of(const std::string& name, const HttpRequest& request, std::vector<std::string> ids,
                     std::function<json(const std::string& id)> entry_of) {
    const auto limit = runtime::list_limit(request);
    if (!limit.valid) return runtime::http_error(400, "limit: expected a number from 1 to 100000");
    auto next = [ids = std::move(ids), entry_of = std::move(entry_of),
                 index = std::size_t{0}]() mutable -> std::optional<runtime::ListEntry> {
        while (index < ids.size()) {
            const std::string& id = ids[index++];
            const json entry = entry_of(id);
            if (!entry.is_null()) return runtime::ListEntry{id, wire::dump(entry)};
        }
        return std::nullopt;
    };
    return runtime::list_reply(name, limit.entries, std::move(next));
}

HttpResponse guests(const ApiContext& context, const HttpRequest& request) {
    const std::string after = request.query_value("after");
    std::vector<std::string> ids;
    std::map<std::string, model::GuestReport> unwatched;
    context.core.monitor().for_each_report([&](const model::GuestReport& report) {
        if (report.guest.str() > after) ids.push_back(report.guest.str());
    });
    context.core.monitor().for_each_unwatched([&](const model::GuestReport& report) {
        if (report.guest.str() <= after) return;
        ids.push_back(report.guest.str());
        unwatched.emplace(report.guest.str(), report);
    });
    std::sort(ids.begin(), ids.end());
    return list_of("guests", request, std::move(ids), [&context, unwatched](const std::string& id) {
        auto report = context.core.monitor().report(base::GuestId(id));
        if (const auto known = unwatched.find(id); !report && known != unwatched.end()) report = known->second;
        if (!report) return json(nullptr);
        json entry = bus::to_json(*report);
        entry["host"] = context.host;
        return entry;
    });
}

HttpResponse faults(const ApiContext& context, const HttpRequest& request) {
    const bool all = request.query_value("all") == "1";
    std::vector<std::pair<base::WallTime, std::string>> chosen;
    context.core.monitor().faults().for_each([&](const model::Fault& fault) {
        if (all || fault.open()) chosen.emplace_back(fault.opened_at, fault.id.str());
    });
    std::sort(chosen.begin(), chosen.end());
    if (request.query_value("newest") == "1") std::reverse(chosen.begin(), chosen.end());
    std::vector<std::string> ids;
    for (auto& [opened_at, id] : chosen)
        ids.push_back(std::move(id));
    const auto after = std::find(ids.begin(), ids.end(), request.query_value("after"));
    if (after != ids.end()) ids.erase(ids.begin(), after + 1);
    return list_of("faults", request, std::move(ids), [&context](const std::string& id) {
        const model::Fault* fault = context.core.monitor().faults().find(base::FaultId(id));
        if (fault == nullptr) return json(nullptr);
        json entry = bus::to_json(*fault);
        entry.erase("delivered_to");  // says nothing to people
        entry["host"] = context.host;
        return entry;
    });
}

HttpResponse agents(const ApiContext& context, const HttpRequest&) {
    const Monitor::Totals totals = context.core.monitor().totals();
    json itself = {{"host", context.host},   {"version", context.version},
                   {"connected", true},      {"since", base::to_iso8601(context.started_at)},
                   {"guests", totals.total}, {"faults", totals.critical + totals.major + totals.warning}};
    return reply({{"agents", json::array({std::move(itself)})}});
}

json to_json(const GuestActions::Outcome& outcome) {
    json body = {{"decision", outcome.rejected ? "reject" : "proceed"},
                 {"answer", outcome.answer},
                 {"waited_ms", std::chrono::duration_cast<base::Millis>(outcome.waited).count()}};
    if (!outcome.reason.empty()) body["reason"] = outcome.reason;
    return body;
}

/// {"event":"stop","vote":true}: answered when the guest has decided, at the latest when its time is over.
void ask_guest(const ApiContext& context, const HttpRequest& request, const std::string& guest,
               const runtime::HttpServer::Respond& respond) {
    const auto body = wire::parse_object(request.body);
    if (!body) return respond(runtime::http_error(400, "body: " + body.error().message));
    wire::FieldReader in(*body);
    const auto event = model::parse_lifecycle_event(in.text("event", 1, kMaxEvent));
    if (!event) in.refuse(base::Errc::bad_field, "key 'event': expected " + event_names());
    const auto wanted = in.finish(GuestActions::Request{
        base::GuestId(guest), event.value_or(model::LifecycleEvent::stop), in.boolean_or("vote", true)});
    if (!wanted) return respond(runtime::http_error(400, wanted.error().message));
    if (guest.size() > wire::kMaxInstanceId) return respond(runtime::http_error(400, "no such guest"));
    if (!request.may_wait) return respond(runtime::http_error(503, "too many of your requests wait for their guests"));
    const auto asked = context.ask_guest(
        *wanted, [respond](const GuestActions::Outcome& outcome) { respond(reply(to_json(outcome))); });
    if (!asked) respond(runtime::http_error(503, asked.error().message));
}

using Right = runtime::Router::Right;

void add_page(runtime::Router& router, const ApiContext& context, const char* path, Right right,
              HttpResponse (*make)(const ApiContext&, const HttpRequest&)) {
    router.add("GET", path, right,
               [&context, make](const HttpRequest& request, const auto&) { return make(context, request); });
}

}  // namespace

runtime::Router make_router(const ApiContext& context) {
    runtime::Router router;
    add_page(router, context, "/healthz", Right::everybody, healthz);
    add_page(router, context, "/readyz", Right::everybody, readyz);
    add_page(router, context, "/metrics", Right::reader, metrics);
    add_page(router, context, "/v1/status", Right::reader, status);
    add_page(router, context, "/v1/guests", Right::reader, guests);
    add_page(router, context, "/v1/faults", Right::reader, faults);
    add_page(router, context, "/v1/agents", Right::reader, agents);
    router.add_late("POST", "/v1/guests/*/actions", Right::operators,
                    [&context](const HttpRequest& request, const auto& parts, const auto& respond) {
                        ask_guest(context, request, parts.front(), respond);
                    });
    runtime::add_reload_page(router, context.reload);
    return router;
}

runtime::Router make_metrics_router(const ApiContext& context, std::shared_ptr<const runtime::Router::Tokens> tokens) {
    runtime::Router router(std::move(tokens));
    add_page(router, context, "/healthz", Right::everybody, healthz);
    add_page(router, context, "/metrics", Right::reader, metrics);
    return router;
}

}  // namespace vitalwire::host
