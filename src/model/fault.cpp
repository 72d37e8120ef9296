#include "model/fault.hpp"

#include <algorithm>

#include "model/alarm_kind.hpp"

namespace vitalwire::model {

const std::array<FaultKind, kFaultKinds>& all_fault_kinds() {
    static const auto kinds = [] {
        std::array<FaultKind, kFaultKinds> all{};
        for (std::size_t i = 0; i < all.size(); ++i)
            all.at(i) = static_cast<FaultKind>(i);
        return all;
    }();
    return kinds;
}

std::string_view to_string(FaultKind kind) {
    return alarm_kinds().at(static_cast<std::size_t>(kind)).name;
}

std::optional<FaultKind> parse_fault_kind(std::string_view text) {
    const auto& kinds = all_fault_kinds();
    const auto* found =
        std::find_if(kinds.begin(), kinds.end(), [&](FaultKind kind) { return to_string(kind) == text; });
    return found == kinds.end() ? std::nullopt : std::optional(*found);
}

std::string_view severity(FaultKind kind) {
    return alarm_kinds().at(static_cast<std::size_t>(kind)).severity;
}

}  // namespace vitalwire::model
