#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "controller/model/maintenance.hpp"

namespace vitalwire::controller {

/// The maintenance windows of the last days, of this controller and its peers. No I/O, no clock.
class MaintenanceList {
public:
    /// What a window may cover.
    struct Subject {
        base::GuestId guest;                               ///< empty: the whole host is meant
        std::function<bool(const base::HostId&)> is_host;  ///< the host by the name that a window has of it
        std::optional<base::GroupId> group;                ///< absent: the inventory has not been read
    };

    enum class Merge : std::uint8_t { known, taken, no_room };

    /// What it is to a guest beyond that its faults are not sent.
    struct Effect {
        bool notify = false;
        base::WallTime forced_until{};  ///< none: its votes count
    };

    /// Fails when there are too many.
    base::Result<void> add(const Maintenance& window);
    /// A window as another controller or the disk has it. Of two changes of one window at two controllers that do not
    /// know of each other, the earlier end counts at both: it withholds less.
    Merge merge(const Maintenance& window, base::WallTime now);
    /// For a window that lasts: when there are as many as may be, the one that has been over for longest is removed.
    /// Its id, or empty.
    std::string make_room(base::WallTime now);
    /// Ends it now; null when there is no such window, or it is over.
    const Maintenance* end(const std::string& id, base::WallTime now);
    /// Removes those that were over a while ago, and returns their ids.
    std::vector<std::string> expire(base::WallTime now);

    /// Of those that cover the subject now, the one that ends last; null when none does.
    const Maintenance* covering(const Subject& subject, base::WallTime now) const;
    /// Since when, without a gap; now when it is not covered.
    base::WallTime covered_since(const Subject& subject, base::WallTime now) const;
    /// Of all that cover the subject now.
    Effect for_guests(const Subject& subject, base::WallTime now) const;
    /// When the first of those ends that are anything to guests; none: there is none now.
    base::WallTime next_end_for_guests(base::WallTime now) const;
    /// Those of the same scope and name that last, but the window itself.
    std::vector<Maintenance> beside(const Maintenance& window, base::WallTime now) const;
    /// One of the same scope and name that the window prolongs: none that ends later. Of several the one that ends
    /// last; null when there is none.
    const Maintenance* prolonged_by(const Maintenance& window, base::WallTime now) const;
    /// Of the group's windows: the guests that the inventory has in it. Returns those that changed.
    std::vector<Maintenance> set_members(const std::function<std::vector<base::GuestId>(const base::GroupId&)>& members,
                                         base::WallTime now);
    /// The clock was set by that much: each begins and ends when it would have. At other controllers, which know by how
    /// much the clocks differ, it is the same window.
    void clock_was_set(base::WallTime::duration by);
    const std::map<std::string, Maintenance>& all() const { return windows_; }

private:
    std::map<std::string, Maintenance> windows_;
};

}  // namespace vitalwire::controller
