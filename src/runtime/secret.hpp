#pragma once

#include <string>

#include "runtime/config.hpp"

namespace vitalwire::runtime {

/// The secret named by `KEY_file` (its first line) or `KEY_env`; the configuration itself never holds one. Empty when
/// neither is given.
std::string read_secret(ConfigReader& section, const std::string& key);
/// The section says where the secret is, right or wrong.
bool names_secret(const ConfigReader& section, const std::string& key);

}  // namespace vitalwire::runtime
