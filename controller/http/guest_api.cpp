#include "controller/http/guest_api.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bus/json.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::GuestId;
using base::HostId;
using nlohmann::json;
using runtime::HttpRequest;
using runtime::HttpResponse;

void add_maintenance(json& entry, const ApiContext& context, const GuestId& guest, const HostId& host) {
    const Maintenance* window = context.core.maintenance_of(guest, host);
    if (window == nullptr) return;
    const auto effect = context.core.maintenance_effect(guest, host);
    entry["maintenance"] = {{"until", base::to_iso8601(window->until)},
                            {"by", window->by},
                            {"reason", window->reason},
                            {"notify", effect.notify},
                            {"force", effect.forced_until != base::WallTime{}}};
}

namespace {

void add_inventory(json& entry, const InventoryGuest* guest) {
    entry["group"] = guest == nullptr ? "" : guest->group.str();
    entry["display_name"] = guest == nullptr ? "" : guest->display_name;
    if (guest == nullptr) return;
    entry["cloud_state"] = guest->state;
    entry["policy"] = bus::to_json(guest->policy);
    entry["policy"].erase("guest");
}

/// A guest of the inventory that no agent reports.
json unreported_entry(const ApiContext& context, const InventoryGuest& guest) {
    model::GuestReport report;
    report.guest = guest.id;
    report.state = kUnregistered;
    json entry = bus::to_json(report);
    entry["host"] = guest.host.str();
    add_inventory(entry, &guest);
    add_maintenance(entry, context, guest.id, guest.host);
    return entry;
}

json reported_entry(const ApiContext& context, const HostId& host, const model::GuestReport& report) {
    json entry = bus::to_json(report);
    entry["host"] = host.str();
    const Agent* agent = context.fleet().find(host);
    if (!agent->connected) entry["stale_since"] = base::to_iso8601(agent->since);
    add_inventory(entry, context.inventory.guest(report.guest));
    add_maintenance(entry, context, report.guest, host);
    return entry;
}

bool has_part(std::string_view text, std::string_view lower_part) {
    const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == b; };
    return std::search(text.begin(), text.end(), lower_part.begin(), lower_part.end(), same) != text.end();
}

/// ?state=STATE, ?host=HOST, and ?match=TEXT: part of an id or name of the guest, its host or its group, in any case.
class GuestFilter {
public:
    explicit GuestFilter(const HttpRequest& request)
        : state_(request.query_value("state")),
          host_(request.query_value("host")),
          text_(request.query_value("match")) {
        std::transform(text_.begin(), text_.end(), text_.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    }

    bool passes(std::string_view state, std::string_view name, const GuestId& id, const HostId& host,
                const InventoryGuest* guest) const {
        if (!state_.empty() && state != state_) return false;
        if (!host_.empty() && host != host_) return false;
        if (text_.empty()) return true;
        if (has_part(id.str(), text_) || has_part(name, text_) || has_part(host.str(), text_)) return true;
        return guest != nullptr && (has_part(guest->display_name, text_) || has_part(guest->group.str(), text_));
    }

private:
    std::string state_;  ///< empty: any
    HostId host_;        ///< empty: any
    std::string text_;
};

/// First the guests of the inventory that no agent reports, "/host/guest" as a cursor; then those that agents report,
/// "host/guest". Each in the order of hosts and ids. What comes and goes between two calls is seen or not.
class GuestList {
public:
    GuestList(const ApiContext& context, const HttpRequest& request, std::string_view after)
        : context_(context), filter_(request), unreported_(after.empty() || after.front() == '/') {
        if (unreported_ && !after.empty()) after.remove_prefix(1);
        const std::size_t slash = std::min(after.find('/'), after.size());
        host_ = HostId(std::string(after.substr(0, slash)));
        guest_ = GuestId(std::string(after.substr(std::min(slash + 1, after.size()))));
    }

    std::optional<runtime::ListEntry> next() {
        if (unreported_) {
            if (const InventoryGuest* guest = context_.inventory.next(host_, guest_)) return unreported(*guest);
            unreported_ = false;
            host_ = {};
            guest_ = {};
        }
        const auto found = context_.fleet().next(host_, guest_);
        return found ? std::optional(reported(*found)) : std::nullopt;
    }

private:
    runtime::ListEntry unreported(const InventoryGuest& guest) {
        host_ = guest.host;
        guest_ = guest.id;
        if (context_.fleet().is_reported(guest.id) || guest.state == "deleted") return {};
        if (!filter_.passes(kUnregistered, "", guest.id, guest.host, &guest)) return {};
        return {"/" + guest.host.str() + "/" + guest.id.str(), wire::dump(unreported_entry(context_, guest))};
    }
    runtime::ListEntry reported(const Fleet::Reported& found) {
        const model::GuestReport& report = *found.report;
        host_ = found.host;
        guest_ = report.guest;
        if (!filter_.passes(report.state, report.name, guest_, host_, context_.inventory.guest(guest_))) return {};
        return {host_.str() + "/" + guest_.str(), wire::dump(reported_entry(context_, host_, report))};
    }

    const ApiContext& context_;
    GuestFilter filter_;
    bool unreported_;
    HostId host_;  ///< of the guest that was listed last
    GuestId guest_;
};

HttpResponse guests(const ApiContext& context, const HttpRequest& request) {
    return list_of("guests", request, std::make_shared<GuestList>(context, request, request.query_value("after")));
}

/// As the first agent reports it that does; `hosts` are all that do.
HttpResponse one_guest(const ApiContext& context, const GuestId& id) {
    const std::vector<HostId>& holders = context.fleet().holders(id);
    const InventoryGuest* guest = context.inventory.guest(id);
    if (holders.empty() && guest == nullptr) return runtime::http_error(404, "no such guest");
    json entry = holders.empty()
                     ? unreported_entry(context, *guest)
                     : reported_entry(context, holders.front(), *context.fleet().report_of(holders.front(), id));
    entry["hosts"] = json::array();
    for (const HostId& host : holders)
        entry["hosts"].push_back(host.str());
    return json_reply(entry);
}

}  // namespace

void add_guest_pages(runtime::Router& router, const ApiContext& context) {
    using Right = runtime::Router::Right;
    router.add("GET", "/v1/guests", Right::reader,
               [&context](const HttpRequest& request, const auto&) { return guests(context, request); });
    router.add("GET", "/v1/guests/*", Right::reader,
               [&context](const HttpRequest&, const auto& parts) { return one_guest(context, GuestId(parts[0])); });
}

}  // namespace vitalwire::controller
