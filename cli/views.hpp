#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "cli/options.hpp"
#include "cli/table.hpp"

namespace vitalwire::cli {

using Lines = std::vector<std::string>;

/// Takes out of an answer what the options do not ask for.
void apply_filters(nlohmann::json& document, const Options& options);

// Answers of the HTTP interface as text. Nothing of an answer reaches the terminal unescaped; what is missing or of
// another type is left out.
Lines status_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines guests_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines faults_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines agents_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines groups_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines group_view(const nlohmann::json& document, base::WallTime now, const Style& style);
Lines sent_view(const nlohmann::json& document, base::WallTime now, const Style& style);

/// The answer as JSON for people and programs: indented, nothing but ASCII.
std::string json_text(const nlohmann::json& document, bool one_line = false);

}  // namespace vitalwire::cli
