#include "controller/http/api.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "bus/json.hpp"
#include "controller/delivery/journal_json.hpp"
#include "controller/http/group_api.hpp"
#include "controller/model/alarm_json.hpp"
#include "runtime/http/http_list.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::FaultId;
using base::GuestId;
using base::HostId;
using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr const char* kUnregistered = "unregistered";

/// Guests of the inventory that no agent reports.
template <class Unseen>
void for_each_unseen(const ApiContext& context, Unseen unseen) {
    for (const auto& [id, guest] : context.inventory.guests()) {
        if (!context.fleet().knows(id) && guest.state != "deleted") unseen(guest);
    }
}

std::size_t count_unseen(const ApiContext& context) {
    std::size_t count = 0;
    for_each_unseen(context, [&](const InventoryGuest&) { ++count; });
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

json problems_of(const ApiContext& context) {
    json list = json::array();
    for (const auto& problem : context.problems.list()) {
        list.push_back(
            {{"what", problem.what}, {"since", base::to_iso8601(problem.since)}, {"detail", problem.detail}});
    }
    return list;
}

json sinks_of(const ApiContext& context) {
    json list = json::array();
    for (const auto& sink : context.alarms().sinks()) {
        const SinkQueue& queue = sink->queue();
        json entry = {{"name", sink->name()},
                      {"type", sink->type()},
                      {"state", sink->state()},
                      {"queued", queue.queued()},
                      {"held", queue.filter().held()},
                      {"delivered", sink->delivered()},
                      {"failed_attempts", queue.failures_in_a_row()},
                      {"last_error", queue.last_error()},
                      {"since", base::to_iso8601(sink->since())}};
        if (!sink->address().empty()) entry["listens"] = sink->address();
        if (sink->state() != "ok") entry["failing_since"] = base::to_iso8601(sink->since());
        if (const auto oldest = queue.oldest_queued()) entry["oldest_waiting"] = base::to_iso8601(*oldest);
        list.push_back(std::move(entry));
    }
    return list;
}

json agents_summary(const ApiContext& context) {
    json lost = json::array();
    for (const auto& [host, agent] : context.fleet().agents()) {
        if (agent.connected) continue;
        lost.push_back({{"host", host.str()},
                        {"since", base::to_iso8601(agent.since)},
                        {"guests", agent.guests.size()},
                        {"faults", context.alarms().table().open_of_host(host)}});
    }
    return {{"connected", context.fleet().connected()},
            {"known", context.fleet().agents().size()},
            {"lost", std::move(lost)}};
}

/// Of the suite itself: what its sinks are told beside the guests' faults.
json internal_alarms(const ApiContext& context) {
    json list = json::array();
    for (const auto& [id, alarm] : context.alarms().internal().all()) {
        if (alarm.open()) list.push_back(to_json(alarm));
    }
    return list;
}

json guests_summary(const ApiContext& context) {
    auto counts = context.fleet().states();
    counts[kUnregistered] += count_unseen(context);
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

json faults_open(const ApiContext& context) {
    std::map<std::string, std::size_t> counts = {{"critical", 0}, {"major", 0}, {"warning", 0}};
    for (const auto& [id, booked] : context.alarms().table().all()) {
        if (booked.fault.open()) ++counts[std::string(model::severity(booked.fault.kind))];
    }
    return counts;
}

json fault_entry(const ApiContext& context, const TrackedFault& booked) {
    json entry = bus::to_json(booked.fault);
    entry["host"] = booked.host.str();
    entry["deliveries"] = json::array();
    if (booked.withheld) entry["withheld"] = true;
    if (const auto unconfirmed = context.core.evidence().unconfirmed(booked)) {
        entry["unconfirmed_since"] = base::to_iso8601(unconfirmed->since);
        entry["unconfirmed_why"] = unconfirmed->why;
    }
    return entry;
}

json booked_entry(const ApiContext& context, const TrackedFault& booked) {
    json entry = fault_entry(context, booked);
    for (const auto& sink : context.alarms().sinks()) {
        const DeliveryView view = context.alarms().view(*sink, booked);
        entry["deliveries"].push_back({{"sink", sink->name()},
                                       {"state", to_string(view.state)},
                                       {"revision", view.revision},
                                       {"attempts", view.attempts},
                                       {"last_error", view.last_error}});
    }
    return entry;
}

HttpResponse healthz(const ApiContext&, const HttpRequest&) {
    return json_reply({{"status", "ok"}});
}

HttpResponse readyz(const ApiContext& context, const HttpRequest&) {
    const bool ready = context.inventory_loaded() && context.listening();
    return json_reply({{"ready", ready},
                       {"inventory", context.inventory_loaded()},
                       {"bus", context.listening()},
                       {"problems", problems_of(context)}},
                      ready ? 200 : 503);
}

HttpResponse metrics(const ApiContext& context, const HttpRequest&) {
    return {200, "text/plain; version=0.0.4", context.metrics.text()};
}

HttpResponse status(const ApiContext& context, const HttpRequest&) {
    return json_reply({{"program", "vitalwire-controller"},
                       {"version", context.version},
                       {"host", context.host},
                       {"since", base::to_iso8601(context.started_at)},
                       {"healthy", context.problems.empty()},
                       {"problems", problems_of(context)},
                       {"guests", guests_summary(context)},
                       {"faults_open", faults_open(context)},
                       {"agents", agents_summary(context)},
                       {"alarms", internal_alarms(context)},
                       {"sinks", sinks_of(context)}});
}

/// The guests in the order of their hosts and ids; first, without a host in the cursor, those that no agent reports.
/// What comes and goes between two calls is seen or not.
class GuestList {
public:
    GuestList(const ApiContext& context, const std::string& after)
        : context_(context), after_(after.substr(0, after.find('/'))) {
        const std::size_t slash = after.find('/');
        if (slash != std::string::npos) after_guest_ = after.substr(slash + 1);
        if (after_.empty()) {
            for_each_unseen(context, [&](const InventoryGuest& guest) { add(guest.id); });
            sort();
        } else if (const Agent* agent = context.fleet().find(HostId(after_))) {
            load(*agent);
        }
    }

    std::optional<runtime::ListEntry> next() {
        while (true) {
            while (index_ < ids_.size()) {
                const GuestId& id = ids_[index_++];
                json entry = after_.empty() ? unseen(id) : reported(id);
                if (!entry.is_null()) return runtime::ListEntry{after_ + '/' + id.str(), wire::dump(entry)};
            }
            const auto& agents = context_.fleet().agents();
            const auto host = after_.empty() ? agents.begin() : agents.upper_bound(HostId(after_));
            if (host == agents.end()) return std::nullopt;
            after_ = host->first.str();
            load(host->second);
        }
    }

private:
    void add(const GuestId& id) {
        if (after_guest_.empty() || id.str() > after_guest_) ids_.push_back(id);
    }
    void sort() {
        std::sort(ids_.begin(), ids_.end());
        after_guest_.clear();  // of the first host only
    }
    void load(const Agent& agent) {
        ids_.clear();
        index_ = 0;
        for (const auto& [id, report] : agent.guests)
            add(id);
        sort();
    }
    json unseen(const GuestId& id) const {
        const InventoryGuest* guest = context_.inventory.guest(id);
        if (guest == nullptr || context_.fleet().knows(id)) return nullptr;
        model::GuestReport report;
        report.guest = id;
        report.state = kUnregistered;
        json entry = bus::to_json(report);
        entry["host"] = guest->host.str();
        add_inventory(entry, guest);
        return entry;
    }
    json reported(const GuestId& id) const {
        const Agent* agent = context_.fleet().find(HostId(after_));
        const auto report = agent == nullptr ? decltype(agent->guests.end()){} : agent->guests.find(id);
        if (agent == nullptr || report == agent->guests.end()) return nullptr;
        json entry = bus::to_json(report->second);
        entry["host"] = after_;
        if (!agent->connected) entry["stale_since"] = base::to_iso8601(agent->since);
        add_inventory(entry, context_.inventory.guest(id));
        return entry;
    }

    const ApiContext& context_;
    std::string after_;  ///< the host whose guests are listed
    std::string after_guest_;
    std::vector<GuestId> ids_;  ///< of it
    std::size_t index_ = 0;
};

/// The faults in the order in which they were opened. They are put in order one by one, as they are asked for: sorting
/// a hundred thousand at once would be too long a turn.
class FaultList {
public:
    FaultList(const ApiContext& context, bool all, const std::string& after) : context_(context) {
        const auto& table = context.alarms().table();
        const auto* last = table.find(FaultId(after));
        Place begin;
        if (last != nullptr) begin = {last->fault.opened_at, after};
        const auto add = [&](const model::Fault& fault) {
            Place place{fault.opened_at, fault.id.str()};
            if (after.empty() || begin < place) heap_.push_back(std::move(place));
        };
        if (all && last == nullptr) begin = place_in_history(after);
        for (const auto& [id, tracked] : table.all())
            add(tracked.fault);
        if (all) {
            for (const auto& [number, past] : context.alarms().history().all())
                add(past.booked.fault);
        }
        std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    }

    std::optional<runtime::ListEntry> next() {
        while (!heap_.empty()) {
            std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
            const std::string id = std::move(heap_.back().second);
            heap_.pop_back();
            const json entry = entry_of(FaultId(id));
            if (!entry.is_null()) return runtime::ListEntry{id, wire::dump(entry)};
        }
        return std::nullopt;
    }

private:
    using Place = std::pair<base::WallTime, std::string>;

    Place place_in_history(const std::string& id) const {
        const auto number = context_.alarms().history().number_of(FaultId(id));
        if (!number) return {};
        return {context_.alarms().history().all().at(*number).booked.fault.opened_at, id};
    }
    json entry_of(const FaultId& id) const {
        if (const TrackedFault* tracked = context_.alarms().table().find(id)) return booked_entry(context_, *tracked);
        const auto& history = context_.alarms().history();
        const auto number = history.number_of(id);
        return number ? fault_entry(context_, history.all().at(*number).booked) : json(nullptr);
    }

    const ApiContext& context_;
    std::vector<Place> heap_;
};

template <class List>
HttpResponse list_of(const std::string& name, const HttpRequest& request, std::shared_ptr<List> list) {
    const auto limit = runtime::list_limit(request);
    if (!limit.valid) return runtime::http_error(400, "limit: expected a number from 1 to 100000");
    return runtime::list_reply(name, limit.entries, [list = std::move(list)] { return list->next(); });
}

HttpResponse guests(const ApiContext& context, const HttpRequest& request) {
    return list_of("guests", request, std::make_shared<GuestList>(context, request.query_value("after")));
}

HttpResponse faults(const ApiContext& context, const HttpRequest& request) {
    const bool all = request.query_value("all") == "1";
    return list_of("faults", request, std::make_shared<FaultList>(context, all, request.query_value("after")));
}

json journal_of(const ApiContext& context, const base::FaultId& fault) {
    const Journal::Record* record = context.alarms().journal().find(fault);
    return record == nullptr ? to_json(Journal::Record{}) : to_json(*record);
}

/// One fault with its journal, whether it is open, over, or about the suite itself.
HttpResponse fault(const ApiContext& context, const base::FaultId& id) {
    json entry;
    const auto& internal = context.alarms().internal().all();
    const auto own = internal.find(id);
    if (const TrackedFault* tracked = context.alarms().table().find(id)) {
        entry = booked_entry(context, *tracked);
    } else if (const FaultHistory::Entry* past = context.alarms().history().find(id)) {
        entry = fault_entry(context, past->booked);
        entry["delivered_from_here"] = past->delivered;
    } else if (own != internal.end()) {
        entry = to_json(own->second);
    } else {
        return json_reply({{"error", "no such fault"}}, 404);
    }
    entry["journal"] = journal_of(context, id);
    return json_reply(entry);
}

constexpr std::size_t kLongestReason = 1024;

/// The operator's word that a fault is over; the body is the reason, which is recorded.
HttpResponse clear_fault(const ApiContext& context, const base::FaultId& id, const HttpRequest& request) {
    if (request.body.empty() || request.body.size() > kLongestReason || !base::is_utf8(request.body))
        return runtime::http_error(400, "expected a reason of 1 to 1024 bytes as the body");
    if (!context.clear_fault(id, request.body)) return runtime::http_error(404, "no such fault is open");
    return json_reply({{"fault", id.str()}, {"state", "cleared"}});
}

HttpResponse coverage(const ApiContext& context, const HttpRequest& request) {
    json counts = json::object();
    for (std::size_t i = 0; i < kWatches; ++i)
        counts[std::string(to_string(static_cast<Watch>(i)))] = 0;
    json list = json::array();
    for (const Covered& covered : context.core.coverage().all()) {
        const std::string watch(to_string(covered.watch));
        counts[watch] = counts[watch].get<std::size_t>() + 1;
        list.push_back(
            {{"guest", covered.guest.str()}, {"host", covered.host.str()}, {"coverage", watch}, {"why", covered.why}});
    }
    if (request.query_value("counts") == "1") list.clear();
    return json_reply({{"counts", std::move(counts)}, {"guests", std::move(list)}});
}

HttpResponse agents(const ApiContext& context, const HttpRequest&) {
    json list = json::array();
    for (const auto& [host, agent] : context.fleet().agents()) {
        list.push_back({{"host", host.str()},
                        {"version", agent.version},
                        {"connected", agent.connected},
                        {"peer", agent.peer},
                        {"since", base::to_iso8601(agent.since)},
                        {"last_seen", base::to_iso8601(agent.last_seen)},
                        {"lead", agent.lead},
                        {"guests", agent.guests.size()},
                        {"faults", context.alarms().table().open_of_host(host)}});
    }
    return json_reply({{"agents", std::move(list)}});
}

}  // namespace

HttpResponse json_reply(const json& body, int status) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

runtime::Router make_router(const ApiContext& context) {
    using Right = runtime::Router::Right;
    runtime::Router router(context.tokens);
    const auto page = [&](const char* path, Right right, HttpResponse (*make)(const ApiContext&, const HttpRequest&)) {
        router.add("GET", path, right,
                   [&context, make](const HttpRequest& request, const auto&) { return make(context, request); });
    };
    page("/healthz", Right::everybody, healthz);
    page("/readyz", Right::everybody, readyz);
    page("/metrics", Right::reader, metrics);
    page("/v1/status", Right::reader, status);
    page("/v1/guests", Right::reader, guests);
    page("/v1/faults", Right::reader, faults);
    router.add("GET", "/v1/faults/*", Right::reader,
               [&context](const HttpRequest&, const auto& parts) { return fault(context, base::FaultId(parts[0])); });
    router.add("POST", "/v1/faults/*/clear", Right::operators,
               [&context](const HttpRequest& request, const auto& parts) {
                   return clear_fault(context, base::FaultId(parts[0]), request);
               });
    page("/v1/agents", Right::reader, agents);
    page("/v1/coverage", Right::reader, coverage);
    add_group_pages(router, context);
    return router;
}

std::size_t count_guests(const ApiContext& context, std::string_view state) {
    const auto& counts = context.fleet().states();
    const auto at = counts.find(std::string(state));
    return (at == counts.end() ? 0 : at->second) + (state == kUnregistered ? count_unseen(context) : 0);
}

}  // namespace vitalwire::controller
