#pragma once

#include <string>

#include "base/result.hpp"

namespace vitalwire::runtime {

/// Sends base/log.hpp's lines through spdlog to standard error: with the journal's priority prefix under systemd, with
/// time and level on a terminal or in a file. `level`: debug, info, warning, error.
base::Result<void> start_logging(const std::string& level);

}  // namespace vitalwire::runtime
