#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"

namespace vitalwire::controller::tacker {

inline constexpr std::size_t kMaxRegistrations = 100'000;
inline constexpr std::size_t kMaxRegistrationsPerServer = 16;  ///< a server belongs to one VNF
/// Of those that were removed; beyond it the oldest is dropped, so that removals cannot keep anybody from registering.
inline constexpr std::size_t kMaxRemoved = 10'000;
/// Longer than a controller is away and still returns with what it knew.
inline constexpr base::Millis kRemovedRemembered = std::chrono::hours(24 * 7);

/// A server of whose faults Tacker wants to be notified.
struct Registration {
    std::string alarm_id;
    std::string tenant;
    base::GuestId server;
    std::string fault_action;  ///< where Tacker wants to be notified
    std::set<std::string> fault_ids;
    bool removed = false;  ///< remembered, so that no other controller brings it back
    base::WallTime changed_at{};
    bool registered_here = false;  ///< by a client on this machine

    friend bool operator==(const Registration&, const Registration&) = default;
};

/// What is registered, at whichever controller. Each registration is made once, under a random id, and removed once: so
/// controllers that send each other all they have agree, in whatever order they do, whatever their clocks show. No I/O,
/// no clock.
class Registrations {
public:
    /// Called for each that is new or removed now, or (`gone`) dropped.
    using Changed = std::function<void(const Registration&, bool gone)>;

    explicit Registrations(Changed changed) : changed_(std::move(changed)) {}

    /// From disk; nobody is notified.
    void restore(Registration registration);
    /// The alarm id: `registration.alarm_id`, or that of one that is the same, for a client that asks again. Fails
    /// (too_large) when there are too many.
    base::Result<std::string> add(Registration registration);
    /// Also of one that is not known here yet: another controller may have it. False: it was removed already.
    bool remove(const std::string& alarm_id, const std::string& tenant, const base::GuestId& server,
                base::WallTime now);
    /// What another controller has.
    void merge(const Registration& theirs);
    /// Drops what was removed long ago.
    void expire(base::WallTime now);

    const Registration* find(const std::string& alarm_id) const;
    /// Those that last.
    std::vector<const Registration*> of_server(const base::GuestId& server) const;
    const std::map<std::string, Registration>& all() const { return all_; }
    std::size_t size() const { return all_.size() - removed_.size(); }  ///< those that last

private:
    void put(Registration registration);
    void mark_removed(Registration& known, base::WallTime now);
    void drop_oldest_removed();

    Changed changed_;
    std::map<std::string, Registration> all_;
    std::map<base::GuestId, std::set<std::string>> by_server_;  ///< those that last
    std::set<std::pair<base::WallTime, std::string>> removed_;  ///< the oldest first
};

}  // namespace vitalwire::controller::tacker
