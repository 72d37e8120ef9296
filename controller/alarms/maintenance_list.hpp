#pragma once

#include <map>
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
        base::GuestId guest;  ///< empty: the whole host is meant
        base::HostId host;
        base::GroupId group;
    };

    /// Fails when there are too many.
    base::Result<void> add(const Maintenance& window);
    /// A window as another controller or the disk has it; true when it is newer than what was known.
    bool merge(const Maintenance& window);
    /// Ends it now; null when there is no such window, or it is over.
    const Maintenance* end(const std::string& id, base::WallTime now);
    /// Removes those that were over a while ago, and returns their ids.
    std::vector<std::string> expire(base::WallTime now);

    /// Of those that cover the subject now, the one that ends last; null when none does.
    const Maintenance* covering(const Subject& subject, base::WallTime now) const;
    /// Since when, without a gap; now when it is not covered.
    base::WallTime covered_since(const Subject& subject, base::WallTime now) const;
    /// One of the same scope and name that lasts; null when there is none.
    const Maintenance* same(const Maintenance& window, base::WallTime now) const;
    const std::map<std::string, Maintenance>& all() const { return windows_; }

private:
    std::map<std::string, Maintenance> windows_;
};

}  // namespace vitalwire::controller
