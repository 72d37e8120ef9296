#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cli/options.hpp"

namespace vitalwire::cli {

/// A list of an answer, and how its entries are called.
struct Kind {
    const char* noun;                ///< "guest"
    const char* list;                ///< "guests"
    const char* id;                  ///< key of the id
    std::vector<const char*> names;  ///< keys of names that an operator or the cloud gave
    std::vector<const char*> own{};  ///< keys of names that the guest gave itself: it cannot say who else is meant
};

extern const Kind kGuests;
extern const Kind kFaults;
extern const Kind kAgents;
extern const Kind kGroups;
extern const Kind kMaintenance;

/// The entry with this id; else the only one of this name; else the only one whose id or name begins so; else the only
/// one that calls itself so. The error is for people and names the candidates.
base::Result<nlohmann::json> select(const nlohmann::json& document, const Kind& kind, const std::string& wanted);

/// True when an entry of the list is called so, or begins so when that ends in '*'.
bool has_one(const nlohmann::json& document, const Kind& kind, const std::string& wanted);

/// Takes out of an answer what the options do not ask for.
void apply_filters(nlohmann::json& document, const Options& options);

}  // namespace vitalwire::cli
