#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vitalwire::model {

/// What the guest asks to be done with it when it fails; carried into the fault, never carried out by us. The worst
/// last.
enum class CorrectiveAction : std::uint8_t { none, log, reboot, stop };
std::string_view to_string(CorrectiveAction action);
std::optional<CorrectiveAction> parse_corrective_action(std::string_view text);

}  // namespace vitalwire::model
