#include "controller/http/api.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bus/json.hpp"
#include "controller/controller.hpp"
#include "controller/http/group_api.hpp"
#include "controller/model/alarm_json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr const char* kUnregistered = "unregistered";

/// Guests of the inventory that no agent reports.
template <class Unseen>
void for_each_unseen(const Controller& controller, Unseen unseen) {
    for (const auto& [id, guest] : controller.inventory().guests()) {
        if (!controller.fleet().knows(id) && guest.state != "deleted") unseen(guest);
    }
}

std::size_t count_unseen(const Controller& controller) {
    std::size_t count = 0;
    for_each_unseen(controller, [&](const InventoryGuest&) { ++count; });
    return count;
}

void add_inventory(json& entry, const InventoryGuest* guest) {
    entry["group"] = guest == nullptr ? "" : guest->group.str();
    entry["display_name"] = guest == nullptr ? "" : guest->display_name;
    if (guest == nullptr) return;
    entry["cloud_state"] = guest->state;
    entry["policy"] = bus::to_json(guest->policy);
    entry["policy"].erase("guest");
}

json problems_of(const Controller& controller) {
    json list = json::array();
    for (const auto& problem : controller.problems().list()) {
        list.push_back(
            {{"what", problem.what}, {"since", base::to_iso8601(problem.since)}, {"detail", problem.detail}});
    }
    return list;
}

json sinks_of(const Controller& controller) {
    json list = json::array();
    for (const auto& sink : controller.alarms().sinks()) {
        const Delivery& delivery = sink->delivery();
        json entry = {{"name", sink->name()},
                      {"type", sink->type()},
                      {"state", sink->state()},
                      {"queued", delivery.queued()},
                      {"held", sink->gate().held()},
                      {"delivered", sink->delivered()},
                      {"failed_attempts", delivery.failures_in_a_row()},
                      {"last_error", delivery.last_error()},
                      {"since", base::to_iso8601(sink->since())}};
        if (!sink->address().empty()) entry["listens"] = sink->address();
        if (sink->state() != "ok") entry["failing_since"] = base::to_iso8601(sink->since());
        if (const auto oldest = delivery.oldest_queued()) entry["oldest_waiting"] = base::to_iso8601(*oldest);
        list.push_back(std::move(entry));
    }
    return list;
}

json agents_summary(const Controller& controller) {
    json lost = json::array();
    for (const auto& [host, agent] : controller.fleet().agents()) {
        if (agent.connected) continue;
        lost.push_back({{"host", host.str()},
                        {"since", base::to_iso8601(agent.since)},
                        {"guests", agent.guests.size()},
                        {"faults", controller.alarms().table().open_of_host(host)}});
    }
    return {{"connected", controller.fleet().connected()},
            {"known", controller.fleet().agents().size()},
            {"lost", std::move(lost)}};
}

/// Of the suite itself: what its sinks are told beside the guests' faults.
json internal_alarms(const Controller& controller) {
    json list = json::array();
    for (const auto& [id, alarm] : controller.alarms().internal().all()) {
        if (alarm.open()) list.push_back(to_json(alarm));
    }
    return list;
}

json guests_summary(const Controller& controller) {
    auto counts = controller.fleet().states();
    counts[kUnregistered] += count_unseen(controller);
    json summary = {{"total", 0}};
    std::size_t total = 0;
    for (const char* state : kGuestStates) {
        const auto at = counts.find(state);
        summary[state] = at == counts.end() ? 0 : at->second;
    }
    for (const auto& [state, count] : counts)
        total += count;
    summary["total"] = total;
    return summary;
}

json faults_open(const Controller& controller) {
    std::map<std::string, std::size_t> counts = {{"critical", 0}, {"major", 0}, {"warning", 0}};
    for (const auto& [id, booked] : controller.alarms().table().all()) {
        if (booked.fault.open()) ++counts[std::string(model::severity(booked.fault.kind))];
    }
    return counts;
}

json fault_entry(const TrackedFault& booked) {
    json entry = bus::to_json(booked.fault);
    entry["host"] = booked.host.str();
    entry["deliveries"] = json::array();
    return entry;
}

std::string_view to_string(DeliveryView::State state) {
    switch (state) {
        case DeliveryView::State::confirmed:
            return "confirmed";
        case DeliveryView::State::queued:
            return "queued";
        case DeliveryView::State::sending:
            return "sending";
        case DeliveryView::State::held:
            return "held";
        case DeliveryView::State::untold:
            return "untold";
    }
    return "queued";
}

json booked_entry(const Controller& controller, const TrackedFault& booked) {
    json entry = fault_entry(booked);
    const Alarm alarm = to_alarm(booked.fault, booked.host);
    for (const auto& sink : controller.alarms().sinks()) {
        const DeliveryView view = sink->view(alarm);
        entry["deliveries"].push_back({{"sink", sink->name()},
                                       {"state", to_string(view.state)},
                                       {"revision", view.revision},
                                       {"attempts", view.attempts},
                                       {"last_error", view.last_error}});
    }
    return entry;
}

HttpResponse healthz(const Controller&, const HttpRequest&) {
    return json_reply({{"status", "ok"}});
}

HttpResponse readyz(const Controller& controller, const HttpRequest&) {
    const bool ready = controller.ready();
    return json_reply({{"ready", ready},
                       {"inventory", controller.inventory_loaded()},
                       {"bus", controller.listening()},
                       {"problems", problems_of(controller)}},
                      ready ? 200 : 503);
}

HttpResponse metrics(const Controller& controller, const HttpRequest&) {
    return {200, "text/plain; version=0.0.4", controller.metrics().text()};
}

HttpResponse status(const Controller& controller, const HttpRequest&) {
    return json_reply({{"program", "vitalwire-controller"},
                       {"version", controller.version()},
                       {"host", controller.config().host.str()},
                       {"since", base::to_iso8601(controller.started_at())},
                       {"healthy", controller.problems().empty()},
                       {"problems", problems_of(controller)},
                       {"guests", guests_summary(controller)},
                       {"faults_open", faults_open(controller)},
                       {"agents", agents_summary(controller)},
                       {"alarms", internal_alarms(controller)},
                       {"sinks", sinks_of(controller)}});
}

HttpResponse guests(const Controller& controller, const HttpRequest&) {
    std::vector<std::pair<std::string, json>> rows;
    for (const auto& [host, agent] : controller.fleet().agents()) {
        for (const auto& [id, report] : agent.guests) {
            json entry = bus::to_json(report);
            entry["host"] = host.str();
            if (!agent.connected) entry["stale_since"] = base::to_iso8601(agent.since);
            add_inventory(entry, controller.inventory().guest(id));
            rows.emplace_back(id.str(), std::move(entry));
        }
    }
    for_each_unseen(controller, [&](const InventoryGuest& guest) {
        model::GuestReport report;
        report.guest = guest.id;
        report.state = kUnregistered;
        json entry = bus::to_json(report);
        entry["host"] = guest.host.str();
        add_inventory(entry, &guest);
        rows.emplace_back(guest.id.str(), std::move(entry));
    });
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    json list = json::array();
    for (auto& [id, row] : rows)
        list.push_back(std::move(row));
    return json_reply({{"guests", std::move(list)}});
}

HttpResponse faults(const Controller& controller, const HttpRequest& request) {
    const bool all = request.query_value("all") == "1";
    json list = json::array();
    if (all) {
        for (const auto& [number, past] : controller.alarms().history().all())
            list.push_back(fault_entry(past.booked));
    }
    std::vector<const TrackedFault*> booked;
    for (const auto& [id, fault] : controller.alarms().table().all())
        booked.push_back(&fault);
    std::sort(booked.begin(), booked.end(), [](const TrackedFault* a, const TrackedFault* b) {
        return std::tie(a->fault.opened_at, a->fault.id) < std::tie(b->fault.opened_at, b->fault.id);
    });
    for (const TrackedFault* fault : booked)
        list.push_back(booked_entry(controller, *fault));
    return json_reply({{"faults", std::move(list)}});
}

HttpResponse agents(const Controller& controller, const HttpRequest&) {
    json list = json::array();
    for (const auto& [host, agent] : controller.fleet().agents()) {
        list.push_back({{"host", host.str()},
                        {"version", agent.version},
                        {"connected", agent.connected},
                        {"peer", agent.peer},
                        {"since", base::to_iso8601(agent.since)},
                        {"last_seen", base::to_iso8601(agent.last_seen)},
                        {"lead", agent.lead},
                        {"guests", agent.guests.size()},
                        {"faults", controller.alarms().table().open_of_host(host)}});
    }
    return json_reply({{"agents", std::move(list)}});
}

using Page = HttpResponse (*)(const Controller&, const HttpRequest&);

const std::map<std::string, Page>& pages() {
    static const std::map<std::string, Page> all = {
        {"/healthz", healthz},  {"/readyz", readyz},    {"/metrics", metrics},  {"/v1/status", status},
        {"/v1/guests", guests}, {"/v1/faults", faults}, {"/v1/agents", agents},
    };
    return all;
}

}  // namespace

HttpResponse json_reply(const json& body, int status) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

HttpResponse answer(Controller& controller, const HttpRequest& request) {
    if (is_group_page(request.path)) return answer_group(controller, request);
    const auto page = pages().find(request.path);
    if (page == pages().end()) return json_reply({{"error", "no such page"}}, 404);
    if (request.method != "GET" && request.method != "HEAD") return json_reply({{"error", "expected GET"}}, 405);
    return page->second(controller, request);
}

std::size_t count_guests(const Controller& controller, std::string_view state) {
    const auto& counts = controller.fleet().states();
    const auto at = counts.find(std::string(state));
    return (at == counts.end() ? 0 : at->second) + (state == kUnregistered ? count_unseen(controller) : 0);
}

}  // namespace vitalwire::controller
