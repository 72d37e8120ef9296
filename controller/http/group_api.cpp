#include "controller/http/group_api.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller/http/api.hpp"
#include "wire/group_codec.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::GroupId;
using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

json group_row(const ApiContext& context, const GroupId& id) {
    const InventoryGroup* group = context.inventory.group(id);
    const auto& all = context.groups().counters();
    const auto at = all.find(id);
    const GroupCounters counters = at == all.end() ? GroupCounters{} : at->second;
    return {{"id", id.str()},
            {"name", group == nullptr ? "" : group->name},
            {"project", group == nullptr ? "" : group->project},
            {"members", context.inventory.of_group(id).size()},
            {"broadcasts", counters.broadcasts},
            {"deliveries", counters.deliveries},
            {"notifications", counters.notifications},
            {"queries", counters.queries}};
}

HttpResponse list_groups(const ApiContext& context) {
    json rows = json::array();
    for (const auto& [id, group] : context.inventory.groups())
        rows.push_back(group_row(context, id));
    return json_reply({{"groups", std::move(rows)}});
}

/// What its agent reports of the member.
void add_report(json& member, const Agent* agent, const base::GuestId& guest) {
    if (agent == nullptr) return;
    const auto report = agent->guests.find(guest);
    if (report == agent->guests.end()) return;
    member["channels"] = report->second.channels;
    member["refused"] = report->second.refused;
}

HttpResponse show_group(const ApiContext& context, const GroupId& id) {
    const auto guests = context.inventory.of_group(id);
    if (guests.empty() && context.inventory.group(id) == nullptr)
        return json_reply({{"error", "no group '" + id.str() + "'"}}, 404);
    json row = group_row(context, id);
    row["guests"] = json::array();
    for (const InventoryGuest* guest : guests) {
        json member = wire::to_json(context.groups().state(guest->id));
        member["messaging"] = guest->policy.messaging;
        add_report(member, context.fleet().find(guest->host), guest->id);
        row["guests"].push_back(std::move(member));
    }
    return json_reply(row);
}

HttpResponse send_to(const ApiContext& context, const GroupId& id, const HttpRequest& request) {
    const auto sent = context.send_to_group(id, request.body);
    if (!sent)
        return json_reply({{"error", sent.error().message}}, sent.error().code == base::Errc::not_found ? 404 : 413);
    return json_reply({{"group", id.str()}, {"guests", *sent}}, 202);
}

}  // namespace

void add_group_pages(runtime::Router& router, const ApiContext& context) {
    using Right = runtime::Router::Right;
    using Parts = std::vector<std::string>;
    router.add("GET", "/v1/groups", Right::reader,
               [&context](const HttpRequest&, const Parts&) { return list_groups(context); });
    router.add("GET", "/v1/groups/*", Right::reader,
               [&context](const HttpRequest&, const Parts& parts) { return show_group(context, GroupId(parts[0])); });
    // Guests trust what is marked as the operator's.
    router.add("POST", "/v1/groups/*/send", Right::operators,
               [&context](const HttpRequest& request, const Parts& parts) {
                   return send_to(context, GroupId(parts[0]), request);
               });
}

}  // namespace vitalwire::controller
