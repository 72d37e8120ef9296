#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "wire/group_pdu.hpp"

namespace vitalwire::group {

/// A member of a group, as the cloud's inventory has it now.
struct Member {
    base::GuestId guest;
    base::HostId host;  ///< empty while it is on none
    bool messaging = false;
};

/// Who is in which group. The controller's inventory implements it; a guest is in one group at most.
class Directory {
public:
    virtual ~Directory() = default;
    virtual std::optional<Member> member(const base::GuestId& guest) const = 0;
    virtual std::optional<base::GroupId> group_of(const base::GuestId& guest) const = 0;
    virtual std::vector<Member> members(const base::GroupId& group) const = 0;
    virtual wire::MemberState state(const base::GuestId& guest) const = 0;
};

/// One message for the guests of one host.
struct Hop {
    base::HostId host;
    std::vector<base::GuestId> guests;

    friend bool operator==(const Hop&, const Hop&) = default;
};

/// Where a message goes. Every decision reads the directory as it is at that moment, so a change of membership or host
/// takes effect with the next message. Only members whose flavor enables messaging take part.
class Router {
public:
    explicit Router(const Directory& directory) : directory_(directory) {}

    /// The hops of a broadcast that the agent on `host` says `sender` sent. Fails with not_in_group; with permission
    /// when the sender is not on that host: an agent speaks for its own guests only.
    base::Result<std::vector<Hop>> broadcast(const base::GuestId& sender, const base::HostId& host) const;
    /// The hops of an operator's message to a whole group. Fails with not_found.
    base::Result<std::vector<Hop>> broadcast_by_operator(const base::GroupId& group) const;
    /// The states of the whole group, the asker's included. Fails as `broadcast`.
    base::Result<std::vector<wire::MemberState>> status(const base::GuestId& asker, const base::HostId& host) const;
    /// The hops of a notification about a member of `group`; it is left out itself.
    std::vector<Hop> peers(const base::GroupId& group, const base::GuestId& about) const;

private:
    base::Result<base::GroupId> group_of_guest_on(const base::GuestId& guest, const base::HostId& host) const;
    std::vector<Hop> hops(const base::GroupId& group, const base::GuestId& left_out) const;

    const Directory& directory_;
};

}  // namespace vitalwire::group
