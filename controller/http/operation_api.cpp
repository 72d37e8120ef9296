#include "controller/http/operation_api.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "base/text.hpp"
#include "controller/model/maintenance.hpp"
#include "runtime/http/reload_page.hpp"
#include "wire/field_reader.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr std::size_t kLongestReason = 1024;
constexpr std::int64_t kShortestMaintenance = 1;

bool is_reason(const std::string& text) {
    return !text.empty() && text.size() <= kLongestReason && base::is_utf8(text);
}

HttpResponse refused(const base::Error& error) {
    switch (error.code) {
        case base::Errc::not_found:
            return runtime::http_error(404, error.message);
        case base::Errc::in_use:
        case base::Errc::too_many:
            return runtime::http_error(409, error.message);
        default:
            return runtime::http_error(400, error.message);
    }
}

/// What an operator says about a fault that is open; it goes to the fault's journal.
template <class Act>
HttpResponse about_fault(const std::string& id, const HttpRequest& request, const char* state, Act act) {
    if (!is_reason(request.body)) return runtime::http_error(400, "expected a reason of 1 to 1024 bytes as the body");
    if (!act(base::FaultId(id), request.body)) return runtime::http_error(404, "no such fault is open");
    return json_reply({{"fault", id}, {"state", state}});
}

HttpResponse clear_fault(const ApiContext& context, const std::string& id, const HttpRequest& request) {
    return about_fault(id, request, "cleared", [&](const base::FaultId& fault, const std::string& reason) {
        bool done = false;
        context.operate([&](Core& core, base::Moment now) { done = core.clear_by_operator(fault, reason, now); });
        return done;
    });
}

HttpResponse acknowledge_fault(const ApiContext& context, const std::string& id, const HttpRequest& request) {
    return about_fault(id, request, "seen", [&](const base::FaultId& fault, const std::string& note) {
        bool done = false;
        context.operate([&](Core& core, base::Moment now) { done = core.acknowledge_by_operator(fault, note, now); });
        return done;
    });
}

HttpResponse remove_host(const ApiContext& context, const std::string& host) {
    base::Result<void> removed;
    context.operate([&](Core& core, base::Moment now) { removed = core.remove_host(base::HostId(host), now); });
    return removed ? json_reply({{"host", host}, {"state", "removed"}}) : refused(removed.error());
}

HttpResponse open_test_event(const ApiContext& context) {
    base::Result<base::FaultId> opened;
    context.operate([&](Core& core, base::Moment now) { opened = core.open_test_event(now); });
    return opened ? json_reply({{"fault", opened->str()}, {"state", "open"}}, 201) : refused(opened.error());
}

json shown(const Maintenance& window, base::WallTime now) {
    json entry = to_json(window);
    entry["active"] = window.active(now);
    return entry;
}

/// With those of the same name that last beside it: until they have ended, nothing else has.
json shown_with_others(const ApiContext& context, const Maintenance& window) {
    const base::WallTime now = context.core.time();
    json entry = shown(window, now);
    entry["others"] = json::array();
    for (const Maintenance& other : context.core.maintenance().beside(window, now))
        entry["others"].push_back(shown(other, now));
    return entry;
}

/// The time is of the clock that the windows are by: a peer compares it with its own.
HttpResponse list_maintenance(const ApiContext& context) {
    const base::WallTime now = context.core.time();
    json list = json::array();
    for (const auto& [id, window] : context.core.maintenance().all())
        list.push_back(shown(window, now));
    return json_reply({{"time", base::to_iso8601(now)}, {"maintenance", std::move(list)}});
}

base::Result<Maintenance> requested(const HttpRequest& request) {
    auto object = wire::parse_object(request.body);
    if (!object) return tl::make_unexpected(object.error());
    const std::int64_t longest = std::chrono::seconds(kLongestMaintenance).count();
    const auto seconds = wire::read_int(*object, "seconds", kShortestMaintenance, longest);
    if (!seconds) return tl::make_unexpected(seconds.error());
    const base::WallTime now = std::chrono::system_clock::now();
    (*object)["id"] = to_string(boost::uuids::random_generator()());
    (*object)["since"] = base::to_iso8601(now);
    (*object)["until"] = base::to_iso8601(now + std::chrono::seconds(*seconds));
    (*object)["revision"] = 1;
    if (!object->contains("name")) (*object)["name"] = "";
    if (!object->contains("by")) (*object)["by"] = request.peer;
    return maintenance_from_json(*object);
}

HttpResponse begin_maintenance(const ApiContext& context, const HttpRequest& request) {
    auto window = requested(request);
    if (!window) return refused(window.error());
    context.operate([&](Core& core, base::Moment now) { window = core.begin_maintenance(std::move(*window), now); });
    return window ? json_reply(shown_with_others(context, *window), 201) : refused(window.error());
}

HttpResponse end_maintenance(const ApiContext& context, const std::string& id) {
    base::Result<Maintenance> window;
    context.operate([&](Core& core, base::Moment now) { window = core.end_maintenance(id, now); });
    return window ? json_reply(shown_with_others(context, *window)) : refused(window.error());
}

}  // namespace

void add_operation_pages(runtime::Router& router, const ApiContext& context) {
    using Right = runtime::Router::Right;
    router.add(
        "POST", "/v1/faults/*/clear", Right::operators,
        [&context](const HttpRequest& request, const auto& parts) { return clear_fault(context, parts[0], request); });
    router.add("POST", "/v1/faults/*/ack", Right::operators, [&context](const HttpRequest& request, const auto& parts) {
        return acknowledge_fault(context, parts[0], request);
    });
    router.add("POST", "/v1/agents/*/forget", Right::operators,
               [&context](const HttpRequest&, const auto& parts) { return remove_host(context, parts[0]); });
    router.add("POST", "/v1/test-event", Right::operators,
               [&context](const HttpRequest&, const auto&) { return open_test_event(context); });
    router.add("GET", "/v1/maintenance", Right::reader,
               [&context](const HttpRequest&, const auto&) { return list_maintenance(context); });
    router.add("POST", "/v1/maintenance", Right::operators,
               [&context](const HttpRequest& request, const auto&) { return begin_maintenance(context, request); });
    router.add("POST", "/v1/maintenance/*/end", Right::operators,
               [&context](const HttpRequest&, const auto& parts) { return end_maintenance(context, parts[0]); });
    router.add("POST", "/v1/peers/ask", Right::reader, [&context](const HttpRequest&, const auto&) {
        context.ask_peers();
        return json_reply({{"state", "asking"}}, 202);
    });
    if (context.reload) runtime::add_reload_page(router, context.reload);
}

}  // namespace vitalwire::controller
