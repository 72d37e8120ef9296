#include "controller/http/api.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "bus/json.hpp"
#include "controller/delivery/journal_json.hpp"
#include "controller/http/event_stream.hpp"
#include "controller/http/group_api.hpp"
#include "controller/http/guest_api.hpp"
#include "controller/http/journal_api.hpp"
#include "controller/http/operation_api.hpp"
#include "controller/http/web_pages.hpp"
#include "controller/model/alarm_json.hpp"
#include "runtime/http/http_list.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::FaultId;
using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

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

json delivery_entry(const Notifier& sink, const DeliveryView& view) {
    return {{"sink", sink.name()},
            {"state", to_string(view.state)},
            {"revision", view.revision},
            {"attempts", view.attempts},
            {"last_error", view.last_error}};
}

/// To the sinks that take such an alarm.
json internal_deliveries(const ApiContext& context, const Alarm& alarm) {
    json deliveries = json::array();
    for (const auto& sink : context.alarms().sinks()) {
        if (!sink->takes(alarm)) continue;
        DeliveryView view = sink->queue().view(alarm);
        if (context.alarms().internal().waits(alarm.id)) view.state = DeliveryView::State::queued;
        deliveries.push_back(delivery_entry(*sink, view));
    }
    return deliveries;
}

/// Of the suite itself, beside the guests' faults: as it is here, or at the controller that has raised it.
json internal_alarm(const ApiContext& context, const Journal::Record& record) {
    const auto [controller, alarm] = alarm_of(record);
    json entry = to_json(*alarm);
    if (alarm->open()) add_maintenance(entry, context, alarm->guest, alarm->host);
    const auto& own = context.alarms().internal().all();
    if (const auto at = own.find(alarm->id); at != own.end())
        entry["deliveries"] = internal_deliveries(context, at->second);
    json earlier = json::array();
    for (const Occurrence& each : earlier_occurrences(record)) {
        earlier.push_back({{"opened_at", base::to_iso8601(each.opened_at)},
                           {"cleared_at", base::to_iso8601(each.cleared_at)},
                           {"clear_reason", each.clear_reason}});
    }
    if (!earlier.empty()) entry["earlier"] = std::move(earlier);
    if (controller.empty()) return entry;
    entry["controller"] = controller;
    const auto silent = alarm->open() ? context.silent_since(controller) : std::nullopt;
    if (!silent) return entry;
    entry["unconfirmed_since"] = base::to_iso8601(*silent);
    entry["unconfirmed_why"] = "controller " + controller + ", which raised it, does not answer";
    return entry;
}

json internal_alarms(const ApiContext& context, bool all) {
    json list = json::array();
    const Journal& journal = context.alarms().journal();
    for (const base::FaultId& id : journal.alarms()) {
        const Journal::Record& record = *journal.find(id);
        if (all || alarm_of(record).second->open()) list.push_back(internal_alarm(context, record));
    }
    return list;
}

json guests_summary(const ApiContext& context) {
    auto counts = context.fleet().states();
    counts[kUnregistered] += context.census.unreported;
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
    for (const auto& [id, tracked] : context.alarms().table().all()) {
        if (tracked.fault.open()) ++counts[std::string(model::severity(tracked.fault.kind))];
    }
    return counts;
}

json fault_entry(const ApiContext& context, const TrackedFault& tracked) {
    json entry = bus::to_json(tracked.fault);
    entry.erase("delivered_to");  // the deliveries say more
    const InventoryGuest* guest = context.inventory.guest(tracked.fault.guest);
    entry["display_name"] = guest == nullptr ? "" : guest->display_name;
    entry["host"] = tracked.host.str();
    entry["received_at"] = base::to_iso8601(received_here(tracked));
    entry["changed_at"] = base::to_iso8601(changed_here(tracked));
    entry["deliveries"] = json::array();
    if (tracked.withheld) entry["withheld"] = true;
    if (tracked.fault.open()) add_maintenance(entry, context, tracked.fault.guest, tracked.host);
    if (const auto unconfirmed = context.core.evidence().unconfirmed(tracked)) {
        entry["unconfirmed_since"] = base::to_iso8601(unconfirmed->since);
        entry["unconfirmed_why"] = unconfirmed->why;
    }
    return entry;
}

json tracked_entry(const ApiContext& context, const TrackedFault& tracked) {
    json entry = fault_entry(context, tracked);
    for (const auto& sink : context.alarms().sinks())
        entry["deliveries"].push_back(delivery_entry(*sink, context.alarms().view(*sink, tracked)));
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

/// Counts the guests in short turns, then answers with what `body` makes of it.
HttpResponse after_census(const ApiContext& context, std::string content_type, std::function<std::string()> body) {
    HttpResponse response{200, std::move(content_type), ""};
    response.more = [&context, walk = Coverage::Walk(context.core.coverage()),
                     body = std::move(body)](std::string& piece) mutable {
        if (walk.turn()) return true;
        context.census = walk.census();
        piece += body();
        return false;
    };
    return response;
}

HttpResponse metrics(const ApiContext& context, const HttpRequest&) {
    return after_census(context, "text/plain; version=0.0.4", [&context] { return context.metrics.text(); });
}

json coverage_counts(const Coverage::Census& census) {
    json counts = json::object();
    for (std::size_t i = 0; i < kWatches; ++i)
        counts[std::string(to_string(static_cast<Watch>(i)))] = census.watches.at(i);
    return counts;
}

/// What keeps faults back now.
json maintenance_now(const ApiContext& context) {
    const base::WallTime now = context.core.time();
    json list = json::array();
    for (const auto& [id, window] : context.core.maintenance().all()) {
        if (!window.active(now)) continue;
        list.push_back({{"scope", to_string(window.scope)},
                        {"name", window.label.empty() ? window.name : window.label},
                        {"until", base::to_iso8601(window.until)},
                        {"by", window.by},
                        {"reason", window.reason}});
    }
    return list;
}

json status_of(const ApiContext& context, bool all) {
    return {{"program", "vitalwire-controller"},
            {"version", context.version},
            {"host", context.host},
            {"since", base::to_iso8601(context.started_at)},
            {"healthy", context.problems.empty()},
            {"problems", problems_of(context)},
            {"guests", guests_summary(context)},
            {"coverage", coverage_counts(context.census)},
            {"faults_open", faults_open(context)},
            {"agents", agents_summary(context)},
            {"alarms", internal_alarms(context, all)},
            {"maintenance", maintenance_now(context)},
            {"sinks", sinks_of(context)}};
}

/// With `?all=1` the alarms that are over, too.
HttpResponse status(const ApiContext& context, const HttpRequest& request) {
    return after_census(context, "application/json", [&context, all = request.query_value("all") == "1"] {
        return wire::dump(status_of(context, all)) + "\n";
    });
}

/// `?since=` and `?until=` of the faults: those to which something happened in that time, by the clock here.
struct Period {
    std::optional<base::WallTime> since;
    std::optional<base::WallTime> until;

    bool has(const TrackedFault& tracked) const {
        return (!since || changed_here(tracked) >= *since) && (!until || received_here(tracked) <= *until);
    }
};

/// Fails with the name of what is no time.
base::Result<Period> period_of(const HttpRequest& request) {
    Period period;
    for (const auto& [name, value] : {std::pair{"since", &period.since}, {"until", &period.until}}) {
        const std::string text = request.query_value(name);
        if (text.empty()) continue;
        *value = base::from_iso8601(text);
        if (**value == base::WallTime{}) return base::fail(base::Errc::malformed, name);
    }
    return period;
}

/// The faults in the order in which they were received, the newest first, or the worst first and of those the newest.
/// The history is gone through, and the faults are put in order, a few at a time as they are asked for: a hundred
/// thousand at once would be too long a turn.
class FaultList {
public:
    FaultList(const ApiContext& context, const HttpRequest& request, const Period& period)
        : context_(context),
          period_(period),
          guest_(request.query_value("guest")),
          worst_first_(request.query_value("worst") == "1"),
          newest_first_(worst_first_ || request.query_value("newest") == "1"),
          only_open_(request.query_value("open") == "1"),
          all_(request.query_value("all") == "1"),
          limit_(runtime::list_limit(request).entries) {
        if (const FaultId after(request.query_value("after")); !after.empty()) begin_ = place_of(after);
        if (all_) heap_.reserve(limit_ == 0 ? context.alarms().history().all().size() : 4 * limit_);
    }

    std::optional<runtime::ListEntry> next() {
        if (!collected_) {
            collect();
            return runtime::ListEntry{};
        }
        while (!heap_.empty()) {
            std::pop_heap(heap_.begin(), heap_.end(), later_);
            std::string id = std::move(std::get<std::string>(heap_.back()));
            heap_.pop_back();
            // One whose entry was replaced while the history was gone through is there twice.
            if (id == last_) continue;
            last_ = id;
            const json entry = entry_of(FaultId(id));
            if (!entry.is_null()) return runtime::ListEntry{std::move(id), wire::dump(entry)};
        }
        return std::nullopt;
    }

private:
    /// How bad, where that counts; when it came, and, of those that came together, when it was found; its id.
    using Place = std::tuple<int, base::WallTime, base::WallTime, std::string>;
    /// A turn of the loop asks 500 times: about a millisecond's work.
    static constexpr int kCollectedAtOnce = 2;

    /// The table last, so that what ends in the meantime is in one of the two.
    void collect() {
        const auto& history = context_.alarms().history().all();
        auto at = all_ ? history.upper_bound(seen_) : history.end();
        for (int i = 0; i < kCollectedAtOnce && at != history.end(); ++i, ++at) {
            seen_ = at->first;
            add(at->second.tracked);
        }
        if (at != history.end()) return;
        for (const auto& [id, tracked] : context_.alarms().table().all())
            add(tracked);
        collected_ = true;
    }

    void add(const TrackedFault& tracked) {
        const model::Fault& fault = tracked.fault;
        if ((only_open_ && !fault.open()) || (!guest_.empty() && fault.guest.str() != guest_)) return;
        if (!period_.has(tracked)) return;
        Place place = place_of(tracked);
        if (begin_ && !is_before(*begin_, place)) return;
        heap_.push_back(std::move(place));
        std::push_heap(heap_.begin(), heap_.end(), later_);
        if (limit_ != 0 && heap_.size() >= 4 * limit_) keep_a_page();
    }

    /// What comes after two pages is not listed: keeping it all would be a long turn at the end.
    void keep_a_page() {
        const auto end = heap_.begin() + static_cast<std::ptrdiff_t>(2 * limit_);
        std::nth_element(heap_.begin(), end, heap_.end(),
                         [this](const Place& a, const Place& b) { return is_before(a, b); });
        heap_.erase(end, heap_.end());
        std::make_heap(heap_.begin(), heap_.end(), later_);
    }

    Place place_of(const TrackedFault& tracked) const {
        const std::string_view severity = worst_first_ ? model::severity(tracked.fault.kind) : "";
        const int rank = severity == "critical" ? 2 : severity == "major" ? 1 : 0;
        return {rank, received_here(tracked), tracked.fault.opened_at, tracked.fault.id.str()};
    }

    bool is_before(const Place& a, const Place& b) const { return newest_first_ ? b < a : a < b; }
    Place place_of(const FaultId& id) const {
        if (const TrackedFault* tracked = context_.alarms().table().find(id)) return place_of(*tracked);
        const FaultHistory::Entry* past = context_.alarms().history().find(id);
        return past == nullptr ? Place{} : place_of(past->tracked);
    }
    json entry_of(const FaultId& id) const {
        if (const TrackedFault* tracked = context_.alarms().table().find(id)) return tracked_entry(context_, *tracked);
        const FaultHistory::Entry* past = context_.alarms().history().find(id);
        return past == nullptr ? json(nullptr) : fault_entry(context_, past->tracked);
    }

    const ApiContext& context_;
    const Period period_;
    const std::string guest_;
    const bool worst_first_;
    const bool newest_first_;
    const bool only_open_;
    const bool all_;
    const std::size_t limit_;  ///< 0: none
    bool collected_ = false;
    FaultHistory::Number seen_ = 0;  ///< of the history
    std::optional<Place> begin_;
    const std::function<bool(const Place&, const Place&)> later_ = [this](const Place& a, const Place& b) {
        return is_before(b, a);
    };
    std::vector<Place> heap_;
    std::string last_;
};

HttpResponse faults(const ApiContext& context, const HttpRequest& request) {
    const auto period = period_of(request);
    if (!period)
        return runtime::http_error(400, period.error().message + ": expected a time like 2026-03-01T04:05:06.000000Z");
    return list_of("faults", request, std::make_shared<FaultList>(context, request, *period));
}

json journal_of(const ApiContext& context, const base::FaultId& fault) {
    const Journal::Record* record = context.alarms().journal().find(fault);
    return merged(record == nullptr ? Journal::Record{} : *record, context.host);
}

/// One fault with its journal, whether it is open, over, or about the suite itself.
HttpResponse fault(const ApiContext& context, const base::FaultId& id) {
    json entry;
    const Journal& journal = context.alarms().journal();
    if (const TrackedFault* tracked = context.alarms().table().find(id)) {
        entry = tracked_entry(context, *tracked);
    } else if (const FaultHistory::Entry* past = context.alarms().history().find(id)) {
        entry = fault_entry(context, past->tracked);
        entry["delivered_from_here"] = past->delivered;
    } else if (journal.alarms().contains(id)) {
        entry = internal_alarm(context, *journal.find(id));
    } else {
        return json_reply({{"error", "no such fault"}}, 404);
    }
    entry["journal"] = journal_of(context, id);
    return json_reply(entry);
}

/// `{"guests":[...],"counts":{...}}`; without the guests with `?counts=1`, those of one kind with `?only=`.
class CoverageList {
public:
    CoverageList(const ApiContext& context, const HttpRequest& request, std::size_t limit)
        : walk_(context.core.coverage()),
          only_counts_(request.query_value("counts") == "1"),
          only_(request.query_value("only")),
          limit_(limit) {}

    bool append_to(std::string& piece) {
        const bool more = walk_.turn([&](const Covered& covered) { add(piece, covered); });
        if (more) return true;
        piece += "],\"counts\":" + wire::dump(coverage_counts(walk_.census())) + "}\n";
        return false;
    }

private:
    void add(std::string& piece, const Covered& covered) {
        if (only_counts_ || (limit_ != 0 && written_ == limit_)) return;
        if (!only_.empty() && to_string(covered.watch) != only_) return;
        if (written_++ != 0) piece += ',';
        piece += wire::dump({{"guest", covered.guest.str()},
                             {"host", covered.host.str()},
                             {"coverage", std::string(to_string(covered.watch))},
                             {"why", covered.why}});
    }

    Coverage::Walk walk_;
    bool only_counts_;
    std::string only_;
    std::size_t limit_;  ///< 0: all
    std::size_t written_ = 0;
};

HttpResponse coverage(const ApiContext& context, const HttpRequest& request) {
    const auto limit = runtime::list_limit(request);
    if (!limit.valid) return wrong_limit();
    HttpResponse response{200, "application/json", R"({"guests":[)"};
    response.more = [list = CoverageList(context, request, limit.entries)](std::string& piece) mutable {
        return list.append_to(piece);
    };
    return response;
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
                        {"primary", agent.is_primary},
                        {"guests", agent.guests.size()},
                        {"faults", context.alarms().table().open_of_host(host)}});
    }
    return json_reply({{"agents", std::move(list)}});
}

}  // namespace

HttpResponse json_reply(const json& body, int status) {
    return {status, "application/json", wire::dump(body) + "\n"};
}

HttpResponse wrong_limit() {
    return runtime::http_error(400, "limit: expected a number from 1 to 100000");
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
    page("/v1/faults", Right::reader, faults);
    router.add("GET", "/v1/faults/*", Right::reader,
               [&context](const HttpRequest&, const auto& parts) { return fault(context, base::FaultId(parts[0])); });
    page("/v1/agents", Right::reader, agents);
    page("/v1/coverage", Right::reader, coverage);
    page("/v1/events", Right::reader, events);
    add_guest_pages(router, context);
    add_journal_pages(router, context);
    add_group_pages(router, context);
    add_operation_pages(router, context);
    add_web_pages(router);
    return router;
}

std::size_t count_guests(const ApiContext& context, std::string_view state) {
    const auto& counts = context.fleet().states();
    const auto at = counts.find(std::string(state));
    return (at == counts.end() ? 0 : at->second) + (state == kUnregistered ? context.census.unreported : 0);
}

}  // namespace vitalwire::controller
