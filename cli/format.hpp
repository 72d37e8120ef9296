#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace vitalwire::cli {

/// JSON for people and programs: indented, nothing but ASCII.
std::string json_text(const nlohmann::json& document, bool one_line = false);
/// The same document as YAML 1.2, block style; nothing but ASCII.
std::vector<std::string> yaml_lines(const nlohmann::json& document);

}  // namespace vitalwire::cli
