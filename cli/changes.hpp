#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace vitalwire::cli {

/// What is remembered of the guests and faults of one moment.
struct Snapshot {
    std::map<std::string, nlohmann::json> guests;  ///< by id
    std::map<std::string, nlohmann::json> faults;  ///< by id

    /// Of the answers of /v1/guests and /v1/faults.
    static Snapshot of(const nlohmann::json& guests, const nlohmann::json& faults);
};

/// One thing that is different, for people and for programs.
struct Change {
    std::string text;  ///< one line, escaped
    nlohmann::json json;
};

/// Everything that is new, different or gone; from an empty snapshot: everything there is.
std::vector<Change> changes(const Snapshot& before, const Snapshot& now);

}  // namespace vitalwire::cli
