#include "controller/openstack/nova_records.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.hpp"
#include "wire/json_reader.hpp"

namespace vitalwire::controller {

using base::Errc;
using base::fail;
using base::Result;
using nlohmann::json;
using About = NovaNotification::About;

namespace {

constexpr std::size_t kMaxUuid = 36;   // Nova's ids are UUIDs
constexpr std::size_t kMaxText = 255;  // as Nova's columns
constexpr wire::JsonLimits kNotificationLimits{32, 20'000};

const json kNothing;

const json& member(const json& object, const char* key) {
    const json* value = wire::find(object, key);
    return value == nullptr ? kNothing : *value;
}

/// The fields of a versioned object.
const json& data(const json& object) {
    return member(object, "nova_object.data");
}

std::string text(const json& object, const char* key) {
    return base::cut_utf8(wire::text_or(object, key), kMaxText);
}

/// Nova has three ways to write a time; the API's is ours: 2026-11-22T06:26:02.000000.
std::string time_of(const json& object, const char* key) {
    std::string time = text(object, key);
    if (time.ends_with('Z')) time.pop_back();
    constexpr std::size_t kWholeSeconds = 19;
    return time.size() == kWholeSeconds ? time + ".000000" : time;
}

/// "2026-11-22 06:25:56.533607", UTC, as oslo.messaging writes it; without a fraction when that is 0.
base::WallTime sent_at(const json& message) {
    std::string time = time_of(message, "timestamp") + "Z";
    if (const std::size_t space = time.find(' '); space != std::string::npos) time[space] = 'T';
    return base::from_iso8601(time);
}

std::map<std::string, std::string> string_map(const json& object) {
    std::map<std::string, std::string> map;
    if (!object.is_object()) return map;
    for (const auto& [key, value] : object.items()) {
        if (value.is_string()) map[key] = value.get<std::string>();
    }
    return map;
}

bool is_id(std::string_view id) {
    return base::is_plain_name(id, kMaxUuid);
}

tl::unexpected<base::Error> no_id(const char* of, const char* key) {
    return fail(Errc::malformed, std::string(of) + ": '" + key + "' is no uuid");
}

std::vector<base::GuestId> guest_ids(const json& list) {
    std::vector<base::GuestId> ids;
    if (!list.is_array()) return ids;
    for (const json& id : list) {
        if (id.is_string() && is_id(id.get_ref<const std::string&>())) ids.emplace_back(id.get<std::string>());
    }
    return ids;
}

/// A server of no host is one that runs nowhere: that has to be said, and is not what an attribute that is absent says.
Result<void> check_placed(const json& object, const char* state_key, const char* host_key) {
    const json* state = wire::find(object, state_key);
    if (state == nullptr || !state->is_string())
        return fail(Errc::malformed, std::string("a server without '") + state_key + "', expected a text");
    const json* host = wire::find(object, host_key);
    if (host == nullptr || (!host->is_string() && !host->is_null()))
        return fail(Errc::malformed, std::string("a server without '") + host_key + "', expected a text or null");
    return {};
}

// Notifications.

/// What both formats call the same.
Result<NovaServer> server_in(const json& payload, const char* id_key, const char* hostname_key) {
    NovaServer server;
    InventoryGuest& guest = server.guest;
    guest.id = base::GuestId(wire::text_or(payload, id_key));
    if (!is_id(guest.id.str())) return no_id("notification about a server", id_key);
    guest.display_name = text(payload, "display_name");
    guest.hostname = text(payload, hostname_key);
    guest.project = text(payload, "tenant_id");
    guest.host = base::HostId(text(payload, "host"));
    guest.node = text(payload, "node");
    guest.state = text(payload, "state");
    guest.launched_at = time_of(payload, "launched_at");
    guest.metadata = string_map(member(payload, "metadata"));
    server.deleted = guest.state == "deleted";
    return server;
}

Result<NovaServer> versioned_server(const json& payload) {
    auto server = server_in(payload, "uuid", "host_name");
    if (!server) return server;
    server->guest.state_description = text(payload, "task_state");
    const json& flavor = data(member(payload, "flavor"));
    server->flavor = text(flavor, "name");
    const json& specs = member(flavor, "extra_specs");
    if (specs.is_object()) server->specs = string_map(specs);
    return server;
}

Result<NovaServer> unversioned_server(const json& payload) {
    auto server = server_in(payload, "instance_id", "hostname");
    if (!server) return server;
    server->guest.state_description = text(payload, "new_task_state");
    server->flavor = text(payload, "instance_type");
    return server;
}

Result<NovaGroup> group_in(const json& payload, const char* id_key, const char* members_key) {
    NovaGroup group;
    group.group.id = base::GroupId(wire::text_or(payload, id_key));
    if (!is_id(group.group.id.str())) return no_id("notification about a server group", id_key);
    group.group.name = text(payload, "name");
    group.group.project = text(payload, "project_id");
    group.members = guest_ids(member(payload, members_key));
    return group;
}

/// Sent by the host that the server is to be moved to; the server's own host is still the other one.
bool announces_move(const std::string& event) {
    constexpr std::array<std::string_view, 6> kEvents = {
        "instance.live_migration_pre.start",  "instance.resize_prep.start",
        "instance.resize_revert.start",       "compute.instance.live_migration.pre.start",
        "compute.instance.resize.prep.start", "compute.instance.resize.revert.start"};
    return std::find(kEvents.begin(), kEvents.end(), event) != kEvents.end();
}

/// The host in "nova-compute:HOST" or, unversioned, "compute.HOST".
base::HostId host_of(std::string_view publisher) {
    for (const std::string_view service : {"nova-compute:", "compute."}) {
        if (publisher.starts_with(service)) return base::HostId(std::string(publisher.substr(service.size())));
    }
    return {};
}

template <class T>
base::Result<NovaNotification> filled(NovaNotification notification, About about, T NovaNotification::*field,
                                      base::Result<T> content) {
    if (!content) return tl::make_unexpected(content.error());
    notification.about = about;
    notification.*field = std::move(*content);
    return notification;
}

Result<NovaNotification> read_versioned(NovaNotification notification, const json& payload) {
    const std::string& event = notification.event_type;
    if (event == "instance.update") {
        if (auto placed = check_placed(payload, "state", "host"); !placed) return tl::make_unexpected(placed.error());
        return filled(std::move(notification), About::server, &NovaNotification::server, versioned_server(payload));
    }
    if (announces_move(event))
        return filled(std::move(notification), About::move, &NovaNotification::server, versioned_server(payload));
    if (event == "instance.delete.end")
        return filled(std::move(notification), About::server_gone, &NovaNotification::server,
                      versioned_server(payload));
    if (event == "server_group.create" || event == "server_group.add_member")
        return filled(std::move(notification), About::group, &NovaNotification::group,
                      group_in(payload, "uuid", "members"));
    if (event == "server_group.delete")
        return filled(std::move(notification), About::group_gone, &NovaNotification::group,
                      group_in(payload, "uuid", "members"));
    return notification;
}

Result<NovaNotification> read_unversioned(NovaNotification notification, const json& payload) {
    const std::string& event = notification.event_type;
    if (event == "compute.instance.update") {
        if (auto placed = check_placed(payload, "state", "host"); !placed) return tl::make_unexpected(placed.error());
        return filled(std::move(notification), About::server, &NovaNotification::server, unversioned_server(payload));
    }
    if (announces_move(event))
        return filled(std::move(notification), About::move, &NovaNotification::server, unversioned_server(payload));
    if (event == "compute.instance.delete.end")
        return filled(std::move(notification), About::server_gone, &NovaNotification::server,
                      unversioned_server(payload));
    if (event == "servergroup.create")
        return filled(std::move(notification), About::group, &NovaNotification::group,
                      group_in(payload, "server_group_id", "instance_uuids"));
    if (event == "servergroup.addmember")
        return filled(std::move(notification), About::group_members, &NovaNotification::group,
                      group_in(payload, "server_group_id", "instance_uuids"));
    if (event == "servergroup.delete")
        return filled(std::move(notification), About::group_gone, &NovaNotification::group,
                      group_in(payload, "server_group_id", "instance_uuids"));
    return notification;
}

/// oslo.messaging puts the message as a string into an envelope; without the envelope it stands there itself.
Result<json> unwrapped(std::string_view body) {
    auto envelope = wire::parse_object(body, kNotificationLimits);
    if (!envelope) return envelope;
    const json* inner = wire::find(*envelope, "oslo.message");
    if (inner == nullptr) return envelope;
    if (!inner->is_string()) return fail(Errc::malformed, "oslo.message is no string");
    return wire::parse_object(inner->get_ref<const std::string&>(), kNotificationLimits);
}

}  // namespace

Result<NovaNotification> read_notification(std::string_view body) {
    if (body.size() > kMaxNotification)
        return fail(Errc::too_large, "notification of " + std::to_string(body.size()) + " bytes");
    const auto message = unwrapped(body);
    if (!message) return tl::make_unexpected(message.error());
    NovaNotification notification;
    notification.message_id = text(*message, "message_id");
    notification.event_type = text(*message, "event_type");
    notification.sent_at = sent_at(*message);
    if (notification.event_type.empty()) return fail(Errc::malformed, "a notification without event_type");
    const json& payload = member(*message, "payload");
    if (!payload.is_object()) return fail(Errc::malformed, "a notification whose payload is no object");
    notification.versioned = payload.contains("nova_object.data");
    notification.partner = host_of(text(*message, "publisher_id"));
    return notification.versioned ? read_versioned(std::move(notification), data(payload))
                                  : read_unversioned(std::move(notification), payload);
}

Result<std::optional<NovaServer>> read_server(const json& json_server) {
    NovaServer server;
    InventoryGuest& guest = server.guest;
    guest.id = base::GuestId(wire::text_or(json_server, "id"));
    if (!is_id(guest.id.str())) return no_id("server", "id");
    guest.state = text(json_server, "OS-EXT-STS:vm_state");
    if (guest.state.empty()) return std::optional<NovaServer>();
    if (auto placed = check_placed(json_server, "OS-EXT-STS:vm_state", "OS-EXT-SRV-ATTR:host"); !placed)
        return fail(Errc::malformed, "Nova: " + placed.error().message + ": the user needs the role admin");
    guest.display_name = text(json_server, "name");
    guest.hostname = text(json_server, "OS-EXT-SRV-ATTR:hostname");
    guest.project = text(json_server, "tenant_id");
    guest.host = base::HostId(text(json_server, "OS-EXT-SRV-ATTR:host"));
    guest.node = text(json_server, "OS-EXT-SRV-ATTR:hypervisor_hostname");
    guest.state_description = text(json_server, "OS-EXT-STS:task_state");
    guest.launched_at = time_of(json_server, "OS-SRV-USG:launched_at");
    guest.metadata = string_map(member(json_server, "metadata"));
    const json& flavor = member(json_server, "flavor");
    server.flavor = text(flavor, "original_name");
    const json& specs = member(flavor, "extra_specs");
    if (specs.is_object()) server.specs = string_map(specs);
    server.deleted = guest.state == "deleted" || text(json_server, "status") == "DELETED";
    server.updated_at = text(json_server, "updated");
    return std::optional(std::move(server));
}

Result<NovaGroup> read_group(const json& json_group) {
    NovaGroup group;
    group.group.id = base::GroupId(wire::text_or(json_group, "id"));
    if (!is_id(group.group.id.str())) return no_id("server group", "id");
    group.group.name = text(json_group, "name");
    group.group.project = text(json_group, "project_id");
    group.members = guest_ids(member(json_group, "members"));
    return group;
}

}  // namespace vitalwire::controller
