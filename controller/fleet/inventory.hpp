#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.hpp"
#include "bus/messages.hpp"

namespace vitalwire::controller {

/// One guest as the cloud has it. Named after Nova's server.
struct InventoryGuest {
    base::GuestId id;
    std::string display_name;
    std::string hostname;  ///< inside the guest
    std::string project;   ///< tenant
    std::string flavor;    ///< its name; empty: not known
    base::HostId host;     ///< service host of its compute node; empty while it is nowhere
    std::string node;      ///< the hypervisor's name for it
    /// While Nova moves it, the other host of that move as Nova announced it: the destination, or where it came from
    /// once Nova has it there. Empty: none.
    base::HostId move_partner;
    base::GroupId group;            ///< its server group; empty: none. A server is in one group at most.
    std::string state = "active";   ///< Nova's vm_state
    std::string state_description;  ///< Nova's task_state; empty: none
    std::string launched_at;
    std::map<std::string, std::string> metadata;
    model::GuestPolicy policy;  ///< `policy.guest` is `id`
    bool listed = true;         ///< false: as it was before a restart, and the cloud has not listed it since

    friend bool operator==(const InventoryGuest&, const InventoryGuest&) = default;
};

/// True while Nova's task is one during which a server has, or gets, a second copy.
bool is_moving(std::string_view state_description);

/// What decides who may report about a guest, and whether it is to be watched: kept over a restart.
struct GuestPlace {
    base::HostId host;
    base::HostId move_partner;
    std::string state = "active";
    std::string state_description;
    bool heartbeat = false;
    std::vector<base::HostId> earlier;  ///< hosts where it was, or was to be moved to, the oldest first

    friend bool operator==(const GuestPlace&, const GuestPlace&) = default;
};
/// A guest of which no more is known than that.
InventoryGuest placed_guest(const base::GuestId& id, const GuestPlace& place);

struct InventoryGroup {
    base::GroupId id;
    std::string name;
    std::string project;

    friend bool operator==(const InventoryGroup&, const InventoryGroup&) = default;
};

struct InventorySnapshot {
    std::vector<InventoryGuest> guests;
    std::vector<InventoryGroup> groups;
};

/// A guest came (no `before`), changed, or went (no `after`).
struct GuestChange {
    std::optional<InventoryGuest> before;
    std::optional<InventoryGuest> after;
};

/// Guests, where they are and what they belong to, indexed by what the controller asks. A source (a file, Nova) fills
/// it. No I/O.
class Inventory {
public:
    /// Replaces everything and returns what that changed.
    std::vector<GuestChange> replace(InventorySnapshot snapshot);
    /// Adds or replaces one guest; absent when nothing changed.
    std::optional<GuestChange> put(InventoryGuest guest);
    std::optional<GuestChange> remove(const base::GuestId& guest);
    /// Where the guests were before a restart: counts until the inventory has been read.
    void restore(std::map<base::GuestId, GuestPlace> places);
    /// It has been read: what it had before is returned, and counts no more.
    std::map<base::GuestId, GuestPlace> take_restored();
    void put_group(InventoryGroup group);
    void remove_group(const base::GroupId& group);

    const InventoryGuest* guest(const base::GuestId& guest) const;
    const InventoryGroup* group(const base::GroupId& group) const;
    /// The guest, or as much as is known of it from before a restart while it has not been read; absent when unknown.
    std::optional<GuestPlace> place(const base::GuestId& guest) const;
    /// True if the inventory has, or had, the guest on that host, or it was to be moved there: as it spells hosts.
    template <class Same>
    bool was_on(const base::GuestId& guest, Same same) const {
        const auto known = place(guest);
        return known && (same(known->host) || same(known->move_partner) ||
                         std::any_of(known->earlier.begin(), known->earlier.end(), same));
    }
    /// Of guests that have not been read since a restart. Empty once the inventory has been read.
    const std::map<base::GuestId, GuestPlace>& restored() const { return restored_; }
    std::vector<const InventoryGuest*> of_host(const base::HostId& host) const;
    std::vector<const InventoryGuest*> of_group(const base::GroupId& group) const;
    std::vector<base::HostId> hosts() const;  ///< that have guests, or had some before a restart
    /// The guest after this one in the order of hosts and ids, the guests without a host first; null at the end. With
    /// it all guests are visited in turns, whatever changes between two of them.
    const InventoryGuest* next(const base::HostId& host, const base::GuestId& guest) const;
    /// Another number whenever `hosts` is another list.
    std::uint64_t hosts_version() const { return hosts_version_; }
    /// Another number whenever a guest came, changed, or went.
    std::uint64_t version() const { return version_; }

    const std::unordered_map<base::GuestId, InventoryGuest>& guests() const { return guests_; }
    const std::map<base::GroupId, InventoryGroup>& groups() const { return groups_; }

private:
    template <class Key>
    using Index = std::map<Key, std::set<base::GuestId>>;

    template <class Key>
    std::vector<const InventoryGuest*> listed(const Index<Key>& index, const Key& key) const;
    void note_earlier(const base::GuestId& guest, const base::HostId& host);
    void add_to_indexes(const InventoryGuest& guest);
    void remove_from_indexes(const InventoryGuest& guest);

    std::unordered_map<base::GuestId, InventoryGuest> guests_;
    std::map<base::GroupId, InventoryGroup> groups_;
    std::unordered_map<base::GuestId, std::vector<base::HostId>> earlier_;  ///< of those that have been moved
    std::map<base::GuestId, GuestPlace> restored_;
    std::set<base::HostId> restored_hosts_;
    Index<base::HostId> by_host_;
    std::uint64_t version_ = 0;
    std::uint64_t hosts_version_ = 0;
    Index<base::GroupId> by_group_;
};

/// Fills an inventory and keeps it current. All calls and callbacks are on the event loop's thread.
class InventorySource {
public:
    class Handler {
    public:
        virtual ~Handler() = default;
        /// The inventory has changed already. The first call is that of the first load, after which everything is new,
        /// whatever `changes` names.
        virtual void on_inventory_changed(const std::vector<GuestChange>& changes) = 0;
        /// Something is wrong with the source: `what` is a fixed sentence, an empty `detail` means not any more. The
        /// inventory stays as it was.
        virtual void on_inventory_problem(const std::string& what, const std::string& detail) = 0;
    };

    virtual ~InventorySource() = default;
    virtual void start(Handler& handler) = 0;
    virtual void reload() = 0;  ///< reads it again now
    virtual void stop() = 0;
    /// The inventory was loaded at least once.
    virtual bool loaded() const = 0;
    /// It has all guests, and those that it does not list stay until it has said that they are deleted.
    virtual bool names_all() const = 0;
    /// When the inventory was last known to be what the source has.
    virtual base::TimePoint current_at() const = 0;
};

}  // namespace vitalwire::controller
