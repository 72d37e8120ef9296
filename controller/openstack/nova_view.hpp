#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.hpp"
#include "controller/fleet/inventory.hpp"
#include "controller/openstack/nova_records.hpp"

namespace vitalwire::controller {

/// Turns what Nova sends, in notifications and in lists, into changes of the inventory. No I/O, no clock.
///
/// A poll (listing servers and groups) takes a while; what is notified during it is newer than what the poll
/// finds, and stays. A notification may be late: a service sends what its broker did not take again, a twin in the
/// other format goes another way. One that was sent before what is known of its server was is not used; it may be news
/// all the same, of a host whose clock is behind, so Nova is asked how the server is.
class NovaView {
public:
    struct Effect {
        std::vector<GuestChange> changes;
        std::vector<base::GuestId> ask;  ///< servers that Nova has to be asked for: their flavor, or their state
        bool used = false;               ///< false: a repetition, or nothing of ours
    };

    explicit NovaView(Inventory& inventory) : inventory_(inventory) {}

    Effect apply(const NovaNotification& notification);

    /// A poll takes all groups, in pieces, then servers, in pieces: all of them or those that changed.
    void begin_poll();
    void abandon_poll() { poll_.reset(); }
    std::vector<GuestChange> take(const std::vector<NovaGroup>& groups);
    /// `listed_at`: by Nova's clock, if it has one.
    std::vector<GuestChange> take(const std::vector<NovaServer>& servers, base::WallTime listed_at = {});
    /// Servers that were known before a restart and that the poll did not name stay as they were.
    void keep_restored();
    /// Known servers that a poll at all of them did not name. It may lack those of a cell that is down: only Nova's 404
    /// proves that a server is gone.
    std::vector<base::GuestId> missing() const;
    /// The same of groups: one that is deleted while they are listed in pieces shifts others out of the list.
    std::vector<base::GroupId> missing_groups() const;
    /// Ends the poll: of what is missing that is gone which Nova answers it has no more.
    std::vector<GuestChange> end_poll(const std::vector<base::GuestId>& gone,
                                      const std::vector<base::GroupId>& gone_groups, base::WallTime listed_at = {});

    /// The answer about one server of `Effect::ask`: all of it, or, when its state came since `as_of`, what the flavor
    /// asks for.
    std::vector<GuestChange> answer(const NovaServer& server, base::WallTime as_of);
    /// When what is known of a server was sent or listed.
    base::WallTime as_of(const base::GuestId& guest) const;

    /// "vitalwire:heartbeat_detect_multiplier: expected 1 to 10, found '11'", and how many servers have it.
    const std::map<std::string, std::size_t>& spec_problems() const { return spec_problems_; }

private:
    struct Known {
        std::string flavor;
        std::optional<model::GuestPolicy> policy;  ///< absent until the flavor is known
        std::vector<std::string> problems;
        base::WallTime as_of{};
        base::WallTime moves_since{};   ///< when it was first seen to move, this time
        base::WallTime announced_at{};  ///< the newest announcement of a move
    };
    /// What was notified, and what was listed, since a poll began.
    struct Poll {
        std::unordered_set<base::GuestId> notified_servers;
        std::set<base::GroupId> notified_groups;
        std::unordered_set<base::GuestId> listed_servers;
        std::set<base::GroupId> listed_groups;
    };

    bool is_repetition(const std::string& message_id);
    void apply_state(const NovaNotification& notification, Effect& effect);
    /// `at`: when it was so, by the clock of who says it.
    void put(const NovaServer& server, base::WallTime at, std::vector<GuestChange>& changes);
    void remove(const base::GuestId& guest, std::vector<GuestChange>& changes);
    void announce_move(const NovaNotification& notification, Effect& effect);
    void learn_flavor(Known& known, const NovaServer& server);
    void set_problems(Known& known, std::vector<std::string> problems);
    void add_members(const base::GroupId& group, const std::vector<base::GuestId>& members,
                     std::vector<GuestChange>& changes);
    void set_group(const base::GuestId& guest, const base::GroupId& group, std::vector<GuestChange>& changes);
    void remove_group(const base::GroupId& group, std::vector<GuestChange>& changes);
    void note_deleted(const base::GuestId& guest);

    Inventory& inventory_;
    std::unordered_map<base::GuestId, Known> known_;
    /// Also of servers that are not in the inventory yet: Nova notifies the membership first.
    std::unordered_map<base::GuestId, base::GroupId> group_of_;
    std::map<base::GroupId, std::set<base::GuestId>> members_;
    std::map<std::string, std::size_t> spec_problems_;
    std::optional<Poll> poll_;
    base::WallTime polled_at_{};            ///< of all that has not changed since
    std::unordered_set<std::string> seen_;  ///< message ids, the newest some thousand
    std::deque<std::string> seen_order_;
    std::unordered_set<base::GuestId> deleted_;  ///< a late message must not bring them back
    std::deque<base::GuestId> deleted_order_;
};

}  // namespace vitalwire::controller
