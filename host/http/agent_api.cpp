#include "host/http/agent_api.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bus/json.hpp"
#include "host/agent.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::host {

using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

HttpResponse reply(const json& body, int status = 200) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

json problems_of(const Agent& agent) {
    json out = json::array();
    for (const auto& problem : agent.problems().list()) {
        out.push_back({{"what", problem.what}, {"since", base::to_iso8601(problem.since)}, {"detail", problem.detail}});
    }
    return out;
}

json guests_of(const Monitor::Totals& totals) {
    return {{"total", totals.total},
            {"registered", totals.registered},
            {"lost", totals.lost},
            {"unhealthy", totals.unhealthy},
            {"held", totals.held},
            {"crashed", totals.crashed},
            {"unregistered", totals.unregistered}};
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

HttpResponse healthz(Agent&, const HttpRequest&) {
    return reply({{"status", "ok"}});
}

HttpResponse readyz(Agent& agent, const HttpRequest&) {
    return reply({{"ready", agent.ready()}, {"problems", problems_of(agent)}}, agent.ready() ? 200 : 503);
}

HttpResponse metrics(Agent& agent, const HttpRequest&) {
    return {200, "text/plain; version=0.0.4", agent.metrics_text()};
}

HttpResponse status(Agent& agent, const HttpRequest&) {
    const Monitor::Totals totals = agent.monitor().totals();
    json links = json::array();
    for (const Controllers::LinkStatus& link : agent.controllers().status()) {
        links.push_back({{"name", link.name},
                         {"up", link.up},
                         {"lead", link.lead},
                         {"since", base::to_iso8601(link.since)},
                         {"last_error", link.last_error}});
    }
    return reply({{"program", "vitalwire-agent"},
                  {"version", agent.version()},
                  {"host", agent.config().host.str()},
                  {"since", base::to_iso8601(agent.started_at())},
                  {"healthy", agent.problems().empty()},
                  {"problems", problems_of(agent)},
                  {"guests", guests_of(totals)},
                  {"faults_open", faults_of(totals)},
                  {"undelivered", undelivered_of(agent.monitor())},
                  {"links", std::move(links)}});
}

HttpResponse guests(Agent& agent, const HttpRequest&) {
    std::vector<model::GuestReport> reports;
    agent.monitor().for_each_report([&](const model::GuestReport& report) { reports.push_back(report); });
    std::sort(reports.begin(), reports.end(), [](const auto& a, const auto& b) { return a.guest < b.guest; });
    json list = json::array();
    for (const model::GuestReport& report : reports) {
        json entry = bus::to_json(report);
        entry["host"] = agent.config().host.str();
        list.push_back(std::move(entry));
    }
    return reply({{"guests", std::move(list)}});
}

HttpResponse faults(Agent& agent, const HttpRequest& request) {
    const bool all = request.query_value("all") == "1";
    std::vector<const model::Fault*> chosen;
    agent.monitor().faults().for_each([&](const model::Fault& fault) {
        if (all || fault.open()) chosen.push_back(&fault);
    });
    std::sort(chosen.begin(), chosen.end(), [](const auto* a, const auto* b) {
        return std::tie(a->opened_at, a->id) < std::tie(b->opened_at, b->id);
    });
    json list = json::array();
    for (const model::Fault* fault : chosen) {
        json entry = bus::to_json(*fault);
        entry["host"] = agent.config().host.str();
        list.push_back(std::move(entry));
    }
    return reply({{"faults", std::move(list)}});
}

HttpResponse agents(Agent& agent, const HttpRequest&) {
    const Monitor::Totals totals = agent.monitor().totals();
    json itself = {{"host", agent.config().host.str()},
                   {"version", agent.version()},
                   {"connected", true},
                   {"since", base::to_iso8601(agent.started_at())},
                   {"guests", totals.total},
                   {"faults", totals.critical + totals.major + totals.warning}};
    return reply({{"agents", json::array({std::move(itself)})}});
}

struct Route {
    std::string_view path;
    HttpResponse (*handle)(Agent&, const HttpRequest&);
};

constexpr Route kRoutes[] = {{"/healthz", healthz},  {"/readyz", readyz},    {"/metrics", metrics},
                             {"/v1/status", status}, {"/v1/guests", guests}, {"/v1/faults", faults},
                             {"/v1/agents", agents}};

}  // namespace

HttpResponse answer(Agent& agent, const HttpRequest& request) {
    const auto* route = std::find_if(std::begin(kRoutes), std::end(kRoutes),
                                     [&](const Route& candidate) { return candidate.path == request.path; });
    if (route == std::end(kRoutes)) {
        return reply({{"error",
                       "no such path; there are /healthz /readyz /metrics /v1/status /v1/guests /v1/faults "
                       "/v1/agents"}},
                     404);
    }
    if (request.method != "GET") return reply({{"error", "only GET is answered"}}, 405);
    return route->handle(agent, request);
}

}  // namespace vitalwire::host
