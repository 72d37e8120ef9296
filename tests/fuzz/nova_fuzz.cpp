// What Nova says, line by line: N notification, S a page of servers, G a page of groups, B begins and E ends a poll.
#include <nlohmann/json.hpp>
#include <vector>

#include "controller/fleet/inventory.hpp"
#include "controller/openstack/nova_records.hpp"
#include "controller/openstack/nova_view.hpp"
#include "fuzz.hpp"
#include "wire/json_reader.hpp"

using namespace vitalwire;
using namespace vitalwire::controller;

namespace {

void notify(NovaView& view, std::string_view body) {
    const auto notification = read_notification(body);
    if (!notification) return FUZZ_REQUIRE(!notification.error().message.empty());
    using About = NovaNotification::About;
    const bool of_server = notification->about == About::server || notification->about == About::server_gone;
    FUZZ_REQUIRE(!of_server || !notification->server.guest.id.empty());
    const NovaView::Effect effect = view.apply(*notification);
    for (const GuestChange& change : effect.changes)
        FUZZ_REQUIRE(change.before.has_value() || change.after.has_value());
}

void list_servers(NovaView& view, const nlohmann::json& page) {
    std::vector<NovaServer> servers;
    for (const nlohmann::json& entry : page) {
        auto server = read_server(entry);
        if (!server) FUZZ_REQUIRE(!server.error().message.empty());
        if (server && *server) servers.push_back(std::move(**server));
    }
    for (const NovaServer& server : servers)
        FUZZ_REQUIRE(!server.guest.id.empty());
    view.take(servers);
}

void list_groups(NovaView& view, const nlohmann::json& page) {
    std::vector<NovaGroup> groups;
    for (const nlohmann::json& entry : page) {
        auto group = read_group(entry);
        if (group) groups.push_back(std::move(*group));
    }
    view.take(groups);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    Inventory inventory;
    NovaView view(inventory);
    bool polls = false;
    std::string_view rest = input.rest();
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        if (line.empty()) continue;
        const std::string_view body = line.substr(1);
        if (line.front() == 'N') notify(view, body);
        const auto page = wire::parse_object(body);
        if (page && line.front() == 'S' && polls) list_servers(view, page->value("servers", nlohmann::json::array()));
        if (page && line.front() == 'G' && polls)
            list_groups(view, page->value("server_groups", nlohmann::json::array()));
        if (line.front() == 'B') view.begin_poll();
        if (line.front() == 'B') polls = true;
        if (line.front() == 'E' && polls) {
            const auto missing = view.missing();
            view.end_poll(missing, view.missing_groups());
            for (const base::GuestId& guest : missing)
                FUZZ_REQUIRE(inventory.guest(guest) == nullptr);
            polls = false;
        }
    }
    return 0;
}
