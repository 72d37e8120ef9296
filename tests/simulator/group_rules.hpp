#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "group_member.hpp"
#include "vm.hpp"
#include "world.hpp"

namespace vitalwire::simulator {

/// What must hold of server groups (proto-spec/server-group.md, section 1):
///   - a broadcast reaches members of the sender's group and nobody else, never the sender;
///   - once at most, and in the order in which its sender sent;
///   - when nothing is wrong none is refused, and every member that reads has it soon.
/// The states that members know are compared with the truth at the end (check_states).
class GroupRules final : public GroupObserver {
public:
    /// `known_from`: of when the oldest inventory is that some controller has. `keep_alive`: who keeps a connection
    /// open and is silent is noticed.
    GroupRules(World& world, std::function<TimePoint()> known_from, bool keep_alive)
        : world_(world), known_from_(std::move(known_from)), keep_alive_(keep_alive) {}

    /// The host of a guest that counts.
    std::function<const HostNode&(const base::GuestId&)> host_of;
    /// False of a copy whose guest was rebuilt elsewhere: what waits for that is not in order with what the other gets.
    std::function<bool(const GroupMember&)> counts;
    /// Is called with each state in an answer to a query.
    std::function<void(const GroupMember&, const wire::MemberState&)> on_answer;

    /// The cloud has the guest in that group from now on; empty: in none.
    void joins(const base::GuestId& guest, const base::GroupId& group);
    base::GroupId group_of(const base::GuestId& guest) const;
    /// Nothing has been wrong for a while. `vms`: all that count.
    void settle(std::function<std::vector<const Vm*>()> vms) { vms_ = std::move(vms); }

    std::uint64_t broadcasts() const { return numbers_; }
    std::uint64_t deliveries() const { return deliveries_; }

private:
    struct Sent {
        base::GuestId sender;
        const HostNode* host = nullptr;  ///< of the sender
        TimePoint at;
        TimePoint known_from;
        std::uint64_t number = 0;
        std::set<base::GuestId> receivers;
        bool refused = false;
    };
    struct Membership {
        TimePoint since;
        base::GroupId group;
    };

    void broadcast_sent(const GroupMember& member, const std::string& payload) override;
    void broadcast_refused(const GroupMember& member, const std::string& payload) override;
    void broadcast_received(const GroupMember& member, const wire::Delivery& message) override;
    void state_received(const GroupMember& member, const wire::MemberState& state, bool answer) override;

    void check_received_by_all(const std::string& payload, TimePoint sent_at) const;
    bool in_order(const Sent& before, const Sent& broadcast) const;
    bool met(const base::GuestId& one, const base::GuestId& other, TimePoint since) const;

    World& world_;
    std::function<TimePoint()> known_from_;
    bool keep_alive_;
    std::function<std::vector<const Vm*>()> vms_;  ///< empty until it has settled
    std::map<base::GuestId, std::vector<Membership>> memberships_;
    std::map<std::string, Sent> sent_;                                     ///< by payload: each is sent once
    std::map<std::pair<base::GuestId, base::GuestId>, const Sent*> last_;  ///< by receiver and sender
    std::uint64_t numbers_ = 0;
    std::uint64_t deliveries_ = 0;
};

}  // namespace vitalwire::simulator
