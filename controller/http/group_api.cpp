#include "controller/http/group_api.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "controller/controller.hpp"
#include "controller/http/api.hpp"
#include "wire/group_codec.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::GroupId;
using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

namespace {

constexpr std::string_view kGroupPages = "/v1/groups";
constexpr std::string_view kSendSuffix = "/send";

json group_row(const Controller& controller, const GroupId& id) {
    const InventoryGroup* group = controller.inventory().group(id);
    const auto& all = controller.groups().counters();
    const auto at = all.find(id);
    const GroupCounters counters = at == all.end() ? GroupCounters{} : at->second;
    return {{"id", id.str()},
            {"name", group == nullptr ? "" : group->name},
            {"project", group == nullptr ? "" : group->project},
            {"members", controller.inventory().of_group(id).size()},
            {"broadcasts", counters.broadcasts},
            {"deliveries", counters.deliveries},
            {"notifications", counters.notifications},
            {"queries", counters.queries}};
}

HttpResponse list_groups(const Controller& controller) {
    json rows = json::array();
    for (const auto& [id, group] : controller.inventory().groups())
        rows.push_back(group_row(controller, id));
    return json_reply({{"groups", std::move(rows)}});
}

/// What its agent knows of the member.
void add_report(json& member, const Agent* agent, const base::GuestId& guest) {
    if (agent == nullptr) return;
    const auto report = agent->guests.find(guest);
    if (report == agent->guests.end()) return;
    member["channels"] = report->second.channels;
    member["refused"] = report->second.refused;
}

HttpResponse show_group(const Controller& controller, const GroupId& id) {
    const auto guests = controller.inventory().of_group(id);
    if (guests.empty() && controller.inventory().group(id) == nullptr)
        return json_reply({{"error", "no group '" + id.str() + "'"}}, 404);
    json row = group_row(controller, id);
    row["guests"] = json::array();
    for (const InventoryGuest* guest : guests) {
        json member = wire::to_json(controller.groups().state(guest->id));
        member["messaging"] = guest->policy.messaging;
        add_report(member, controller.fleet().find(guest->host), guest->id);
        row["guests"].push_back(std::move(member));
    }
    return json_reply(row);
}

/// Guests trust what is marked as the operator's: it is taken from this host only.
bool is_local(const std::string& peer) {
    return peer == "unix" || peer.starts_with("127.") || peer == "::1";
}

HttpResponse send_to(Controller& controller, const GroupId& id, const HttpRequest& request) {
    if (!is_local(request.peer)) return json_reply({{"error", "only this host's operator may send to a group"}}, 403);
    const auto sent = controller.send_to_group(id, request.body);
    if (!sent)
        return json_reply({{"error", sent.error().message}}, sent.error().code == base::Errc::not_found ? 404 : 413);
    return json_reply({{"group", id.str()}, {"guests", *sent}}, 202);
}

}  // namespace

bool is_group_page(std::string_view path) {
    return path == kGroupPages ||
           (path.starts_with(kGroupPages) && path.size() > kGroupPages.size() && path[kGroupPages.size()] == '/');
}

HttpResponse answer_group(Controller& controller, const HttpRequest& request) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (request.path == kGroupPages)
        return reads ? list_groups(controller) : json_reply({{"error", "expected GET"}}, 405);
    std::string id = request.path.substr(kGroupPages.size() + 1);
    if (!id.ends_with(kSendSuffix))
        return reads ? show_group(controller, GroupId(id)) : json_reply({{"error", "expected GET"}}, 405);
    id.resize(id.size() - kSendSuffix.size());
    return request.method == "POST" ? send_to(controller, GroupId(id), request)
                                    : json_reply({{"error", "expected POST"}}, 405);
}

}  // namespace vitalwire::controller
