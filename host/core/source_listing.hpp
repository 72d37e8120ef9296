#pragma once

#include <set>
#include <string>

#include "base/ids.hpp"

namespace vitalwire::host {

/// What a source of guests has found when it looked at all there is.
struct SourceListing {
    /// Where it looked: another text when that is another place, though it has the same name (a directory that is not
    /// mounted yet, another libvirtd).
    std::string place;
    /// A guest that was known in this place, and is not found in it, was taken away.
    bool proves_absence = true;
    /// What changed just then: what has become of them is reported later, also that they have ended.
    std::set<base::GuestId> unread{};
};

}  // namespace vitalwire::host
