#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"

namespace vitalwire::runtime {

/// "Sun, 29 Nov 2026 09:25:56 GMT", the wall clock of who answers: by it somebody else sees that his clock differs.
std::string to_http_date(base::WallTime time);
/// Absent for what is no such date.
std::optional<base::WallTime> parse_http_date(const std::string& text);

}  // namespace vitalwire::runtime
