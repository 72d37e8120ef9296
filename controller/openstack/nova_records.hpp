#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/openstack/extra_specs.hpp"

namespace vitalwire::controller {

/// Bytes of a message's body; the longest that were seen have some 8 KB.
inline constexpr std::size_t kMaxNotification = 1U << 20U;

/// What Nova reports of one server, through its API or in a notification.
struct NovaServer {
    InventoryGuest guest;             ///< without group and policy
    std::string flavor;               ///< its name
    std::optional<ExtraSpecs> specs;  ///< absent in unversioned notifications
    bool deleted = false;
    std::string updated_at;  ///< by the clock of the host that wrote its row; empty in notifications
};

struct NovaGroup {
    InventoryGroup group;
    std::vector<base::GuestId> members;
};

/// What one notification contains, whatever its format.
struct NovaNotification {
    enum class About : std::uint8_t {
        nothing_of_ours,
        server,         ///< its row was saved: `server` is how it is now
        server_gone,    ///< `server.guest.id` only
        move,           ///< of `server.guest.id`, announced to the host `partner`
        group,          ///< created, or members added: `group.members` are in it
        group_members,  ///< `group.group.id` and the members just added only
        group_gone,     ///< `group.group.id` only
    };

    std::string message_id;
    std::string event_type;
    bool versioned = false;
    base::WallTime sent_at{};  ///< by its sender's clock; the epoch where it has no time
    About about = About::nothing_of_ours;
    NovaServer server;
    base::HostId partner;
    NovaGroup group;
};

/// A server of GET /servers/detail or GET /servers/{id} (from microversion 2.47). Absent when Nova could not report
/// more than its id, which it does for a cell that is down. Fails with malformed.
base::Result<std::optional<NovaServer>> read_server(const nlohmann::json& server);
/// A group of GET /os-server-groups (from microversion 2.13). Fails with malformed.
base::Result<NovaGroup> read_group(const nlohmann::json& group);
/// A message's body. Only what saved rows contain counts (instance.update, group events): the other events of an
/// operation repeat it, some with the values of before, and are used for nothing but the host that a move is announced
/// to, which sends them. Fails with malformed or too_large.
base::Result<NovaNotification> read_notification(std::string_view body);

}  // namespace vitalwire::controller
