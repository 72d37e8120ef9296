#pragma once

#include <string>

namespace vitalwire::host {

/// What tells the file at a path from every other one that had, or will have, that path. Empty: there is none.
struct FileIdentity {
    std::string text;
    bool unique = false;  ///< also among those that have been removed: its time of birth is known
};

/// Links are followed.
FileIdentity identity_of(const std::string& path);

}  // namespace vitalwire::host
