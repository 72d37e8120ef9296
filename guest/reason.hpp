#pragma once

#include <string>
#include <string_view>

namespace vitalwire::guest {

/// `text` as a reason that the host can be told: its first line, valid UTF-8, without spaces around it, and no longer
/// than the protocol allows.
std::string tidy_reason(std::string_view text);

}  // namespace vitalwire::guest
