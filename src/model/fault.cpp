#include "model/fault.hpp"

#include <algorithm>
#include <array>

namespace vitalwire::model {

namespace {

struct Row {
    FaultKind kind;
    std::string_view name;
    std::string_view severity;
};

/// A new kind is one line here, in the order of FaultKind.
constexpr std::array<Row, kFaultKinds> kRows = {{
    {FaultKind::heartbeat_lost, "heartbeat_lost", "critical"},
    {FaultKind::unhealthy, "unhealthy", "major"},
    {FaultKind::not_established, "not_established", "warning"},
    {FaultKind::vm_crashed, "vm_crashed", "critical"},
}};

const Row& row(FaultKind kind) {
    return kRows.at(static_cast<std::size_t>(kind));
}

}  // namespace

const std::array<FaultKind, kFaultKinds>& all_fault_kinds() {
    static const auto kinds = [] {
        std::array<FaultKind, kFaultKinds> all{};
        std::transform(kRows.begin(), kRows.end(), all.begin(), [](const Row& each) { return each.kind; });
        return all;
    }();
    return kinds;
}

std::string_view to_string(FaultKind kind) {
    return row(kind).name;
}

std::optional<FaultKind> parse_fault_kind(std::string_view text) {
    const auto* found = std::find_if(kRows.begin(), kRows.end(), [&](const Row& each) { return each.name == text; });
    return found == kRows.end() ? std::nullopt : std::optional(found->kind);
}

std::string_view severity(FaultKind kind) {
    return row(kind).severity;
}

}  // namespace vitalwire::model
