#include "controller/http/journal_api.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "controller/alarms/tracked_fault_json.hpp"
#include "controller/delivery/journal_json.hpp"
#include "controller/fleet/peer_agents_json.hpp"

namespace vitalwire::controller {

using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

/// A turn of the loop writes so many; who asks comes again for the rest.
constexpr std::size_t kPage = 50;

/// What has changed since the change of that number. Numbers count from each start, which `life` names. The last page
/// has the agents, for who asks for them: a release that does not reads no long lists.
HttpResponse journals(const ApiContext& context, const HttpRequest& request) {
    const std::string after = request.query_value("after");
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), number);
    if (!after.empty() && (error != std::errc() || end != after.data() + after.size()))
        return runtime::http_error(400, "expected a number after 'after='");
    const Journal& journal = context.alarms().journal();
    json list = json::array();
    for (const base::FaultId& id : journal.after(number, kPage)) {
        const Journal::Record& record = *journal.find(id);
        json row = to_json(static_cast<const Journal::Part&>(record));
        row["fault"] = id.str();
        row["number"] = record.number;
        if (const FaultHistory::Entry* past = context.alarms().history().find(id))
            row["ended"] = to_json(past->tracked);
        list.push_back(std::move(row));
    }
    json body = {{"controller", context.host},
                 {"life", base::to_iso8601(context.started_at)},
                 {"time", base::to_iso8601(std::chrono::system_clock::now())},
                 {"sinks", context.alarms().sink_names()},
                 {"complete", list.size() < kPage},
                 {"journals", std::move(list)}};
    if (body["complete"] && !request.query_value("agents").empty()) {
        body["silent_after_ms"] = context.core.silent_after().count();
        body["agents"] = to_json(context.core.agents_for_peers(base::Clock::now()));
    }
    return json_reply(body);
}

}  // namespace

void add_journal_pages(runtime::Router& router, const ApiContext& context) {
    router.add("GET", "/v1/journals", runtime::Router::Right::reader,
               [&context](const HttpRequest& request, const auto&) { return journals(context, request); });
}

}  // namespace vitalwire::controller
