#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "controller/openstack/keystone.hpp"
#include "controller/openstack/nova_records.hpp"

namespace vitalwire::controller {

/// Nova's API, as far as an inventory needs it; as an administrator, of all projects. The microversion is agreed on
/// with the first call: at least 2.47 (the flavor's extra specs come with the server). Errors: those of Keystone::call,
/// unsupported_version, permission (403), not_found (404 in Nova's words), unknown_address (any other 404), malformed
/// (also a list that does not end: each page has something new), unavailable (any other status). All calls and
/// callbacks are on the event loop's thread; destroyed, it calls back no more.
class NovaClient {
public:
    /// The Date of a page; the epoch where Nova's answers have none.
    using ListedAt = base::WallTime;
    template <class T>
    using Done = std::function<void(base::Result<T>)>;
    template <class T>
    using Page = std::function<void(const T&, ListedAt)>;
    using Servers = std::vector<NovaServer>;
    using Groups = std::vector<NovaGroup>;

    explicit NovaClient(Keystone& keystone);
    ~NovaClient();
    NovaClient(const NovaClient&) = delete;
    NovaClient& operator=(const NovaClient&) = delete;

    /// All servers, each page as it comes. With `changed_since` (a time by Nova's clock) those that changed from then
    /// on, deleted ones among them.
    void list_servers(const std::string& changed_since, Page<Servers> page, Done<void> done);
    void list_groups(Page<Groups> page, Done<void> done);
    // Absent when Nova answers that there is none of this id.
    void get_group(const base::GroupId& group, Done<std::optional<NovaGroup>> done);
    void get_server(const base::GuestId& server, Done<std::optional<NovaServer>> done);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace vitalwire::controller
