#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "bus/messages.hpp"
#include "controller/fleet/fleet.hpp"
#include "controller/fleet/host_names.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/groups/kept_messages.hpp"
#include "group/router.hpp"

namespace vitalwire::controller {

/// What the controller has done for a group since it started.
struct GroupCounters {
    std::uint64_t broadcasts = 0;
    std::uint64_t deliveries = 0;  ///< guests a broadcast was sent to
    std::uint64_t notifications = 0;
    std::uint64_t queries = 0;
    std::uint64_t refusals = 0;  ///< of broadcasts and queries: no group, or another host's guest
    std::uint64_t kept = 0;      ///< for a guest that moved
};

/// Server groups: routes what guests send, answers what they ask, notifies them of their peers. Decides by the
/// inventory and what the agents report, as they are at that moment. No I/O: messages leave through `Send`.
class GroupService final : private group::Directory {
public:
    using Send = std::function<void(const base::HostId&, const bus::ToAgent&)>;
    using Moving = std::function<bool(const base::GuestId&)>;

    /// `name`: of this controller's life, fresh at each start, for messages of its own. `moving`: whether a move of the
    /// guest is announced. References must outlive this.
    GroupService(const Inventory& inventory, const Fleet& fleet, const HostNames& names, std::string name, Send send,
                 Moving moving);

    /// What is for a guest that moves and has no channel is kept until it has one.
    void on(const base::HostId& host, const bus::GroupSend& message, base::TimePoint now);
    /// Delivers what was kept for guests whose channel is there again. To be called when guests or policies have
    /// changed, after these have been sent, and now and then.
    void deliver_kept(base::TimePoint now);
    void on(const base::HostId& host, const bus::GroupQuery& message);

    /// Guests changed in the inventory: their peers are notified, unless nothing that a peer sees has changed. To those
    /// who stay, who leaves a group is "deleted".
    void inventory_changed(const std::vector<GuestChange>& changes, base::WallTime now);
    /// An agent has connected, or its snapshot is complete. Until its initial sync its guests are notified of no
    /// change, and nobody of theirs.
    void expect(const base::HostId& host);
    /// The agent's stream of broadcasts starts again: it has connected again, or named another primary. In between
    /// another controller may have delivered newer ones of its guests, and it may send again what it had no answer to:
    /// what was kept of them is dropped, and counted for those who do not get it.
    void drop_kept_of(const base::HostId& host);
    /// Notifies its guests of all their peers, as changes while it was away were sent to nobody; and the guests of
    /// hosts that were synced before this one was expected of its guests. So a thousand agents that return at once are
    /// notified of each peer once, each in one go. What their guests have already the agents know.
    void initial_sync(const base::HostId& host, base::WallTime now);
    void agent_down(const base::HostId& host);
    /// All hosts whose agent is away and not expected back in a moment. Their guests are not monitored, of which their
    /// peers are notified once: those of hosts that are synced now, and of others with their initial sync.
    void set_missing(std::set<base::HostId> hosts, base::WallTime now);
    /// Its agent fell silent although others are heard, or is heard again: so its guests are not watched, or are.
    void reachability_changed(const base::HostId& host, base::WallTime now);
    /// An agent's report of a guest changed what its peers know of its heartbeat.
    void heartbeat_changed(const base::GuestId& guest, base::WallTime now);

    /// A test message to a whole group, marked as the operator's. Returns how many guests it was sent to.
    base::Result<std::size_t> send_as_operator(const base::GroupId& group, const std::string& payload);

    /// The state of one guest as its peers see it.
    wire::MemberState state(const base::GuestId& guest) const override;
    /// Of the groups that are there.
    const std::map<base::GroupId, GroupCounters>& counters() const { return counters_; }
    /// Of all that were there.
    const GroupCounters& totals() const { return totals_; }
    /// Broadcasts for guests that moved for too long.
    std::uint64_t dropped() const { return kept_.dropped(); }

private:
    // group::Directory, on the inventory.
    std::optional<group::Member> member(const base::GuestId& guest) const override;
    std::optional<base::GroupId> group_of(const base::GuestId& guest) const override;
    std::vector<group::Member> members(const base::GroupId& group) const override;

    base::HostId agent_of(const InventoryGuest& guest) const;
    bool takes_part(const InventoryGuest& guest) const;
    bool is_primary(const base::HostId& host) const;
    bool is_synced(const base::HostId& host) const;
    bool is_awaited(const base::HostId& host) const;
    bool has_channel(const base::HostId& host, const base::GuestId& guest) const;
    bool keep(const base::HostId& host, const base::GuestId& guest, const bus::GroupDeliver& message,
              base::TimePoint now);
    void drop_kept(const std::function<bool(const InventoryGuest* sender)>& outdated);
    bool synced_after(const base::HostId& host, std::uint64_t event) const;
    void notify_of_all(const base::HostId& host, const base::GroupId& group, const std::string& timestamp);
    void notify_earlier(const std::vector<const InventoryGuest*>& guests, std::uint64_t event,
                        const std::string& timestamp);
    void notify_joined(const std::vector<const InventoryGuest*>& joined, base::WallTime now);
    void notify_deleted(const InventoryGuest& guest, base::WallTime now);
    std::string heartbeat_of(const base::GuestId& guest, const base::HostId& host) const;
    wire::MemberState state_of(const InventoryGuest& guest) const;
    void notify(const InventoryGuest& about, const std::string& event_type, const wire::MemberState& state,
                base::WallTime now);
    void send(const group::Hop& hop, const std::string& event_type, const wire::MemberState& state,
              const std::string& timestamp);
    void refuse(const base::HostId& host, std::uint64_t number, const base::Error& error);

    const Inventory& inventory_;
    const Fleet& fleet_;
    const HostNames& names_;
    std::string name_;
    Send send_;
    Moving moving_;
    KeptMessages kept_;
    std::vector<base::GuestId> just_moved_;
    std::map<base::GuestId, base::TimePoint> moved_;  ///< lately, and when that became known
    group::Router router_{*this};
    std::uint64_t events_ = 0;
    std::map<base::HostId, std::uint64_t> expected_;           ///< not synced yet, and since which event
    std::map<base::HostId, std::uint64_t> synced_;             ///< connected, and at which event
    std::set<base::HostId> missing_;                           ///< and their peers are notified of it
    std::map<base::GuestId, std::string> notified_heartbeat_;  ///< of guests in groups
    std::map<base::GroupId, GroupCounters> counters_;
    GroupCounters totals_;
    std::uint64_t next_number_ = 1;
};

}  // namespace vitalwire::controller
